"""Topics are created as declared, checked when they are there, and never silently resized."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared import topics
from shared.embedded import Infrastructure
from shared.errors import TopicsError
from shared.events import ProductRecorded
from shared.kafka.admin import Declared, apply_topics, declared
from shared.kafka.follower import Follower
from shared.kafka.producer import make_producer
from shared.settings import Settings, load
from tests.support import eventually
from tests.support.broker import fresh_topics


@pytest.fixture(scope="module")
async def settings(infrastructure: Infrastructure) -> Settings:
    settings = load({**infrastructure.environment, "ORDERWAKE_TOPIC_PARTITIONS": "2"})
    await fresh_topics(settings)
    return settings


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.start()
    yield client
    await client.close()


async def config_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def test_every_topic_is_there_as_declared(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    present = set(await admin.list_topics())
    assert {topic.name for topic in declared(settings)} <= present
    assert (await config_of(admin, topics.CUSTOMERS.name))["cleanup.policy"] == "compact"
    assert (await config_of(admin, topics.INBOUND_ORDERS.name))["retention.ms"] == str(7 * topics.DAY_MS)
    assert (await config_of(admin, topics.ORDERS.name))["message.timestamp.type"] == "LogAppendTime"


async def test_applying_twice_changes_nothing(settings: Settings) -> None:
    applied = await apply_topics(settings)
    assert (applied.created, applied.changed) == ((), ())


async def test_a_setting_that_someone_changed_is_mended(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    name = topics.ORDERS.name
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": "1000"})]
    )

    async def altered() -> bool:
        return (await config_of(admin, name))["retention.ms"] == "1000"

    await eventually(altered)
    assert (await apply_topics(settings, dry_run=True)).changed == (name,)
    assert (await apply_topics(settings)).changed == (name,)

    async def mended() -> bool:
        return (await config_of(admin, name))["retention.ms"] == str(topics.LONG_MS)

    await eventually(mended)


async def test_another_partition_count_is_refused_with_an_explanation(settings: Settings) -> None:
    larger = settings.model_copy(update={"topic_partitions": 3})
    with pytest.raises(TopicsError, match=r"orders has 2 partitions, 3 are declared.*lose their order"):
        await apply_topics(larger)


async def test_a_dry_run_creates_nothing(settings: Settings, admin: AIOKafkaAdminClient, unique: str) -> None:
    applied = await apply_topics(settings, [Declared(unique, 1, {})], dry_run=True)
    assert applied.created == (unique,)
    assert unique not in await admin.list_topics()


@pytest.mark.parametrize("codec", ["lz4", "snappy", "zstd", "gzip", None])
async def test_a_follower_reads_every_codec_and_says_when_it_has_caught_up(
    settings: Settings, codec: str | None
) -> None:
    seen: list[str] = []
    producer = make_producer(settings.kafka_bootstrap_servers, compression_type=codec)
    await producer.start()
    for number in range(20):
        event = ProductRecorded.model_validate({
            "id": str(number), "source": "test", "time": "2026-03-02T00:00:00Z", "shopid": "skincare",
            "data": {"product_id": f"{codec}-{number}", "updated_at": "2026-03-02T00:00:00Z", "name": "A name"},
        })  # fmt: skip
        await producer.send(topics.CATALOG.name, event.encode(), f"skincare|{codec}-{number}".encode())
    await producer.stop()
    follower = Follower(
        settings, [topics.CATALOG], lambda _, event: seen.append(event.data.product_id if event else "")
    )
    stopping = asyncio.Event()
    running = asyncio.ensure_future(follower.run(stopping))
    await asyncio.wait_for(follower.wait_caught_up(), 20)
    stopping.set()
    await running
    assert {f"{codec}-{number}" for number in range(20)} <= set(seen)


async def test_a_topic_of_someone_else_is_left_alone(
    settings: Settings, admin: AIOKafkaAdminClient, unique: str
) -> None:
    await admin.create_topics([NewTopic(unique, 1, 1)])
    await apply_topics(settings)

    async def there() -> bool:
        return unique in await admin.list_topics()

    await eventually(there)
    await admin.delete_topics([unique])


async def test_a_follower_of_a_topic_that_is_not_there_yet_waits_for_it(
    settings: Settings, unique: str, capfd: pytest.CaptureFixture[str]
) -> None:
    absent = replace(topics.CATALOG, name=unique)
    follower = Follower(settings, [absent], lambda *_: None)
    stopping, said = asyncio.Event(), ""
    running = asyncio.ensure_future(follower.run(stopping))

    def tried() -> bool:
        nonlocal said
        said += "".join(capfd.readouterr())
        return "follower_retrying" in said

    await eventually(tried)
    assert not follower.caught_up
    await apply_topics(settings, [Declared(unique, 2, {})])
    await asyncio.wait_for(follower.wait_caught_up(), 20)
    stopping.set()
    await running
