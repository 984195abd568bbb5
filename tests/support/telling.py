"""What the dispatcher has told of messages, read back from Kafka."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.events import EngagementRecorded
from shared.settings import Settings
from shared.topics import ENGAGEMENT


async def told_of_messages(settings: Settings) -> dict[str, set[str]]:
    """Every kind that `engagement`, as it is now, tells of each message."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    told: dict[str, set[str]] = {}
    try:
        places = [TopicPartition(ENGAGEMENT.name, number) for number in range(settings.topic_partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, 0)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    data = EngagementRecorded.model_validate_json(record.value).data
                    told.setdefault(data.message_id or "", set()).add(data.kind)
    finally:
        await consumer.stop()
    return told
