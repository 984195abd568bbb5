"""`orderwake affinity recount`: whether the tables say what a single-threaded recount of the log says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import click
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.recommender.recount import Counts, counts_in, recount
from shared.errors import EventError, InfrastructureError
from shared.events import CustomerRecorded, OrderRecorded, ReturnRecorded, decode
from shared.ids import split_key
from shared.settings import Settings, load
from shared.topics import BY_NAME, CUSTOMERS, ORDERS, RECOMMENDER_APP, RETURNS, changelog_name

_POLL_MS = 500
_SHOWN = 10


@dataclass(frozen=True)
class Compared:
    """What the log says, and keys (shop|product|bucket) of which the tables say something else."""

    records: int
    counts: int
    different: tuple[str, ...]


async def compare(settings: Settings) -> Compared:
    """Count the log anew and compare. Raises InfrastructureError when the broker cannot be read."""
    told: list[OrderRecorded | ReturnRecorded | CustomerRecorded] = []
    newest: dict[tuple[str, str], bool] = {}
    table: dict[bytes, bytes] = {}
    changelog = changelog_name(RECOMMENDER_APP, "pairs")
    try:
        async for record in _whole(settings, (changelog,)):
            table[record.key] = record.value
        async for record in _whole(settings, (ORDERS.name, RETURNS.name, CUSTOMERS.name)):
            if record.topic == CUSTOMERS.name:
                shop, customer = split_key(record.key)
                newest[shop, customer] = record.value is None
            event = _event(record)
            if isinstance(event, OrderRecorded | ReturnRecorded | CustomerRecorded):
                told.append(event)
    except KafkaError as error:
        message = (
            f"Kafka at {settings.kafka_bootstrap_servers} cannot be read ({type(error).__name__}); "
            "is it there (KAFKA_BOOTSTRAP_SERVERS), and are its topics (orderwake topics apply)?"
        )
        raise InfrastructureError(message) from None
    expected = recount(told, erased={customer for customer, gone in newest.items() if gone})
    return Compared(len(told), len(expected), _differences(counts_in(table.items()), expected))


def _event(record: ConsumerRecord) -> object:
    try:
        return decode(record.value, BY_NAME[record.topic].types)
    except EventError:
        return None


def _differences(found: Counts, expected: Counts) -> tuple[str, ...]:
    keys = found.keys() | expected.keys()
    return tuple(sorted(key.decode() for key in keys if found.get(key) != expected.get(key)))


async def _whole(settings: Settings, topics: Sequence[str]) -> AsyncIterator[ConsumerRecord]:
    """Yield all records that the topics have now."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        places = [
            TopicPartition(topic, number) for topic in topics for number in range(settings.topic_partitions)
        ]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while behind := [place for place in places if await consumer.position(place) < ends[place]]:
            for records in (await consumer.getmany(*behind, timeout_ms=_POLL_MS)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()


@click.command("recount")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def recount_command(*, as_json: bool) -> None:
    """Count all orders and returns anew, alone and in memory, and compare with the recommender's tables.

    \b
    orderwake affinity recount
    orderwake affinity recount --json

    They are equal to the last digit once the workers have caught up (orderwake_consumer_lag is 0). Exit code 1 if not.
    Needs about 20 kB of memory for each order of ten lines.
    """  # noqa: D301  \b is click's mark
    compared = asyncio.run(compare(load()))
    if as_json:
        answer = {
            "records": compared.records,
            "counts": compared.counts,
            "different": len(compared.different),
            "examples": compared.different[:_SHOWN],
        }
        click.echo(orjson.dumps(answer).decode())
    else:
        click.echo(_sentence(compared))
    raise SystemExit(1 if compared.different else 0)


def _sentence(compared: Compared) -> str:
    if not compared.different:
        return f"equal: {compared.counts} counts by product and bucket, from {compared.records} records"
    examples = ", ".join(compared.different[:_SHOWN])
    return (
        f"{len(compared.different)} of {compared.counts} counts differ ({examples}). If workers still count "
        "(orderwake_consumer_lag), ask again when they have caught up; else the tables are wrong: rebuild them."
    )
