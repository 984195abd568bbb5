"""Effects and positions are there together or not at all, whatever happens between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared import topics
from shared.clock import SystemClock
from shared.db import create_pool, migrate
from shared.embedded import Infrastructure
from shared.events import OrderRecorded
from shared.kafka.guard import Guard
from shared.kafka.outbox import Outgoing, Relay, put
from shared.kafka.positions import PositionedConsumer
from shared.kafka.producer import make_producer
from shared.kafka.records import Admitted
from shared.settings import Settings, load
from tests.support import eventually
from tests.support.broker import fresh_topics

SERVICE = "positions"
MIGRATION = "CREATE TABLE effects (event_id text NOT NULL);"
Handle = Callable[[Any, Sequence[Admitted]], Awaitable[None]]


async def note(connection: Any, batch: Sequence[Admitted]) -> None:  # noqa: ANN401  a pool's proxy
    for admitted in batch:
        if admitted.event:
            await connection.execute("INSERT INTO effects VALUES ($1)", admitted.event.id)


class Bench:
    """A store, a producer and consumers over the `orders` topic."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool, producer: AIOKafkaProducer) -> None:
        self.settings, self.pool, self.producer = settings, pool, producer

    async def produce(self, start: int, count: int) -> None:
        for number in range(start, start + count):
            await self.send(b"skincare|c-%d" % (number % 7), an_order(number))

    async def send(self, key: bytes, value: bytes | None) -> None:
        await self.producer.send_and_wait(topics.ORDERS.name, value, key)

    @asynccontextmanager
    async def consuming(self, handle: Handle = note) -> AsyncIterator[PositionedConsumer]:
        consumer = PositionedConsumer(
            service=SERVICE, topics=[topics.ORDERS], pool=self.pool, settings=self.settings, clock=SystemClock(),
            guard=Guard(SERVICE, self.producer, 5, 100), handle=handle,
        )  # fmt: skip
        stopping = asyncio.Event()
        task = asyncio.ensure_future(consumer.run(stopping))
        try:
            yield consumer
        finally:
            stopping.set()
            await task

    async def effects(self) -> list[str]:
        return sorted(
            [row["event_id"] for row in await self.pool.fetch("SELECT event_id FROM effects")], key=int
        )

    async def wait_for(self, count: int) -> None:
        async def there() -> bool:
            return len(await self.effects()) >= count

        await eventually(there, 30, f"{count} effects")


def an_order(number: int) -> bytes:
    return OrderRecorded.model_validate({
        "id": str(number), "source": "test", "time": "2026-03-02T00:00:00Z", "shopid": "skincare",
        "customerid": f"c-{number % 7}",
        "data": {
            "order_id": f"o-{number}", "placed_at": "2026-03-02T00:00:00Z", "currency": "USD", "total": 1,
            "lines": [{"product_id": "p", "quantity": 1, "unit_price": 1}],
        },
    }).encode()  # fmt: skip


