"""The page's process beside the scheduler's, on real Kafka and PostgreSQL: from a checkout to the topics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.scheduler import app as scheduler
from services.scheduler.page import app as offers
from shared import events
from shared.db import migrate
from shared.embedded import Infrastructure
from shared.events import Candidate, DecisionRecorded, EngagementRecorded, decode
from shared.ids import partition_key
from shared.kafka.producer import make_producer
from shared.service import Build
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, DECISIONS, ENGAGEMENT, ORDERS, Topic
from tests.support import eventually
from tests.support.broker import fresh_topics
from tests.support.paging import SHOP, asked, page_journey
from tests.support.samples import START, order
from tests.support.scheduling import MIGRATIONS, MovedClock, envelope


@pytest.fixture
async def settings(infrastructure: Infrastructure, database_url: str, tmp_path: Path) -> Settings:
    (tmp_path / "page.yaml").write_bytes(
        orjson.dumps(page_journey().model_dump(mode="json", exclude_defaults=True))
    )
    made = Settings(
        kafka_bootstrap_servers=infrastructure.bootstrap_servers,
        database_url=database_url,
        journeys_dir=tmp_path,
        topic_partitions=2,
        thank_you_deadline_seconds=5,
    )
    await fresh_topics(made)
    await migrate(database_url, "scheduler", MIGRATIONS)
    return made


async def _sell(settings: Settings) -> None:
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    for name in ("cleanser", "toner"):
        product = events.Product(
            product_id=name,
            updated_at=START,
            name=name.title(),
            category="skin",
            price=Decimal(5),
            currency="USD",
        )
        listed = events.ProductRecorded(**envelope(SHOP, None, START), data=product)
        await producer.send_and_wait(CATALOG.name, listed.encode(), partition_key(SHOP, name))
    toner = Candidate(product_id="toner", score=0.5, support=200, relation="pair", reliable=True)
    found = events.Complements(product_id="cleanser", version=1, candidates=(toner,))
    said = events.ComplementsUpdated(**envelope(SHOP, None, START), data=found)
    await producer.send_and_wait(COMPLEMENTS.name, said.encode(), partition_key(SHOP, "cleanser"))
    await producer.send_and_wait(ORDERS.name, order(customer="c-0").encode(), partition_key(SHOP, "c-0"))
    await producer.stop()


@asynccontextmanager
async def _running(build: Build, settings: Settings) -> AsyncIterator[str]:
    stopping = asyncio.Event()
    async with build(settings, MovedClock()) as running:
        app = web.Application()
        app.add_routes(running.routes)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        loops = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
        await eventually(lambda: all(running.ready().values()), 40, running.ready)
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        stopping.set()
        await asyncio.gather(*loops)
        await runner.cleanup()


async def _on(settings: Settings, topic: Topic) -> list[tuple[int, bytes]]:
    """Return partition and value of every record on a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    partitions = [TopicPartition(topic.name, each) for each in range(settings.topic_partitions)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[tuple[int, bytes]] = []
    for tp in partitions:
        while await consumer.position(tp) < ends[tp]:
            for batch in (await consumer.getmany(tp, timeout_ms=500)).values():
                found += [(record.partition, record.value) for record in batch]
    await consumer.stop()
    return found


async def test_an_offer_is_made_accepted_and_told(settings: Settings) -> None:
    await _sell(settings)
    async with (
        _running(scheduler.build, settings),
        _running(offers.build, settings) as address,
        aiohttp.ClientSession() as client,
    ):

        async def offered() -> dict[str, str] | None:
            async with client.post(f"{address}/v1/offers/thank-you", json=asked()) as answer:
                assert answer.status == 200
                said = await answer.json()
            assert said["offer"] or said["reason"] == "stale_state", said
            found: dict[str, str] | None = said["offer"]
            return found

        offer = await eventually(offered, 30, "an offer, once partitions are read to their ends")
        assert offer is not None
        async with client.post(
            f"{address}/v1/offers/{offer['id']}/accept", json={"token": offer["token"]}
        ) as answer:
            assert answer.status == 200

        async def told() -> list[tuple[int, bytes]]:
            return await _on(settings, ENGAGEMENT)

        ((partition, value),) = await eventually(told, 30, "the acceptance")
        ((decided_in, record),) = await _on(settings, DECISIONS)
    accepted, decision = decode(value, [EngagementRecorded]), decode(record, [DecisionRecorded])
    assert accepted.data.message_id == str(decision.data.message_id) == offer["id"]
    expected = offers.partitioner(settings.topic_partitions)(SHOP, "c-1")
    assert partition == decided_in == expected
