"""The whole service on real Kafka and PostgreSQL: from events to messages, across restarts, with time that is moved."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession, web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from click.testing import CliRunner

from demo.live import stand_still
from services.cli import cli
from services.scheduler.app import build
from services.scheduler.domain import Published
from services.scheduler.guarding.throwing import read_switches, throw
from services.scheduler.poller import Poller
from services.scheduler.publish import Publisher
from shared import events
from shared.db import create_pool, migrate
from shared.embedded import Infrastructure
from shared.events import EngagementKind, Event, decode
from shared.ids import partition_key
from shared.kafka.outbox import Outgoing, Relay, put
from shared.kafka.positions import PositionedConsumer
from shared.kafka.producer import make_producer
from shared.service import Running
from shared.settings import Settings
from shared.switches import GUARD, Scope, Switchboard
from shared.topics import (
    COMPLEMENTS,
    CONTROLS,
    CUSTOMERS,
    DECISIONS,
    INBOUND_CUSTOMERS,
    MESSAGES,
    ORDERS,
    RETURNS,
    Topic,
)
from tests.support import eventually
from tests.support.broker import fresh_topics
from tests.support.samples import START, engagement, order
from tests.support.scheduling import (
    MIGRATIONS,
    TOPIC_OF,
    MovedClock,
    delivered,
    envelope,
    journey,
    journey_text,
    profile,
    queries,
)

SHOP = "skincare"
HOUR = timedelta(hours=1)


class Stand:
    """A broker with empty topics, an empty store, and a clock that the test moves."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, pool: asyncpg.Pool) -> None:
        self.settings, self.producer, self.pool = settings, producer, pool
        self.clock = MovedClock()
        self.running: Running | None = None

    def ready(self) -> dict[str, bool]:
        """Return what the service that was started last says of its readiness."""
        assert self.running is not None
        return self.running.ready()

    def change(self, **changes: object) -> None:
        """Write another text of the journey."""
        (self.settings.journeys_dir / "routine.yaml").write_text(json.dumps(journey_text(SHOP, **changes)))

    async def tell(self, *news: Event) -> None:
        for event in news:
            subject = event.customerid or event.data.product_id
            topic = TOPIC_OF[type(event)].name
            await self.producer.send_and_wait(topic, event.encode(), partition_key(event.shopid, subject))

    async def end(self, topic: str) -> int:
        """Return the end of a topic of one partition."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap_servers)
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(topic, 0)])
        await consumer.stop()
        return sum(ends.values())

    @asynccontextmanager
    async def service(self) -> AsyncIterator[str]:
        """Run the service; yields its address."""
        stopping = asyncio.Event()
        async with build(self.settings, self.clock) as running:
            self.running, runner = running, await _serve(running)
            loops = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
            try:
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            finally:
                stopping.set()
                await asyncio.gather(*loops)
                await runner.cleanup()

    async def read(self, topic: Topic) -> list[Any]:
        """Return the data of all records on a topic, in the order of partitions and offsets."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap_servers)
        await consumer.start()
        partitions = [TopicPartition(topic.name, each) for each in range(self.settings.topic_partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        for tp in partitions:
            while await consumer.position(tp) < ends[tp]:
                for batch in (await consumer.getmany(tp, timeout_ms=500)).values():
                    found += [decode(record.value, topic.types).data for record in batch]
        await consumer.stop()
        return found

    async def wait_for(self, topic: Topic, count: int) -> list[Any]:
        """Return what is on a topic once there are so many records."""

        async def there() -> list[Any]:
            found = await self.read(topic)
            return found if len(found) >= count else []

        return list(await eventually(there, 30, f"{count} records on {topic.name}"))

    async def wait_for_steps(self, count: int) -> None:
        """Wait until so many due steps are stored."""

        async def there() -> bool:
            return len(await self.pool.fetch(queries.steps)) == count

        await eventually(there, 30, f"{count} due steps")


async def _serve(running: Running) -> web.AppRunner:
    app = web.Application()
    app.add_routes(running.routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


@pytest.fixture
async def stand(infrastructure: Infrastructure, database_url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    (tmp_path / "routine.yaml").write_text(json.dumps(journey_text(SHOP)))
    settings = Settings(
        kafka_bootstrap_servers=infrastructure.bootstrap_servers,
        database_url=database_url,
        topic_partitions=2,
        journeys_dir=tmp_path,
        catch_up_per_second=0,
    )
    await fresh_topics(settings)
    await migrate(database_url, "scheduler", MIGRATIONS)
    pool = await create_pool(settings, "scheduler")
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    ready = Stand(settings, producer, pool)
    await ready.tell(*_shelf())
    yield ready
    await producer.stop()
    await pool.close()


def _shelf() -> Sequence[Event]:
    products = [
        events.Product(product_id=each, updated_at=START, name=each, price=Decimal(5), currency="USD")
        for each in ("cleanser", "toner")
    ]
    toner = events.Candidate(product_id="toner", score=0.3, support=200, relation="pair", reliable=True)
    found = events.Complements(product_id="cleanser", version=3, candidates=(toner,))
    return [
        *(events.ProductRecorded(**envelope(SHOP, None, START), data=each) for each in products),
        events.ComplementsUpdated(**envelope(SHOP, None, START), data=found),
    ]


async def test_an_order_becomes_the_right_message_at_the_right_time(stand: Stand) -> None:
    await stand.tell(profile(SHOP, "c-1"), order())
    async with stand.service() as url:
        await stand.wait_for_steps(2)
        assert await stand.read(DECISIONS) == []
        stand.clock.now = START + HOUR
        (message,) = await stand.wait_for(MESSAGES, 1)
        (decision,) = await stand.wait_for(DECISIONS, 1)
        assert message.decision_id == decision.decision_id
        assert message.recipient == "c-1@example.com"
        assert [each.product_id for each in decision.offer.products] == ["toner"]
        assert decision.complements_version == 3
        async with ClientSession() as http, http.get(f"{url}/v1/status") as answer:
            status = await answer.json()
        assert (status["waiting"], status["overdue"], status["decided"]) == (1, 0, {"send": 1})
        assert status["fresh_partitions"] == [0, 1]


async def test_a_restart_goes_on_where_the_last_run_stopped(stand: Stand) -> None:
    customers = [f"c-{number}" for number in range(20)]
    async with stand.service():
        await stand.tell(*(profile(SHOP, each) for each in customers))
        await stand.tell(*(order(customer=each) for each in customers))
        await stand.wait_for_steps(40)
        stand.clock.now = START + HOUR
        await stand.wait_for(DECISIONS, 20)
    await stand.tell(*(order(customer=each) for each in customers))
    await stand.tell(*(delivered(SHOP, each, "o-1", START + HOUR) for each in customers))
    async with stand.service():
        await stand.wait_for_steps(40)
        stand.clock.now = START + 30 * HOUR
        decisions = await stand.wait_for(DECISIONS, 60)
    assert len({each.message_id for each in decisions}) == len(decisions) == 60


async def test_after_an_outage_nothing_is_decided_before_all_news_is_in(
    stand: Stand,
) -> None:
    await stand.tell(profile(SHOP, "c-1"), order())
    async with stand.service():
        await stand.wait_for_steps(2)
    await stand.tell(profile(SHOP, "c-1", version=2, at=START + timedelta(minutes=30), consent=False))
    stand.clock.now = START + HOUR
    await stand.pool.execute(queries.age_positions)
    async with stand.service():
        (decision,) = await stand.wait_for(DECISIONS, 1)
    assert (decision.verdict, decision.reason) == ("skip", "no_consent")


async def test_nothing_is_decided_before_the_complements_have_been_read(stand: Stand) -> None:
    stand.clock.now = START + HOUR
    await stand.tell(profile(SHOP, "c-1"), order())
    newer = [each for each in _shelf() if isinstance(each, events.ComplementsUpdated)]
    await stand.tell(*(newer * 50))
    async with stand.service():
        (decision,) = await stand.wait_for(DECISIONS, 1)
    assert decision.verdict == "send"
    assert len(await stand.read(COMPLEMENTS)) == 51


async def test_a_new_version_of_a_journey_moves_the_people_who_wait(stand: Stand) -> None:
    await stand.tell(profile(SHOP, "c-1"), order())
    async with stand.service():
        await stand.wait_for_steps(2)
    stand.change(steps=journey_text(SHOP)["steps"][:1])
    async with stand.service():
        await stand.wait_for_steps(1)
        assert await stand.pool.fetchval(queries.versions) == 2


@pytest.mark.parametrize("part", [PositionedConsumer, Poller])
async def test_it_serves_at_once_but_is_ready_and_reads_and_decides_only_after_all_have_moved(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, part: type[PositionedConsumer | Poller]
) -> None:
    await stand.tell(profile(SHOP, "c-1"), order())
    async with stand.service():
        await stand.wait_for_steps(2)
    stand.change(steps=journey_text(SHOP)["steps"][:1])
    await stand.tell(profile(SHOP, "c-2"), order(customer="c-2"))
    began, run = [], part.run

    async def noted(self: Any, stopping: asyncio.Event) -> None:  # noqa: ANN401  either part
        began.append(stand.ready()["journeys"])
        await run(self, stopping)

    monkeypatch.setattr(part, "run", noted)
    async with stand.pool.acquire() as connection:
        held = connection.transaction()
        await held.start()
        await connection.execute(queries.hold_customers)
        async with stand.service() as url:
            await eventually(lambda: stand.ready()["views"])
            async with ClientSession() as http, http.get(f"{url}/v1/status") as answer:
                assert answer.status == 200
            assert (stand.ready()["journeys"], stand.ready()["consumer"]) == (False, False)
            assert len(await stand.pool.fetch(queries.steps)) == 2
            assert began == []
            await held.rollback()
            await eventually(lambda: all(stand.ready().values()) and began)
            assert began == [True]
            assert [row["step"] for row in await stand.pool.fetch(queries.steps)] == ["pair", "pair"]


async def test_a_running_process_takes_up_what_another_publishes_without_a_restart(stand: Stand) -> None:
    await stand.tell(profile(SHOP, "c-1"), order())
    stopping = asyncio.Event()
    async with build(stand.settings, stand.clock) as old:
        loops = [asyncio.ensure_future(loop(stopping)) for loop in old.loops]
        await stand.wait_for_steps(2)
        only = journey(SHOP, steps=journey_text(SHOP)["steps"][:1])
        await Publisher(stand.pool, Published.of([only]), stand.clock).run_once()
        await stand.wait_for_steps(1)
        stand.clock.now = START + HOUR
        await stand.wait_for(DECISIONS, 1)
        assert not any(loop.done() for loop in loops)
        stopping.set()
        await asyncio.gather(*loops)
    decided = await stand.read(DECISIONS)
    assert [each.journey_version for each in decided] == [only.version]


async def test_a_try_says_what_comes_next_and_sends_a_tester_one_of_it_without_touching_the_customer(
    stand: Stand, tmp_path: Path
) -> None:
    await stand.tell(profile(SHOP, "c-1"), order(), delivered(SHOP, "c-1", "o-1"))
    async with stand.service():
        await stand.wait_for_steps(3)
    stand_still(tmp_path / "time", START)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": stand.settings.kafka_bootstrap_servers,
        "DATABASE_URL": stand.settings.database_url.get_secret_value(),
        "ORDERWAKE_BUSINESS_TIME": f"file:{tmp_path / 'time'}",
    }
    before = [dict(row) for row in await stand.pool.fetch(queries.steps)]
    told = ("--as", "c-1", "--shop", SHOP, "--send-to", "tester@example.com", "--yes", "--json")
    result = await asyncio.to_thread(CliRunner(env=environment).invoke, cli, ["journeys", "try", *told])
    assert result.exit_code == 0, result.output
    said = [
        (each["step"], each["verdict"], each["reason"], [rule["rule"] for rule in each["objections"]])
        for each in json.loads(result.stdout)["next"]
    ]
    assert said[0] == ("pair", "send", None, [])
    assert [(step, verdict) for step, verdict, *_ in said][1:] == [("second", "send"), ("check", "skip")]
    assert said[2][2:] == ("capped", ["capped", "quiet_hours"])
    assert [dict(row) for row in await stand.pool.fetch(queries.steps)] == before
    assert await stand.read(DECISIONS) == []
    (message,) = await stand.wait_for(MESSAGES, 1)
    assert (message.recipient, message.step) == ("tester@example.com", "pair")
    assert str(message.message_id) not in {str(row["message_id"]) for row in before}
    (tester,) = await stand.read(INBOUND_CUSTOMERS)
    assert (tester.email, tester.staff, tester.consent["email"].granted) == ("tester@example.com", True, True)


async def test_what_nobody_can_read_becomes_a_dead_letter_and_the_rest_goes_on(stand: Stand) -> None:
    bad = [
        (ORDERS, b"skincare|c-1", b"not json"),
        (ORDERS, b"skincare|c-2", order().encode()),
        (CUSTOMERS, b"no-customer", None),
        (RETURNS, b"skincare|c-1", None),
    ]
    for topic, key, value in bad:
        await stand.producer.send_and_wait(topic.name, value, key)
    await stand.tell(order())
    async with stand.service():
        await stand.wait_for_steps(2)
        found = [await stand.end(topic.dead_letters) for topic in (ORDERS, CUSTOMERS, RETURNS)]
    assert found == [2, 1, 1]


async def test_a_pause_thrown_while_it_runs_holds_through_a_restart_until_the_resume(stand: Stand) -> None:
    await stand.tell(profile(SHOP, "c-1"), order())
    scope = Scope(SHOP, f"{SHOP}-routine")
    async with stand.service() as url:
        await stand.wait_for_steps(2)
        await throw(stand.settings, stand.clock, Switchboard(), scope, "pause", "ada", "wrong price")

        async def seen() -> bool:
            return bool((await _status(url))["switches"] == {"pause": 1})

        await eventually(seen, 5, "the pause to be seen")
        stand.clock.now = START + HOUR
    async with stand.service() as url:

        async def held() -> bool:
            status = await _status(url)
            return bool(status["undecided"] == 1 and status["fresh_partitions"] == [0, 1])

        await eventually(held)
        assert await stand.read(DECISIONS) == []
        board = await read_switches(stand.settings, 10)
        await throw(stand.settings, stand.clock, board, scope, "resume", "ada", "mended")
        (decision,) = await stand.wait_for(DECISIONS, 1)
        assert decision.verdict == "send"


async def test_what_comes_due_while_stopped_is_skipped_with_who_and_why_and_later_steps_go(
    stand: Stand,
) -> None:
    await stand.tell(profile(SHOP, "c-1"), order())
    await throw(stand.settings, stand.clock, Switchboard(), Scope(), "stop", "ada", "complaints")
    async with stand.service():
        await stand.wait_for_steps(2)
        stand.clock.now = START + HOUR
        (skipped,) = await stand.wait_for(DECISIONS, 1)
        assert (skipped.verdict, skipped.reason) == ("skip", "journey_stopped")
        (rule,) = [each for each in skipped.rules if each.rule == "journey_stopped"]
        assert rule.inputs["stopped"] == "ada: complaints"
        board = await read_switches(stand.settings, 10)
        await throw(stand.settings, stand.clock, board, Scope(), "resume", "ada", "mended")

        async def seen() -> bool:
            return not (await read_switches(stand.settings, 10)).thrown()

        await eventually(seen)
    async with stand.service():
        stand.clock.now = START + 5 * HOUR
        found = await stand.wait_for(DECISIONS, 2)
    assert [each.verdict for each in found if each.step == "second"] == ["send"]


async def test_a_journey_whose_readers_complain_is_stopped_by_the_service_itself(stand: Stand) -> None:
    shops = stand.settings.journeys_dir / "shops"
    shops.mkdir()
    (shops / f"{SHOP}.yaml").write_text(json.dumps({"shop": SHOP, "guards": {"least": 10}}))
    people = [f"c-{number}" for number in range(12)]
    async with stand.service():
        await stand.tell(
            *(profile(SHOP, each) for each in people), *(order(customer=each) for each in people)
        )
        await stand.wait_for_steps(2 * len(people))
        stand.clock.now = START + HOUR
        for sent in (await stand.wait_for(MESSAGES, len(people)))[:6]:
            customer = sent.recipient.partition("@")[0]
            await stand.tell(engagement(sent.message_id, EngagementKind.COMPLAINED, customer=customer))
        (stop,) = await stand.wait_for(CONTROLS, 1)
        assert (stop.action, stop.journey, stop.set_by) == ("stop", f"{SHOP}-routine", GUARD)
        assert "complaints" in stop.why

        async def seen() -> bool:
            return bool((await read_switches(stand.settings, 10)).thrown())

        await eventually(seen)
    async with stand.service():
        stand.clock.now = START + 5 * HOUR
        found = await stand.wait_for(DECISIONS, 2 * len(people))
    late = [each for each in found if each.step == "second"]
    assert {each.verdict for each in late} == {"skip"}
    assert all(
        any(rule.rule == "journey_stopped" and rule.outcome == "drop" for rule in each.rules) for each in late
    )


async def _status(url: str) -> dict[str, Any]:
    async with ClientSession() as http, http.get(f"{url}/v1/status") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def test_what_a_dying_relay_published_is_published_again_as_the_same_record(stand: Stand) -> None:
    rows = [Outgoing(DECISIONS.name, b"skincare|c-1", b'{"n": %d}' % number) for number in range(5)]
    async with stand.pool.acquire() as connection:
        await put(connection, rows)
    for row in rows[:3]:
        await stand.producer.send_and_wait(row.topic, row.value, row.key)
    relay = Relay(stand.pool, stand.producer)
    assert await relay.run_once() == len(rows)
    assert await relay.run_once() == 0
    consumer = AIOKafkaConsumer(bootstrap_servers=stand.settings.kafka_bootstrap_servers)
    await consumer.start()
    consumer.assign([TopicPartition(DECISIONS.name, each) for each in range(2)])
    await consumer.seek_to_beginning()
    seen = [(await consumer.getone()).value for _ in range(8)]
    await consumer.stop()
    assert set(seen) == {row.value for row in rows}
