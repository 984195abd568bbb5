"""The pipeline from `inbound.*` to the canonical topics, on real Kafka and PostgreSQL."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any, NoReturn

import asyncpg
import pytest

from services.ingest import intake, store
from services.ingest.intake import Intake
from services.ingest.publisher import Publisher
from services.ingest.sweep import Sweep
from shared.db import create_pool
from shared.embedded import Infrastructure
from shared.errors import EventError, Refusal
from shared.events import InboundOrderRecorded, ReturnRecorded, ShipmentRecorded
from shared.ids import CustomerId, OrderId, ShopId
from shared.kafka.guard import Guard
from shared.kafka.outbox import Outgoing
from shared.kafka.records import Admitted, Record
from shared.settings import Settings
from tests.support import eventually
from tests.support.ingest import (
    Ingest,
    Taken,
    a_return,
    a_shipment,
    an_order,
    envelope,
    ingest_running,
    make_tables,
    move,
    own_database,
    prepare,
    queries,
    raw,
    settings_for,
    standing_clock,
    tap,
)

SHOP = f"t{secrets.token_hex(4)}"
GUEST = {"email": "Ada@Example.com", "first_name": "Ada", "email_consent": True}


class Stopped(Exception):  # noqa: N818  it stands for a kill, not for an error
    """The process dies here."""


@pytest.fixture(scope="module")
async def running(infrastructure: Infrastructure) -> AsyncIterator[Ingest]:
    async with own_database(infrastructure, SHOP) as database_url:
        settings = settings_for(infrastructure, database_url)
        await prepare(settings)
        async with ingest_running(SHOP, settings) as ingest:
            yield ingest


@pytest.fixture
async def ingest(running: Ingest) -> Ingest:
    running.out.clear()
    return running


def _fresh() -> str:
    return secrets.token_hex(6)


async def test_an_order_goes_to_its_topic_under_its_customer(ingest: Ingest) -> None:
    order = an_order(SHOP, _fresh()) | {"id": _fresh()}
    await ingest.send("inbound.orders", order)
    (record,) = await ingest.expect("orders")
    assert record.key == f"{SHOP}|c1".encode()
    assert record.event["customerid"] == "c1"
    assert record.event["recordedat"] == "2026-03-02T12:00:00Z"
    assert (record.event["id"], record.event["correlationid"]) == (order["id"], order["data"]["order_id"])


@pytest.mark.parametrize(
    ("kind", "inbound", "canonical", "data"),
    [
        ("customer", "inbound.customers", "customers", {"version": 1, "email": "ada@example.com"}),
        (
            "cart",
            "inbound.carts",
            "carts",
            {
                "cart_id": "k",
                "updated_at": "2026-03-02T09:00:00Z",
                "currency": "USD",
                "total": "1",
                "products": ["p1"],
            },
        ),
        (
            "engagement",
            "inbound.engagement",
            "engagement",
            {"kind": "opened", "channel": "email", "occurred_at": "2026-03-02T09:00:00Z"},
        ),
    ],
)
async def test_each_kind_goes_from_its_inbound_to_its_canonical_topic(
    ingest: Ingest, kind: str, inbound: str, canonical: str, data: dict[str, Any]
) -> None:
    customer = _fresh()
    await ingest.send(inbound, envelope(SHOP, kind, data, customerid=customer, id=_fresh()))
    (record,) = await ingest.expect(canonical)
    assert record.key == f"{SHOP}|{customer}".encode()
    assert {name: record.event["data"][name] for name in data} == data


async def test_an_event_in_binary_mode_is_taken_like_any_other(ingest: Ingest) -> None:
    big = 2**53 + 1
    await ingest.send_binary("inbound.orders", an_order(SHOP, big) | {"id": _fresh()})
    (record,) = await ingest.expect("orders")
    assert record.event["data"]["order_id"] == str(big)


async def test_a_shipment_in_binary_mode_can_wait_for_its_order(ingest: Ingest) -> None:
    order = _fresh()
    await ingest.send_binary("inbound.shipments", a_shipment(SHOP, order) | {"id": _fresh()})
    await ingest.count("parked", 1)
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": _fresh()})
    await ingest.expect("shipments")


async def test_a_product_is_keyed_by_product_and_belongs_to_no_customer(ingest: Ingest) -> None:
    product = {"product_id": _fresh(), "updated_at": "2026-03-02T09:00:00Z", "name": "Mat"}
    await ingest.send("inbound.catalog", envelope(SHOP, "product", product, customerid="c1", id=_fresh()))
    (record,) = await ingest.expect("catalog")
    assert record.key == f"{SHOP}|{product['product_id']}".encode()
    assert "customerid" not in record.event


async def test_one_customers_orders_keep_their_order_whatever_the_producers_keys(ingest: Ingest) -> None:
    orders = [an_order(SHOP, f"{_fresh()}-{number}") | {"id": _fresh()} for number in range(50)]
    for order in orders:
        await ingest.send("inbound.orders", order, key=b"always the same")
    records = await ingest.expect("orders", 50)
    assert [record.event["id"] for record in records] == [order["id"] for order in orders]
    assert len({record.partition for record in records}) == 1


async def test_shipments_and_returns_find_the_customer_by_their_order(ingest: Ingest) -> None:
    order = _fresh()
    await ingest.send("inbound.orders", an_order(SHOP, order, "c7") | {"id": _fresh()})
    await ingest.expect("orders")
    await ingest.send("inbound.shipments", a_shipment(SHOP, order) | {"id": _fresh()})
    await ingest.send("inbound.returns", a_return(SHOP, order) | {"id": _fresh()})
    for topic in ("shipments", "returns"):
        (record,) = await ingest.expect(topic)
        assert (record.key, record.event["customerid"]) == (f"{SHOP}|c7".encode(), "c7")


async def test_what_came_before_its_order_follows_it_in_the_order_it_came(ingest: Ingest) -> None:
    order = _fresh()
    for status in ("pending", "in_transit", "delivered"):
        event = a_shipment(SHOP, order, status=status) | {"id": _fresh()}
        await ingest.send("inbound.shipments", event, key=b"one partition")
    await ingest.send("inbound.returns", a_return(SHOP, order) | {"id": _fresh()})
    await ingest.count("parked", 4)
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": _fresh()})
    records = await ingest.expect("shipments", 3)
    assert [record.event["data"]["status"] for record in records] == ["pending", "in_transit", "delivered"]
    await ingest.expect("returns")


async def test_a_shipment_with_its_customer_does_not_wait_for_its_order(ingest: Ingest) -> None:
    await ingest.send("inbound.shipments", a_shipment(SHOP, _fresh(), "c9") | {"id": _fresh()})
    (record,) = await ingest.expect("shipments")
    assert record.event["customerid"] == "c9"


async def test_a_guests_order_and_contact_part_company(ingest: Ingest) -> None:
    first, second = (an_order(SHOP, _fresh(), None, guest=GUEST) | {"id": _fresh()} for _ in range(2))
    await ingest.send("inbound.orders", first, second | {"time": "2026-03-02T10:00:00Z"})
    orders = await ingest.expect("orders", 2)
    profiles = await ingest.expect("customers", 2)
    (guest,) = {record.event["customerid"] for record in (*orders, *profiles)}
    assert guest.startswith("g-")
    assert all(b"xample.com" not in record.value for record in orders)
    assert profiles[0].key == f"{SHOP}|{guest}".encode()
    assert profiles[0].event["data"]["email"] == "Ada@Example.com"
    assert profiles[0].event["data"]["guest"] is True
    assert profiles[0].event["data"]["consent"]["email"]["granted"] is True


async def test_a_guests_shipment_goes_to_the_guest(ingest: Ingest) -> None:
    order = _fresh()
    await ingest.send("inbound.orders", an_order(SHOP, order, None, guest=GUEST) | {"id": _fresh()})
    (placed,) = await ingest.expect("orders")
    await ingest.send("inbound.shipments", a_shipment(SHOP, order) | {"id": _fresh()})
    (sent,) = await ingest.expect("shipments")
    assert sent.key == placed.key


async def test_a_known_customers_order_leaves_a_guests_contact_unused(ingest: Ingest) -> None:
    await ingest.send("inbound.orders", an_order(SHOP, _fresh(), "c1", guest=GUEST) | {"id": _fresh()})
    (record,) = await ingest.expect("orders")
    assert b"xample.com" not in record.value
    assert ingest.on("customers") == []


async def test_an_order_that_comes_again_as_a_guests_leaves_its_customers_profile_alone(
    ingest: Ingest,
) -> None:
    customer, order = _fresh(), _fresh()
    profile = {"version": 1, "phone": "+15550100200"}
    await ingest.send("inbound.customers", envelope(SHOP, "customer", profile, customerid=customer))
    await ingest.send("inbound.orders", an_order(SHOP, order, customer) | {"id": _fresh()})
    await ingest.expect("orders")
    await ingest.send("inbound.orders", an_order(SHOP, order, None, guest=GUEST) | {"id": _fresh()})
    later = envelope(SHOP, "customer", profile | {"version": 2}, customerid=customer, id=_fresh())
    await ingest.expect("orders", 2)
    await ingest.send("inbound.customers", later)
    first, second = await ingest.expect("customers", 2)
    assert {record.event["customerid"] for record in ingest.on("orders")} == {customer}
    assert [record.event["data"]["version"] for record in (first, second)] == [1, 2]
    assert second.event["data"]["phone"] == profile["phone"]


async def test_a_dead_letter_of_an_event_that_waited_in_vain_can_be_sent_again(ingest: Ingest) -> None:
    order = _fresh()
    await ingest.send("inbound.returns", a_return(SHOP, order) | {"id": _fresh()})
    await ingest.count("parked", 1)
    move(ingest.clock, timedelta(days=31))
    (letter,) = await ingest.expect("inbound.returns.dead-letters")
    move(ingest.clock, -timedelta(days=31))
    await ingest.count("parked", 0)
    await ingest.send("inbound.orders", an_order(SHOP, order) | {"id": _fresh()})
    await ingest.expect("orders")
    await _redrive(ingest, letter)
    (record,) = await ingest.expect("returns")
    assert record.event["id"] == letter.event["id"]


async def _redrive(ingest: Ingest, letter: Taken) -> None:
    await ingest.producer.send_and_wait(letter.headers["orderwake-origin-topic"], letter.value, letter.key)


class Parts:
    """The pipeline without its consumer, so that a test may stop it between any two steps."""

    def __init__(self, pool: asyncpg.Pool, ingest: Ingest, settings: Settings) -> None:
        clock = standing_clock()
        guard = Guard("ingest", ingest.producer, 500, 1000)
        self.pool = pool
        self.publisher = Publisher(ingest.producer)
        self.intake = Intake(self.publisher, guard, clock, b"salt")
        self.sweep = Sweep(pool, self.intake, ingest.producer, settings, clock)

    async def handle(self, connection: store.Connection, batch: Sequence[Admitted]) -> None:
        """Handle a batch and commit."""
        async with connection.transaction():
            await self.intake.handle(connection, batch)

    async def handle_and_die(self, batch: Sequence[Admitted]) -> None:
        """Die between Kafka's acknowledgement and the commit."""
        async with self.pool.acquire() as connection, connection.transaction():
            await self.intake.handle(connection, batch)
            raise Stopped


