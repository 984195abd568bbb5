"""Every row of docs/bad-input.md, over HTTP and from Kafka, on real servers."""

import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.embedded import Infrastructure
from tests.support.ingest import (
    Ingest,
    a_return,
    a_shipment,
    an_order,
    envelope,
    ingest_running,
    move,
    own_database,
    prepare,
    settings_for,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "bad-input.md"
SHOP = f"t{secrets.token_hex(4)}"
BIG = 2**53 + 1


@dataclass(frozen=True)
class Bad:
    """An input with the answer that it must get over HTTP and the reason and path of its dead letter."""

    event: Any
    status: int
    reason: str
    path: str
    topic: str = "inbound.orders"


def _line(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    return {"product_id": "p1", "quantity": 1, "unit_price": "20.00"} | fields


def _order(**attributes: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    event = an_order(SHOP) | attributes
    return {name: value for name, value in event.items() if value is not None}


def _consent_of_2099() -> dict[str, Any]:
    consent = {"email": {"granted": True, "changed_at": "2099-01-01T00:00:00Z"}}
    return envelope(SHOP, "customer", {"version": 1, "consent": consent}, customerid="c1")


def _consent_from(source: str) -> dict[str, Any]:
    consent = {"email": {"granted": True, "changed_at": "2026-03-01T00:00:00Z", "source": source}}
    return envelope(SHOP, "customer", {"version": 1, "consent": consent}, customerid="c1")


def _an_engagement(**said: str) -> dict[str, Any]:
    data = {"kind": "answered", "channel": "email", "occurred_at": "2026-03-02T09:00:00Z"} | said
    return envelope(SHOP, "engagement", data, customerid="c1")


def _a_state(kind: str, who: str, version: int) -> dict[str, Any]:
    if kind == "customer":
        return envelope(SHOP, kind, {"version": version}, customerid=who)
    product = {"product_id": who, "updated_at": f"2026-03-01T0{version}:00:00Z", "name": "Mat"}
    return envelope(SHOP, kind, product)


def _without(event: dict[str, Any], field: str) -> dict[str, Any]:
    return event | {"data": {name: value for name, value in event["data"].items() if name != field}}


BAD = {
    "malformed JSON": Bad(b'{"shop": "%s", ' % SHOP.encode(), 400, "bad_json", ""),
    "unknown type": Bad(_order(type="orderwake.opinion.recorded.v1"), 422, "unknown_type", "type"),
    "unknown version of a type": Bad(_order(type="orderwake.order.recorded.v9"), 422, "unknown_type", "type"),
    "unknown version of CloudEvents": Bad(_order(specversion="0.3"), 422, "bad_envelope", "specversion"),
    "no event id": Bad(_order(id=None), 422, "bad_envelope", "id"),
    "no order id": Bad(_without(an_order(SHOP), "order_id"), 422, "wrong_schema", "data.order_id"),
    "no lines": Bad(an_order(SHOP, lines=[]), 422, "wrong_schema", "data.lines"),
    "no customer": Bad(an_order(SHOP, customer=None), 422, "missing_customer", "customerid"),
    "an e-mail address as customer id": Bad(
        _order(customerid="a@b.example"), 422, "bad_envelope", "customerid"
    ),
    "wrong shop": Bad(_order(shopid=f"{SHOP}-not-ours"), 403, "wrong_shop", "shopid"),
    "negative price": Bad(
        an_order(SHOP, lines=[_line(unit_price="-1")]), 422, "wrong_schema", "data.lines.0.unit_price"
    ),
    "mixed currency": Bad(
        an_order(SHOP, lines=[_line(currency="USD"), _line(currency="EUR")]), 422, "mixed_currency", "data"
    ),
    "a version beyond 64 bits": Bad(
        _a_state("customer", "c1", 10**19), 422, "wrong_schema", "data.version", "inbound.customers"
    ),
    "NUL in an event id": Bad(_order(id="order\0"), 422, "bad_envelope", "id"),
    "NUL in the source of a consent": Bad(
        _consent_from("form\0"), 422, "wrong_schema", "data.consent.email.source", "inbound.customers"
    ),
    "NUL in an answer": Bad(
        _an_engagement(answer="dry\0"), 422, "wrong_schema", "data.answer", "inbound.engagement"
    ),
    "NUL in a reason": Bad(
        _an_engagement(reason="full\0"), 422, "wrong_schema", "data.reason", "inbound.engagement"
    ),
    "NUL in a message id": Bad(
        _an_engagement(message_id="m\0"), 422, "wrong_schema", "data.message_id", "inbound.engagement"
    ),
    "id as a float beyond 2^53": Bad(an_order(SHOP, float(BIG)), 422, "wrong_schema", "data.order_id"),
    "time without zone": Bad(_order(time="2026-03-02T09:00:00"), 422, "bad_envelope", "time"),
    "order time without zone": Bad(
        an_order(SHOP, placed_at="2026-03-02T09:00:00"), 422, "wrong_schema", "data.placed_at"
    ),
    "event in the far future": Bad(_order(time="2026-03-02T12:11:00Z"), 422, "far_future", "time"),
    "order in the far future": Bad(
        an_order(SHOP, placed_at="2026-03-02T12:11:00Z"), 422, "far_future", "data.placed_at"
    ),
    "consent in the far future": Bad(
        _consent_of_2099(), 422, "far_future", "data.consent.email.changed_at", "inbound.customers"
    ),
}


@pytest.fixture(scope="module")
async def running(infrastructure: Infrastructure) -> AsyncIterator[Ingest]:
    async with own_database(infrastructure, SHOP) as database_url:
        never_stop = {"dead_letter_limit": 1000, "dead_letter_window": 1000}
        settings = settings_for(infrastructure, database_url, shops=SHOP, **never_stop)
        await prepare(settings)
        async with ingest_running(SHOP, settings) as ingest:
            yield ingest


@pytest.fixture
async def ingest(running: Ingest) -> Ingest:
    running.out.clear()
    return running


@pytest.fixture
def fresh() -> Callable[[], str]:
    """Give ids that no other test of this module uses."""
    return lambda: secrets.token_hex(6)


def test_each_row_of_the_document_has_its_test() -> None:
    refusals, outcomes = DOCUMENT.read_text().split("These are no faults")
    assert set(_first_cells(refusals)) - {"input", "no value"} == set(BAD)
    tests = {name.removeprefix("test_").replace("_", " ") for name in globals() if name.startswith("test_")}
    missing = [row for row in _first_cells(outcomes)[1:] if not any(_plain(row) in test for test in tests)]
    assert not missing


@pytest.mark.parametrize("row", BAD)
async def test_bad_input_over_http_is_answered_with_reason_and_path(ingest: Ingest, row: str) -> None:
    bad = BAD[row]
    status, answer = await ingest.post(bad.event)
    assert status == bad.status
    (fault,) = answer["errors"]
    assert (fault["index"], fault["reason"], fault["path"]) == (0, bad.reason, bad.path)
    assert fault["detail"]


@pytest.mark.parametrize("row", BAD)
async def test_bad_input_from_kafka_becomes_a_dead_letter_with_reason_and_path(
    ingest: Ingest, row: str
) -> None:
    bad = BAD[row]
    await ingest.send(bad.topic, bad.event, key=SHOP.encode())
    (letter,) = await ingest.expect(f"{bad.topic}.dead-letters")
    assert (letter.headers["orderwake-reason"], letter.headers["orderwake-path"]) == (bad.reason, bad.path)
    assert letter.headers["orderwake-origin-topic"] == bad.topic
    assert letter.headers["orderwake-refused-by"] == "ingest"


async def test_a_record_with_no_value_becomes_a_dead_letter(ingest: Ingest) -> None:
    await ingest.producer.send_and_wait("inbound.orders", None, SHOP.encode())
    (letter,) = await ingest.expect("inbound.orders.dead-letters")
    assert letter.headers["orderwake-reason"] == "null_value"


async def test_a_record_without_key_is_taken(ingest: Ingest, fresh: Callable[[], str]) -> None:
    await ingest.send("inbound.orders", an_order(SHOP, fresh()) | {"id": fresh()}, key=None)
    (record,) = await ingest.expect("orders")
    assert record.key == f"{SHOP}|c1".encode()


async def test_a_whole_number_id_beyond_2_53_is_kept_digit_by_digit(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    event = an_order(SHOP, BIG, lines=[_line(product_id=10**30 + 1)]) | {"id": fresh()}
    status, _ = await ingest.post([event], "application/cloudevents-batch+json")
    assert status == 202
    (record,) = await ingest.expect("orders")
    assert record.event["data"]["order_id"] == str(BIG)
    assert record.event["data"]["lines"][0]["product_id"] == str(10**30 + 1)


async def test_the_same_event_twice_is_passed_on_once_and_counted(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    before = (await ingest.status())["duplicates"]
    event = an_order(SHOP, fresh()) | {"id": fresh()}
    await ingest.send("inbound.orders", event, event, key=b"one partition")
    assert await ingest.post(event) == (202, {"accepted": 1})
    await ingest.count("duplicates", before + 2)
    await ingest.expect("orders")


async def test_an_order_twice_with_two_event_ids_is_passed_on_twice(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    order = an_order(SHOP, fresh())
    await ingest.send("inbound.orders", order | {"id": fresh()}, order | {"id": fresh()})
    await ingest.expect("orders", 2)


async def test_an_order_changed_after_a_return_is_passed_on_with_its_version(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    order = fresh()
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": fresh()})
    await ingest.send("inbound.returns", a_return(SHOP, order) | {"id": fresh()})
    await ingest.expect("returns")
    await ingest.send("inbound.orders", an_order(SHOP, order, version=2) | {"id": fresh()})
    records = await ingest.expect("orders", 2)
    assert [record.event["data"]["version"] for record in records] == [1, 2]


@pytest.mark.parametrize("kind", ["customer", "product"])
async def test_an_older_state_of_a_customer_or_product_after_a_newer_one_is_dropped_and_counted(
    ingest: Ingest, fresh: Callable[[], str], kind: str
) -> None:
    before = (await ingest.status())["superseded"]
    who = fresh()
    topic = {"customer": "inbound.customers", "product": "inbound.catalog"}[kind]
    for version in (2, 1, 3):
        event = _a_state(kind, who, version) | {"id": fresh()}
        await ingest.send(topic, event, key=b"one partition")
    await ingest.expect({"customer": "customers", "product": "catalog"}[kind], 2)
    await ingest.count("superseded", before + 1)


async def test_a_return_of_something_never_bought_is_passed_on(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    order = fresh()
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": fresh()})
    lines = [{"product_id": "never-bought", "quantity": 1}]
    await ingest.send("inbound.returns", a_return(SHOP, order, lines=lines) | {"id": fresh()})
    (record,) = await ingest.expect("returns")
    assert record.event["customerid"] == "c1"


async def test_a_return_of_an_order_that_nobody_knows_becomes_a_dead_letter_when_its_time_is_over(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    event = a_return(SHOP, fresh()) | {"id": fresh()}
    await ingest.send("inbound.returns", event)
    await ingest.count("parked", 1)
    move(ingest.clock, timedelta(days=31))
    (letter,) = await ingest.expect("inbound.returns.dead-letters")
    move(ingest.clock, -timedelta(days=31))
    assert letter.headers["orderwake-reason"] == "order_never_came"
    assert letter.headers["orderwake-path"] == "data.order_id"
    assert letter.event == event
    await ingest.count("parked", 0)


async def test_a_shipment_before_its_order_is_passed_on_when_the_order_comes(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    order = fresh()
    await ingest.send("inbound.shipments", a_shipment(SHOP, order) | {"id": fresh()})
    await ingest.count("parked", 1)
    assert ingest.out == []
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": fresh()})
    (record,) = await ingest.expect("shipments")
    assert record.event["customerid"] == "c1"
    await ingest.count("parked", 0)


async def test_a_shipment_that_names_another_customer_than_its_order_goes_to_the_orders_customer(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    order = fresh()
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": fresh()})
    await ingest.expect("orders")
    await ingest.send("inbound.shipments", a_shipment(SHOP, order, "someone-else") | {"id": fresh()})
    (record,) = await ingest.expect("shipments")
    assert (record.key, record.event["customerid"]) == (f"{SHOP}|c1".encode(), "c1")


async def test_an_order_that_comes_again_under_another_customer_stays_with_the_first(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    order = fresh()
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": fresh()})
    await ingest.expect("orders")
    await ingest.send("inbound.orders", an_order(SHOP, order, "someone-else", version=2) | {"id": fresh()})
    records = await ingest.expect("orders", 2)
    assert {record.event["customerid"] for record in records} == {"c1"}


async def test_test_voided_and_cancelled_orders_are_passed_on_with_their_state(
    ingest: Ingest, fresh: Callable[[], str]
) -> None:
    for state in ({"test": True}, {"status": "voided"}, {"status": "cancelled"}):
        await ingest.send("inbound.orders", an_order(SHOP, fresh(), **state) | {"id": fresh()})
    records = await ingest.expect("orders", 3)
    states = {(record.event["data"]["test"], record.event["data"]["status"]) for record in records}
    assert states == {(True, "placed"), (False, "voided"), (False, "cancelled")}


def _first_cells(text: str) -> list[str]:
    return [cell for cell in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) if not cell.startswith("-")]


def _plain(row: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", row.removeprefix("a ").lower()).strip()