@pytest.fixture
async def bench(infrastructure: Infrastructure, database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    settings = load({
        **infrastructure.environment, "DATABASE_URL": database_url, "ORDERWAKE_TOPIC_PARTITIONS": "2",
        "ORDERWAKE_BATCH_RECORDS": "20",
    })  # fmt: skip
    await fresh_topics(settings)
    (tmp_path / "0001_effects.sql").write_text(MIGRATION)
    await migrate(database_url, SERVICE, tmp_path)
    pool = await create_pool(settings, SERVICE)
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    yield Bench(settings, pool, producer)
    await producer.stop()
    await pool.close()


async def test_every_record_has_its_effect_once_across_a_restart(bench: Bench) -> None:
    await bench.produce(0, 60)
    async with bench.consuming():
        await bench.wait_for(30)
    await bench.produce(60, 40)
    async with bench.consuming():
        await bench.wait_for(100)
    assert await bench.effects() == [str(number) for number in range(100)]


async def test_a_batch_that_fails_half_way_leaves_neither_effect_nor_position(bench: Bench) -> None:
    await bench.produce(0, 10)

    async def fail_after(connection: Any, batch: Sequence[Admitted]) -> None:  # noqa: ANN401  a pool's proxy
        await note(connection, batch)
        raise ArithmeticError

    with suppress(ArithmeticError):
        async with bench.consuming(fail_after) as consumer:
            await eventually(lambda: consumer._consumer is None, what="the consumer to have failed")  # noqa: SLF001  nothing public tells
    assert await bench.effects() == []
    async with bench.consuming():
        await bench.wait_for(10)
    assert await bench.effects() == [str(number) for number in range(10)]


async def test_postgresql_and_not_kafka_says_where_to_go_on(bench: Bench) -> None:
    await bench.produce(0, 20)
    async with bench.consuming():
        await bench.wait_for(20)
    await bench.pool.execute("UPDATE positions SET position = 0")
    await bench.pool.execute("DELETE FROM effects")
    async with bench.consuming():
        await bench.wait_for(20)
    assert await bench.effects() == [str(number) for number in range(20)]


async def test_a_worker_whose_partition_was_taken_drops_its_batch_and_takes_its_turn_again(
    bench: Bench,
) -> None:
    calls: list[int] = []

    async def count(connection: Any, batch: Sequence[Admitted]) -> None:  # noqa: ANN401  a pool's proxy
        calls.append(len(batch))
        await note(connection, batch)

    async with bench.consuming(count):
        await bench.produce(0, 1)
        await bench.wait_for(1)
        async with bench.pool.acquire() as connection, connection.transaction():
            await connection.execute("UPDATE positions SET owner = gen_random_uuid()")
            await bench.produce(1, 5)
        await bench.wait_for(6)
    assert await bench.effects() == [str(number) for number in range(6)]
    assert sum(calls) == 6


async def test_two_workers_share_the_partitions_and_repeat_nothing(bench: Bench) -> None:
    await bench.produce(0, 200)
    async with bench.consuming():
        await bench.wait_for(20)
        async with bench.consuming():
            await bench.produce(200, 200)
            await bench.wait_for(300)
        await bench.wait_for(400)
    assert await bench.effects() == [str(number) for number in range(400)]


async def test_an_assignment_that_fails_is_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, calls = PositionedConsumer._claim, 0  # noqa: SLF001  aiokafka calls it, so nothing public can fail in its stead

    async def fail_once(self: PositionedConsumer, *arguments: Any) -> None:  # noqa: ANN401  aiokafka ships no types
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionResetError
        await claim(self, *arguments)

    monkeypatch.setattr(PositionedConsumer, "_claim", fail_once)
    await bench.produce(0, 10)
    async with bench.consuming():
        await bench.wait_for(10)
    assert await bench.effects() == [str(number) for number in range(10)]
    assert calls > 1


async def test_a_broken_record_becomes_a_dead_letter_and_the_others_pass(bench: Bench) -> None:
    await bench.produce(0, 3)
    await bench.send(b"skincare|c-1", b"{broken")
    await bench.send(b"skincare|c-1", None)
    await bench.send(b"wrong", an_order(1))
    await bench.produce(3, 3)
    async with bench.consuming():
        await bench.wait_for(6)

        async def letters() -> int:
            return (await _ends(bench))[topics.ORDERS.dead_letters]

        await eventually(letters, what="dead letters")
    assert await letters() == 3
    assert await bench.effects() == [str(number) for number in range(6)]


async def _ends(bench: Bench) -> dict[str, int]:
    from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: PLC0415  only this needs them

    consumer = AIOKafkaConsumer(bootstrap_servers=bench.settings.kafka_bootstrap_servers)
    await consumer.start()
    found = await consumer.end_offsets([TopicPartition(topics.ORDERS.dead_letters, 0)])
    await consumer.stop()
    return {tp.topic: end for tp, end in found.items()}


async def test_the_relay_publishes_what_was_committed_and_only_that(bench: Bench) -> None:
    rows = [
        Outgoing(topics.ORDERS.name, b"skincare|c-%d" % (number % 7), an_order(number))
        for number in range(50)
    ]
    async with bench.pool.acquire() as connection:
        with suppress(ArithmeticError):
            async with connection.transaction():
                await put(connection, rows)
                raise ArithmeticError
        async with connection.transaction():
            await put(connection, rows[:30])
    relay = Relay(bench.pool, bench.producer)
    assert await relay.run_once() == 30
    assert await relay.run_once() == 0
    async with bench.consuming():
        await bench.wait_for(30)
    assert await bench.effects() == [str(number) for number in range(30)]


async def test_a_record_that_the_database_cannot_keep_becomes_a_dead_letter_and_the_others_pass(
    bench: Bench,
) -> None:
    async def choke_on_three(connection: Any, batch: Sequence[Admitted]) -> None:  # noqa: ANN401  a pool's proxy
        for admitted in batch:
            if admitted.event and admitted.event.id == "3":
                await connection.execute("INSERT INTO effects VALUES ($1)", "a\x00b")
        await note(connection, batch)

    await bench.produce(0, 8)
    async with bench.consuming(choke_on_three):
        await bench.wait_for(7)
    assert await bench.effects() == [str(number) for number in range(8) if number != 3]
    assert (await _ends(bench))[topics.ORDERS.dead_letters] == 1