@pytest.fixture
async def parts(infrastructure: Infrastructure, database_url: str, running: Ingest) -> AsyncIterator[Parts]:
    settings = settings_for(infrastructure, database_url)
    await make_tables(settings)
    pool = await create_pool(settings, store.SCHEMA)
    yield Parts(pool, running, settings)
    await pool.close()


@pytest.fixture
async def left(running: Ingest, unique: str) -> AsyncIterator[list[Taken]]:
    out: list[Taken] = []
    async with tap(running.settings, out, unique):
        yield out


def _order(shop: str, order: str = "o1") -> Admitted:
    event = an_order(shop, order) | {"id": f"order-{order}"}
    return Admitted(
        Record("inbound.orders", 0, 0, None, raw(event)), InboundOrderRecorded.model_validate(event)
    )


def _shipment(shop: str, order: str = "o1") -> Admitted:
    event = a_shipment(shop, order)
    return Admitted(
        Record("inbound.shipments", 0, 0, None, raw(event)), ShipmentRecorded.model_validate(event)
    )


def _return(shop: str, order: str = "o1") -> Admitted:
    event = a_return(shop, order)
    return Admitted(Record("inbound.returns", 0, 0, None, raw(event)), ReturnRecorded.model_validate(event))


async def test_a_batch_that_died_after_publishing_is_published_again_and_loses_nothing(
    parts: Parts, left: list[Taken], unique: str
) -> None:
    batch = [_shipment(unique, "o2"), _order(unique, "o1"), _order(unique, "o2")]
    with pytest.raises(Stopped):
        await parts.handle_and_die(batch)
    async with parts.pool.acquire() as connection, connection.transaction():
        await parts.intake.handle(connection, batch)
    await eventually(lambda: len(left) == 6, what=lambda: f"each twice: {left}")
    ids = sorted(record.event["id"] for record in left)
    assert ids == sorted(2 * ["order-o1", "order-o2", "shipment-o2"])


