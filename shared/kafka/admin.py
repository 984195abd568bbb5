"""Declares topics on the broker: creates what is missing, mends settings, refuses what cannot be mended in place."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from shared.errors import TopicsError
from shared.settings import Settings
from shared.topics import ALL, DAY_MS, DEAD_LETTER_LIMIT_BYTES, INTERNAL, FaustTopic, Topic

DEAD_LETTER_RETENTION_MS = 30 * DAY_MS
_LOOKS = 300
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Declared:
    """A topic as it must be on the broker."""

    name: str
    partitions: int
    config: dict[str, str]


def declared(
    settings: Settings, topics: Sequence[Topic] = ALL, internal: Sequence[FaustTopic] = INTERNAL
) -> list[Declared]:
    """Every topic with its dead letters, and the internal ones of Faust, sized by the settings."""
    count = settings.topic_partitions
    found = []
    for topic in topics:
        found.append(Declared(topic.name, count, _config(topic, settings)))
        found.append(Declared(topic.dead_letters, 1, _dead_letter_config(settings)))
    for own in internal:
        policy = {"cleanup.policy": "compact"} if own.compacted else {}
        found.append(
            Declared(
                own.name,
                count,
                _common(settings) | policy | {"max.message.bytes": "16000000"},
            )
        )
    return found


def _common(settings: Settings) -> dict[str, str]:
    in_sync = 2 if settings.topic_replication > 2 else 1  # noqa: PLR2004  a third replica lets one be away
    return {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": str(in_sync)}


def _config(topic: Topic, settings: Settings) -> dict[str, str]:
    kept = (
        {"cleanup.policy": "compact"}
        if topic.compacted
        else {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}
    )
    return _common(settings) | kept | {"max.message.bytes": str(topic.max_message_bytes)}


def _dead_letter_config(settings: Settings) -> dict[str, str]:
    return _common(settings) | {
        "cleanup.policy": "delete",
        "retention.ms": str(DEAD_LETTER_RETENTION_MS),
        "max.message.bytes": str(DEAD_LETTER_LIMIT_BYTES + 100_000),
    }


@dataclass(frozen=True)
class Applied:
    """What `apply_topics` did, by topic name."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


async def apply_topics(
    settings: Settings, wanted: Sequence[Declared] | None = None, *, dry_run: bool = False
) -> Applied:
    """Create missing topics and set the configuration of existing ones.

    Raises TopicsError when an existing topic has another number of partitions: changing it would move keys to other
    partitions, so one customer's events would lose their order and co-partitioned tables their records.
    """
    wanted = declared(settings) if wanted is None else wanted
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        old = [topic for topic in wanted if topic.name in present]
        await _check_partitions(admin, old)
        changed = await _differing(admin, old)
        missing = [topic for topic in wanted if topic.name not in present]
        if not dry_run:
            await _create(admin, missing, settings.topic_replication)
            await _alter(admin, changed)
    finally:
        await admin.close()
    changed_names = {topic.name for topic in changed}
    return Applied(
        tuple(topic.name for topic in missing),
        tuple(sorted(changed_names)),
        tuple(topic.name for topic in old if topic.name not in changed_names),
    )


async def _check_partitions(admin: Any, topics: Sequence[Declared]) -> None:  # noqa: ANN401  aiokafka ships no types
    if not topics:
        return
    found = {
        item["topic"]: len(item["partitions"])
        for item in await admin.describe_topics([t.name for t in topics])
    }
    wrong = [
        f"{t.name} has {found[t.name]} partitions, {t.partitions} are declared"
        for t in topics
        if found[t.name] != t.partitions
    ]
    if wrong:
        message = (
            "; ".join(wrong)
            + ". A partition count cannot be changed in place: keys would move to other partitions, a customer's events "
            "would lose their order, and tables would lose their records. Keep the old number "
            "(ORDERWAKE_TOPIC_PARTITIONS), or copy the topics under a new deployment and replay."
        )
        raise TopicsError(message)


async def _differing(admin: Any, topics: Sequence[Declared]) -> list[Declared]:  # noqa: ANN401  as above
    if not topics:
        return []
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in topics])
    found = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
    return [t for t in topics if any(found[t.name].get(name) != value for name, value in t.config.items())]


async def _create(admin: Any, topics: Sequence[Declared], replication: int) -> None:  # noqa: ANN401  as above
    if not topics:
        return
    new = [NewTopic(t.name, t.partitions, replication, topic_configs=t.config) for t in topics]
    answer = await admin.create_topics(new)
    for name, code, *_ in answer.topic_errors:
        if code not in (0, 36):  # another process may have created it meanwhile
            message = f"{name} cannot be created: {for_code(code).__name__}"
            raise TopicsError(message)
    await _wait_for({t.name for t in topics}, admin)


async def _wait_for(names: set[str], admin: Any) -> None:  # noqa: ANN401  as above
    """The controller has the topics; return when the broker we talk to knows them too."""
    for _ in range(_LOOKS):
        if names <= set(await admin.list_topics()):
            return
        await asyncio.sleep(_LOOK_SECONDS)
    message = f"created, but not seen by the broker after {_LOOKS * _LOOK_SECONDS:.0f} s: {', '.join(sorted(names))}"
    raise TopicsError(message)


async def _alter(admin: Any, topics: Sequence[Declared]) -> None:  # noqa: ANN401  as above
    if topics:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, t.name, configs=t.config) for t in topics]
        )
