"""The dispatcher as it is put together: topics in, a provider's far end and a topic out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer

from services.dispatcher.app import build
from services.dispatcher.intake import Intake
from services.dispatcher.ledger import Ledger
from services.dispatcher.people import People
from services.scheduler.guarding.throwing import read_switches, throw
from shared.db import create_pool, migrate
from shared.embedded import Infrastructure
from shared.events import Channel, EngagementKind, EngagementRecorded, Event
from shared.ids import partition_key
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.switches import Scope, Switchboard
from shared.topics import CUSTOMERS, ENGAGEMENT, MESSAGES
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import FakeTwilio
from tests.support.broker import fresh_topics
from tests.support.dispatching import MIGRATIONS, StandingClock, queries, settings_for
from tests.support.messages import START, admitted, customer, engagement, message
from tests.support.waiting import eventually


@pytest.fixture
async def far_end(tmp_path: Path) -> AsyncIterator[tuple[FakeSmtp, FakeTwilio]]:
    smtp, twilio = FakeSmtp(tmp_path / "smtp"), FakeTwilio(tmp_path / "twilio")
    await smtp.start()
    await twilio.start()
    yield smtp, twilio
    await smtp.stop()
    await twilio.stop()


@pytest.fixture
async def settings(
    infrastructure: Infrastructure, database_url: str, far_end: tuple[FakeSmtp, FakeTwilio]
) -> Settings:
    changes: dict[str, Any] = {
        "kafka_bootstrap_servers": infrastructure.bootstrap_servers,
        "topic_partitions": 2,
    }
    found = settings_for(database_url, *far_end, **changes)
    await fresh_topics(found)
    await migrate(database_url, "dispatcher", MIGRATIONS)
    return found


async def _produce(settings: Settings, *records: tuple[str, bytes, Event]) -> None:
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    for topic, key, event in records:
        await producer.send_and_wait(topic, event.encode(), key)
    await producer.stop()


def _keyed(topic: str, event: Event) -> tuple[str, bytes, Event]:
    return topic, partition_key(event.shopid, event.customerid or ""), event


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[str]:
    """Run every loop and serve the routes, as the service's frame does; yields the base URL."""
    stopping = asyncio.Event()
    async with build(settings, StandingClock()) as running:
        app = web.Application()
        app.add_routes(running.routes)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        loops = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
        await eventually(lambda: all(running.ready().values()), what="readiness")
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            stopping.set()
            await asyncio.gather(*loops)
            await runner.cleanup()


