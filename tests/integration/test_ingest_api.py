"""`POST /v1/events` in front of a real Kafka: what it takes, what it answers, and that a 2xx is never lost."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from shared.embedded import EmbeddedKafka, Infrastructure
from shared.events import MAX_RECORD_BYTES
from tests.support import eventually
from tests.support.ingest import (
    Ingest,
    a_shipment,
    an_order,
    ingest_running,
    own_database,
    prepare,
    raw,
    settings_for,
)

SHOP = f"t{secrets.token_hex(4)}"
SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture(scope="module")
async def running(infrastructure: Infrastructure) -> AsyncIterator[Ingest]:
    async with own_database(infrastructure, SHOP) as database_url:
        settings = settings_for(infrastructure, database_url, shops=SHOP)
        await prepare(settings)
        async with ingest_running(SHOP, settings) as ingest:
            yield ingest


@pytest.fixture
async def ingest(running: Ingest) -> Ingest:
    running.out.clear()
    return running


def _order(order: str | None = None) -> dict[str, object]:
    return an_order(SHOP, order or secrets.token_hex(6)) | {"id": secrets.token_hex(6)}


async def test_an_accepted_event_comes_out_on_its_canonical_topic(ingest: Ingest) -> None:
    order = _order()
    assert await ingest.post(order) == (202, {"accepted": 1})
    (record,) = await ingest.expect("orders")
    assert record.event["id"] == order["id"]


async def test_a_batch_is_taken_whole(ingest: Ingest) -> None:
    order = secrets.token_hex(6)
    shipment = a_shipment(SHOP, order) | {"id": secrets.token_hex(6)}
    assert await ingest.post([shipment, _order(order)], BATCH) == (202, {"accepted": 2})
    await ingest.expect("orders")
    await ingest.expect("shipments")


async def test_a_batch_with_bad_events_is_refused_whole_with_index_and_path_of_each(ingest: Ingest) -> None:
    late = an_order(SHOP, placed_at="2099-01-01T00:00:00Z")
    status, answer = await ingest.post([_order(), late, an_order(f"{SHOP}-not-ours")], BATCH)
    assert status == 422
    faults = [(fault["index"], fault["reason"], fault["path"]) for fault in answer["errors"]]
    assert faults == [(1, "far_future", "data.placed_at"), (2, "wrong_shop", "shopid")]
    assert await ingest.post(_order()) == (202, {"accepted": 1})
    await ingest.expect("orders")


async def test_binary_mode_is_taken(ingest: Ingest) -> None:
    order = _order()
    headers = {f"ce-{name}": str(value) for name, value in order.items() if name != "data"}
    async with ingest.client.post(
        "/v1/events", data=raw(order["data"]), headers=headers | {"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 202
    (record,) = await ingest.expect("orders")
    assert record.event["id"] == order["id"]


async def test_other_media_types_are_answered_415(ingest: Ingest) -> None:
    status, answer = await ingest.post(_order(), "text/plain")
    assert (status, answer["errors"][0]["reason"]) == (415, "unsupported_media_type")


async def test_a_body_over_the_limit_is_answered_413(ingest: Ingest) -> None:
    status, answer = await ingest.post(b" " * (MAX_RECORD_BYTES + 1))
    assert (status, answer["errors"][0]["reason"]) == (413, "too_large")


async def test_an_event_that_grows_over_the_limit_on_the_way_is_answered_413(ingest: Ingest) -> None:
    line = b'{"product_id":1,"quantity":1,"unit_price":1},'
    lines = (line * (MAX_RECORD_BYTES // len(line) - 20)).rstrip(b",")
    event = raw(_order()).replace(b'"lines": [', b'"lines": [' + lines + b",")
    assert len(event) < MAX_RECORD_BYTES
    status, answer = await ingest.post(event)
    assert (status, answer["errors"][0]["reason"]) == (413, "too_large")


async def test_the_openapi_document_is_valid_and_fits_what_is_answered(ingest: Ingest) -> None:
    async with ingest.client.get("/openapi.json") as answer:
        document = await answer.json()
    api = OpenAPI.from_dict(document)
    for body, media in (([], BATCH), ([{}], BATCH), (b"{", SINGLE), ({}, "text/plain")):
        status, said = await ingest.post(body, media)
        request = MockRequest("http://localhost", "post", "/v1/events")
        api.validate_response(request, MockResponse(raw(said), status, content_type="application/json"))


async def test_status_counts_what_came_of_events(ingest: Ingest) -> None:
    before = await ingest.status()
    order = _order()
    await ingest.post([order, order, _order()], BATCH)
    await ingest.count("duplicates", before["duplicates"] + 1)
    await ingest.expect("orders", 2)
    await ingest.count("lag", 0)
    after = await ingest.status()
    assert after["accepted"]["orders"] == before["accepted"].get("orders", 0) + 2
    assert after["in_flight"] == 0


@asynccontextmanager
async def _beside_its_own_broker(
    folder: Path, database_url: str, infrastructure: Infrastructure, limit: int
) -> AsyncIterator[tuple[Ingest, EmbeddedKafka]]:
    with EmbeddedKafka(folder / "kafka") as broker:
        settings = settings_for(
            infrastructure,
            database_url,
            kafka_bootstrap_servers=broker.bootstrap,
            ingest_ack_seconds=0.3,
            ingest_inflight_limit=limit,
        )
        await prepare(settings)
        async with ingest_running(SHOP, settings) as ingest:
            yield ingest, broker


async def test_while_kafka_is_away_the_answer_is_503_then_429_and_afterwards_nothing_is_lost(
    infrastructure: Infrastructure, database_url: str, tmp_path: Path
) -> None:
    orders = [_order() for _ in range(6)]
    async with _beside_its_own_broker(tmp_path, database_url, infrastructure, limit=3) as (ingest, broker):
        assert await ingest.post(orders[0]) == (202, {"accepted": 1})
        await ingest.expect("orders")
        await eventually(lambda: all(ingest.running.ready().values()))
        broker.kill()
        answers = [await _raw_post(ingest, order) for order in orders[1:5]]
        assert answers == [(503, "2"), (503, "2"), (503, "2"), (429, "1")]
        await eventually(lambda: not ingest.running.ready()["kafka"])
        await asyncio.to_thread(broker.start)
        await eventually(lambda: ingest.running.ready()["kafka"])
        await eventually(lambda: _is_taken(ingest, orders), deadline=60)
        await eventually(
            lambda: (
                {record.event["id"] for record in ingest.on("orders")} == {order["id"] for order in orders}
            ),
            deadline=60,
        )


async def _raw_post(ingest: Ingest, order: dict[str, object]) -> tuple[int, str]:
    headers = {"Content-Type": SINGLE}
    async with ingest.client.post("/v1/events", data=raw(order), headers=headers) as answer:
        return answer.status, answer.headers["Retry-After"]


async def _is_taken(ingest: Ingest, orders: list[dict[str, object]]) -> bool:
    """Send everything again, as a producer must after a 503."""
    answers = [await ingest.post(order) for order in orders]
    return all(status == 202 for status, _ in answers)
