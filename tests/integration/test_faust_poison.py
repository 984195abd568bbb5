"""What cannot be read or accepted becomes a dead letter with reason and origin; the good ones around it are processed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiokafka.codec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared import events, topics
from shared.embedded import EmbeddedKafka
from shared.errors import Refusal, TooManyDeadLetters
from shared.kafka.faust import Output, Tables, batch_agent, make_app, run
from shared.kafka.records import Admitted
from shared.kafka.unreadable import UnreadableBatch, to_record, tolerate_unreadable_batches
from shared.topics import Key, Topic
from tests.support import eventually, samples
from tests.support.driver import (
    Names,
    all_committed,
    committed,
    create,
    produce,
    read_all,
    running,
    settings_for,
)

BIG_TOPIC = {"max.message.bytes": "4000000"}


@pytest.fixture
async def orders(kafka: EmbeddedKafka, unique: str, monkeypatch: pytest.MonkeyPatch) -> Topic:
    """Give a topic of orders that only this test knows, declared and created, with its dead letters."""
    topic = Topic(Names(unique).source.name, Key.CUSTOMER, (events.OrderRecorded,), (), ())
    monkeypatch.setitem(topics.BY_NAME, topic.name, topic)
    await create(kafka.bootstrap, {topic.name: BIG_TOPIC, topic.dead_letters: BIG_TOPIC})
    return topic


def good(number: int) -> tuple[bytes, bytes]:
    order = samples.order(f"o-{number}")
    return samples.key_of(order), order.encode()


class Reader:
    """Takes orders on the driver and keeps their ids."""

    def __init__(self, bootstrap: str, topic: Topic, folder: Path, unique: str, **settings: int) -> None:
        self.ids: list[str] = []
        self.app = make_app(
            settings_for(bootstrap, folder, **settings), Names(unique).app_id, "reader", store="memory"
        )

        @batch_agent(self.app, topic)
        async def keep(batch: Sequence[Admitted], _: Tables) -> list[Output]:
            self.ids.extend(one.event.data.order_id for one in batch if one.event)
            return []


def said(record: Any) -> dict[str, str]:  # noqa: ANN401  aiokafka's record
    return {name.removeprefix("orderwake-"): value.decode() for name, value in record.headers}


POISON = {
    Refusal.BAD_JSON: b"{",
    Refusal.BAD_ENVELOPE: good(0)[1].replace(b'"specversion":"1.0"', b'"specversion":"7"'),
    Refusal.WRONG_SCHEMA: good(0)[1].replace(b'"placed_at"', b'"placed"'),
    Refusal.UNKNOWN_TYPE: good(0)[1].replace(b"orderwake.order.", b"orderwake.odour."),
    Refusal.NULL_VALUE: None,
    Refusal.TOO_LARGE: good(0)[1] + b" " * 2_000_000,
}


async def test_each_poison_record_becomes_a_dead_letter_and_the_good_ones_around_it_are_processed(
    kafka: EmbeddedKafka, orders: Topic, unique: str, tmp_path: Path
) -> None:
    key = good(0)[0]
    records: list[tuple[bytes | None, bytes | None]] = [good(0)]
    for number, value in enumerate(POISON.values(), start=1):
        records += [(key, value), good(number)]
    records += [(b"skincare|someone-else", good(0)[1])]
    await produce(kafka.bootstrap, orders.name, records)
    reader = Reader(kafka.bootstrap, orders, tmp_path, unique)
    async with running(reader.app):
        await eventually(lambda: all_committed(kafka.bootstrap, Names(unique)))
    assert reader.ids == [f"o-{number}" for number in range(len(POISON) + 1)]
    letters = await read_all(kafka.bootstrap, orders.dead_letters)
    assert {said(letter)["reason"] for letter in letters} == {*POISON, Refusal.WRONG_KEY}
    at = {
        (record.partition, record.offset): record for record in await read_all(kafka.bootstrap, orders.name)
    }
    for letter in letters:
        origin = at[int(said(letter)["origin-partition"]), int(said(letter)["origin-offset"])]
        assert said(letter)["origin-topic"] == orders.name
        assert (letter.key, letter.value) == (origin.key, origin.value or b"")


@asynccontextmanager
async def codec_absent(name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Make aiokafka find no library for a codec, as on a machine that lacks it."""
    with monkeypatch.context() as patch:
        patch.setattr(aiokafka.codec, f"has_{name}", lambda: False)
        yield


async def test_a_batch_in_a_codec_that_we_lack_becomes_a_dead_letter_with_its_bytes_and_offsets(
    kafka: EmbeddedKafka, orders: Topic, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await produce(kafka.bootstrap, orders.name, [good(0)], compression_type="gzip")
    await produce(kafka.bootstrap, orders.name, [good(1), good(2)], compression_type="zstd", linger_ms=500)
    await produce(kafka.bootstrap, orders.name, [good(3)], compression_type="lz4")
    reader = Reader(kafka.bootstrap, orders, tmp_path, unique)
    async with codec_absent("zstd", monkeypatch), running(reader.app):
        await eventually(lambda: reader.ids == ["o-0", "o-3"])
        await eventually(lambda: committed_to(kafka, unique, 4))
    letters = await read_all(kafka.bootstrap, orders.dead_letters)
    assert [(said(one)["reason"], said(one)["origin-offset"]) for one in letters] == [
        ("unsupported_codec", "1")
    ]
    assert said(letters[0])["origin-last-offset"] == "2"
    assert "zstd" in said(letters[0])["detail"]
    assert len(letters[0].value) > 61


async def committed_to(kafka: EmbeddedKafka, unique: str, offset: int) -> bool:
    return offset in (await committed(kafka.bootstrap, Names(unique))).values()


async def test_a_plain_consumer_steps_over_a_batch_that_it_cannot_unpack(
    kafka: EmbeddedKafka, orders: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await produce(kafka.bootstrap, orders.name, [good(0), good(1)], compression_type="snappy", linger_ms=500)
    await produce(kafka.bootstrap, orders.name, [good(2)], compression_type="lz4")
    tolerate_unreadable_batches()
    found: list[Any] = []
    async with codec_absent("snappy", monkeypatch):
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(orders.name, part) for part in range(3)])
            while sum(isinstance(one, UnreadableBatch) or 1 for one in found) < 2:
                found += [one for many in (await consumer.getmany(timeout_ms=500)).values() for one in many]
        finally:
            await consumer.stop()
    batch, record = (to_record(one) for one in found)
    assert (batch.offset, dict(batch.headers)) == (0, {"orderwake-origin-last-offset": b"1"})
    assert batch.unreadable
    assert (record.offset, record.value, record.unreadable) == (2, good(2)[1], "")


async def test_too_many_dead_letters_stop_the_service_before_the_topic_has_drained_into_them(
    kafka: EmbeddedKafka, orders: Topic, unique: str, tmp_path: Path
) -> None:
    await produce(kafka.bootstrap, orders.name, [(good(0)[0], b"not json")] * 200)
    limits = {"dead_letter_limit": 20, "dead_letter_window": 100, "batch_records": 10}
    reader = Reader(kafka.bootstrap, orders, tmp_path, unique, **limits)
    with pytest.raises(TooManyDeadLetters):
        await asyncio.wait_for(run(reader.app, asyncio.Event()), 40)
    letters = await read_all(kafka.bootstrap, orders.dead_letters)
    done = sum((await committed(kafka.bootstrap, Names(unique))).values())
    assert len(letters) == done <= 20