async def _told(settings: Settings, number: int) -> Sequence[EngagementRecorded]:
    """Return the first `number` events of `engagement`."""
    consumer = AIOKafkaConsumer(
        ENGAGEMENT.name, bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        records = [await asyncio.wait_for(consumer.getone(), 20) for _ in range(number)]
    finally:
        await consumer.stop()
    return [EngagementRecorded.model_validate_json(record.value) for record in records]


async def test_messages_leave_and_what_became_of_them_is_published(
    settings: Settings, far_end: tuple[FakeSmtp, FakeTwilio]
) -> None:
    mail, text = message(1), message(2, Channel.SMS)
    people = [_keyed(CUSTOMERS.name, customer(number)) for number in (1, 2)]
    await _produce(settings, *people, _keyed(MESSAGES.name, mail), _keyed(MESSAGES.name, text))
    async with _serving(settings) as url, aiohttp.ClientSession() as session:
        told = await _told(settings, 2)
        async with session.get(f"{url}/v1/status") as answer:
            status = await answer.json()
    assert status["messages"] | {"accepted": 2} == status["messages"]
    assert {(event.data.message_id, event.data.kind, event.customerid) for event in told} == {
        (str(mail.data.message_id), "accepted", "c1"),
        (str(text.data.message_id), "accepted", "c2"),
    }
    smtp, twilio = far_end
    assert [entry["message_id"] for entry in smtp.received()] == [str(mail.data.message_id)]
    assert [entry["k"] for entry in twilio.received()] == [str(text.data.message_id)]


async def test_signed_call_backs_prove_arrival_and_a_stop_is_heard(
    settings: Settings, far_end: tuple[FakeSmtp, FakeTwilio]
) -> None:
    text, later = message(1, Channel.SMS), message(1, Channel.SMS)
    _, twilio = far_end
    async with _serving(settings) as url:
        twilio.callback_url = f"{url}/callbacks/twilio"
        twilio.public_url = f"{settings.public_url}/callbacks/twilio"
        await _produce(settings, _keyed(CUSTOMERS.name, customer(1)), _keyed(MESSAGES.name, text))
        await eventually(lambda: _status(url, "messages", "confirmed", 1), what="the call-back")
        twilio.inbound(text.data.recipient, "Stop")
        await twilio.settle()
        await _produce(settings, _keyed(MESSAGES.name, later))
        await eventually(lambda: _status(url, "messages", "withheld", 1), what="the stop to be heeded")
        told = await _told(settings, 4)
    kinds = [event.data.kind for event in told]
    assert sorted(kinds) == ["accepted", "delivered", "unsubscribed", "withheld"]
    assert {entry["status"] for entry in twilio.called_back()} == {200}
    assert len(twilio.received()) == 1


async def test_a_text_whose_answer_was_lost_is_found_at_its_provider(
    settings: Settings, far_end: tuple[FakeSmtp, FakeTwilio]
) -> None:
    text = message(1, Channel.SMS)
    _, twilio = far_end
    twilio.faults.script.append("drop_after")
    changes = {"reconcile_seconds": 0.2, "reconcile_after_seconds": 0.0}
    await _produce(settings, _keyed(CUSTOMERS.name, customer(1)), _keyed(MESSAGES.name, text))
    async with _serving(settings.model_copy(update=changes)) as url:
        await eventually(lambda: _status(url, "messages", "accepted", 1), what="the query")
        told = await _told(settings, 2)
    assert [event.data.kind for event in told] == ["unknown", "accepted"]
    assert len(twilio.received()) == 1


async def test_a_pause_thrown_while_it_runs_is_seen_holds_through_a_restart_and_ends_with_the_resume(
    settings: Settings, far_end: tuple[FakeSmtp, FakeTwilio]
) -> None:
    event, clock, scope = message(1), StandingClock(), Scope("skincare", "skincare")
    smtp, _ = far_end
    async with _serving(settings) as url:
        nothing = await read_switches(settings, 10)
        await throw(settings, clock, nothing, scope, "pause", "ada", "wrong price")
        await eventually(lambda: _status(url, "switches", "pause", 1), 5, "the pause to be seen")
    await _produce(settings, _keyed(CUSTOMERS.name, customer(1)), _keyed(MESSAGES.name, event))
    async with _serving(settings) as url:
        await eventually(lambda: _status(url, "messages", "intended", 1))
        assert smtp.received() == []
        board = await read_switches(settings, 10)
        assert [switch.control.why for switch in board.thrown()] == ["wrong price"]
        await throw(settings, clock, board, scope, "resume", "ada", "mended")
        await eventually(lambda: len(smtp.received()) == 1, what="the message to leave")


async def test_a_stop_of_everything_withholds_what_is_queued(
    settings: Settings, far_end: tuple[FakeSmtp, FakeTwilio]
) -> None:
    await throw(settings, StandingClock(), Switchboard(), Scope(), "stop", "ada", "harm")
    await _produce(settings, _keyed(CUSTOMERS.name, customer(1)), _keyed(MESSAGES.name, message(1)))
    async with _serving(settings):
        (told,) = await _told(settings, 1)
    assert (told.data.kind, told.data.reason) == ("withheld", "stopped")
    smtp, _ = far_end
    assert smtp.received() == []


async def _status(url: str, part: str, name: str, count: int) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/status") as answer:
        return bool((await answer.json())[part].get(name) == count)


async def test_who_unsubscribed_while_nobody_listened_gets_nothing(
    settings: Settings, far_end: tuple[FakeSmtp, FakeTwilio]
) -> None:
    event, clock = message(1), StandingClock()
    await _produce(settings, _keyed(CUSTOMERS.name, customer(1)))
    async with _serving(settings):
        pass
    pool = await create_pool(settings, "dispatcher")
    await pool.execute(queries.put_back_hours, 2)
    async with pool.acquire() as connection, connection.transaction():
        ledger = Ledger(uuid4(), clock, 30, People.of(settings, clock))
        await Intake(ledger, clock, lambda: None).handle(connection, [admitted(event)])
    await pool.close()
    stop = engagement(1, EngagementKind.UNSUBSCRIBED, START)
    await _produce(settings, _keyed(ENGAGEMENT.name, stop))
    async with _serving(settings):
        _, told = await _told(settings, 2)
    assert (told.data.kind, told.data.reason) == ("withheld", "no_consent")
    smtp, _ = far_end
    assert smtp.received() == []