async def test_a_batch_that_died_before_publishing_has_left_no_trace(
    parts: Parts, left: list[Taken], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(_: Sequence[Outgoing]) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(parts.publisher, "publish", die)
        with pytest.raises(Stopped):
            async with parts.pool.acquire() as connection, connection.transaction():
                await parts.intake.handle(connection, [_order(unique)])
    async with parts.pool.acquire() as connection, connection.transaction():
        await parts.intake.handle(connection, [_order(unique)])
    await eventually(lambda: [record.event["id"] for record in left] == ["order-o1"])


async def test_a_batch_that_came_twice_after_its_commit_is_published_once(
    parts: Parts, left: list[Taken], unique: str
) -> None:
    for order in ("o1", "o1", "o2"):
        async with parts.pool.acquire() as connection, connection.transaction():
            await parts.intake.handle(connection, [_order(unique, order)])
    await eventually(lambda: len(left) >= 2)
    assert sorted(record.event["id"] for record in left) == ["order-o1", "order-o2"]


async def test_any_order_of_arrival_in_any_batches_gives_the_same_canonical_events(
    parts: Parts, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out: list[Outgoing] = []

    async def keep(outgoing: Sequence[Outgoing]) -> None:
        out.extend(outgoing)

    monkeypatch.setattr(parts.publisher, "publish", keep)
    results = set()
    for number, arrivals in enumerate(permutations(("order", "shipment", "return", "order"))):
        shop = f"{unique}-{number}"
        events = [
            {"order": _order, "shipment": _shipment, "return": _return}[kind](shop) for kind in arrivals
        ]
        for batch in (events[: number % 4], events[number % 4 :]):
            async with parts.pool.acquire() as connection:
                await parts.handle(connection, batch)
        results.add(frozenset((one.topic, one.key.removeprefix(shop.encode())) for one in out))
        assert len(out) == 3
        out.clear()
    assert results == {frozenset({("orders", b"|c1"), ("shipments", b"|c1"), ("returns", b"|c1")})}


async def test_two_workers_that_take_the_same_event_publish_it_once(
    parts: Parts, left: list[Taken], unique: str
) -> None:
    async with parts.pool.acquire() as one, parts.pool.acquire() as other:
        async with one.transaction():
            await parts.intake.handle(one, [_order(unique)])
            second = asyncio.ensure_future(parts.handle(other, [_order(unique), _order(unique, "o2")]))
            await eventually(lambda: _waits_for_a_lock(parts))
        await second
    await eventually(lambda: len(left) >= 2)
    assert [record.event["id"] for record in left] == ["order-o1", "order-o2"]


async def test_a_shipment_parked_while_another_worker_took_its_order_is_released_by_the_sweep(
    parts: Parts, left: list[Taken], unique: str
) -> None:
    async with parts.pool.acquire() as late, late.transaction():
        await parts.intake.handle(late, [_shipment(unique)])
        async with parts.pool.acquire() as early, early.transaction():
            await parts.intake.handle(early, [_order(unique)])
    await eventually(lambda: [record.event["id"] for record in left] == ["order-o1"])
    await parts.sweep.once()
    await eventually(lambda: [record.event["id"] for record in left] == ["order-o1", "shipment-o1"])
    assert left[1].event["customerid"] == "c1"
    assert await store.count_parked(parts.pool) == 0


@pytest.mark.parametrize("released_by", ["its order", "the sweep"])
async def test_a_dead_letter_of_what_cannot_be_read_any_more_when_its_order_comes_can_be_sent_again(
    parts: Parts, left: list[Taken], unique: str, monkeypatch: pytest.MonkeyPatch, released_by: str
) -> None:
    def forget_how(*_: object) -> NoReturn:
        raise EventError(Refusal.WRONG_SCHEMA, "a deploy that cannot read it")

    async with parts.pool.acquire() as connection:
        if released_by == "its order":
            await parts.handle(connection, [_shipment(unique)])
        with monkeypatch.context() as patched:
            patched.setattr(intake, "decode", forget_how)
            if released_by == "the sweep":
                await parts.handle(connection, [_shipment(unique)])
                await store.note_owners(connection, {(ShopId(unique), OrderId("o1")): CustomerId("c1")})
                await parts.sweep.once()
            else:
                await parts.handle(connection, [_order(unique)])
        await eventually(lambda: any(record.topic == "inbound.shipments.dead-letters" for record in left))
        await parts.handle(connection, [_shipment(unique)])
    await eventually(lambda: any(record.topic == "shipments" for record in left))


async def test_a_dead_letter_of_what_is_too_large_in_canonical_form_can_be_sent_again(
    parts: Parts, left: list[Taken], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with parts.pool.acquire() as connection:
        with monkeypatch.context() as patched:
            patched.setattr(intake, "MAX_RECORD_BYTES", 10)
            await parts.handle(connection, [_order(unique)])
        await eventually(lambda: [record.topic for record in left] == ["inbound.orders.dead-letters"])
        await parts.handle(connection, [_order(unique)])
    await eventually(lambda: [record.topic for record in left] == ["inbound.orders.dead-letters", "orders"])


async def _waits_for_a_lock(parts: Parts) -> bool:
    return bool(await parts.pool.fetchval(queries.someone_waits_for_a_lock))


async def test_ids_are_forgotten_only_when_they_are_old(parts: Parts, unique: str) -> None:
    async with parts.pool.acquire() as connection, connection.transaction():
        await parts.intake.handle(connection, [_order(unique)])
    await parts.sweep.once()
    assert await parts.pool.fetchval(queries.seen) == 1
    now = standing_clock().machine()
    await store.forget_seen(parts.pool, now + timedelta(days=1), 10)
    assert await parts.pool.fetchval(queries.seen) == 0
