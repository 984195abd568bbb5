"""How far this worker is behind, asked of the broker rather than inferred from the last fetch."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.recommender.pacing import pause
from shared import metrics
from shared.kafka.faust import BatchApp
from shared.settings import Settings

log = structlog.get_logger()

_SECONDS = 1.0


class Lag:
    """Compares, once a second, the ends of the assigned partitions with what has been done and committed."""

    def __init__(self, app: BatchApp, settings: Settings) -> None:
        self._driver = app.driver
        self._bootstrap = settings.kafka_bootstrap_servers
        self._tenure = -1
        self._committed: dict[tuple[str, int], int] = {}
        self._caught_up = False
        self.by_topic: dict[str, int] = {}

    @property
    def caught_up(self) -> bool:
        """Whether the ends have been reached since the present assignment."""
        return self._caught_up and self._tenure == self._driver.ownership.tenure

    async def run(self, stopping: asyncio.Event) -> None:
        """Observe until `stopping` is set, through broker restarts."""
        while not stopping.is_set():
            consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
            admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
            try:
                await consumer.start()
                await admin.start()
                while not stopping.is_set():
                    await self._observe(consumer, admin)
                    await pause(stopping, _SECONDS)
            except (KafkaError, OSError) as error:
                log.warning("lag_unknown", error=type(error).__name__)
                await pause(stopping, _SECONDS)
            finally:
                await consumer.stop()
                await admin.close()

    async def _observe(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        tenure, assigned = self._driver.ownership.tenure, self._driver.assigned
        if not self._driver.ready.is_set() or not assigned:
            return
        if tenure != self._tenure:
            committed = await admin.list_consumer_group_offsets(self._driver.app_id)
            self._committed = {(tp.topic, tp.partition): meta.offset for tp, meta in committed.items()}
            self._caught_up, self._tenure = False, tenure
        partitions = [TopicPartition(*place) for place in assigned]
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
        behind: dict[str, int] = {}
        for tp in partitions:
            position = self._driver.done.get(tp, max(self._committed.get(tp, 0), starts[tp]))
            lag = max(ends[tp] - position, 0)
            behind[tp.topic] = behind.get(tp.topic, 0) + lag
            metrics.CONSUMER_LAG.labels(tp.topic, str(tp.partition)).set(lag)
        self.by_topic = behind
        self._caught_up = self._caught_up or not any(behind.values())
