"""Empty topics for a test that needs the declared names, which it shares with other tests of the session."""

from aiokafka.admin import AIOKafkaAdminClient

from shared.kafka.admin import apply_topics, declared
from shared.settings import Settings
from tests.support.waiting import eventually


async def fresh_topics(settings: Settings) -> None:
    """Delete every declared topic that is there, and create all of them anew, empty."""
    wanted = {topic.name for topic in declared(settings)}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        present = wanted & set(await admin.list_topics())
        if present:
            await admin.delete_topics(sorted(present))

        async def gone() -> bool:
            return not wanted & set(await admin.list_topics())

        await eventually(gone, what="deleted topics to be gone")
    finally:
        await admin.close()
    await apply_topics(settings)
