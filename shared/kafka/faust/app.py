"""The Faust app: settings, transport, start and end."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar, cast

import faust
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from faust.transport.drivers import aiokafka as stock
from faust.types import TP, TransportT

from shared.kafka.faust.consumer import BatchConsumer
from shared.kafka.faust.driver import Driver
from shared.kafka.faust.stores import Kind
from shared.settings import Settings

log = structlog.get_logger()

_HEARTBEATS_PER_SESSION = 6
_REBALANCE_SECONDS = 30.0
_COMMIT_SECONDS = 1.0
_QUEUED_BATCHES = 4
_STOP_SECONDS = 40.0
_FETCH_BYTES = 2 * 1024 * 1024


class BatchTransport(stock.Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer: ClassVar = BatchConsumer


class BatchApp(faust.App):
    """A Faust app with our transport and a `Driver`."""

    driver: Driver

    def _new_transport(self) -> TransportT:
        return BatchTransport(self.conf.broker_consumer, self)


def make_app(
    settings: Settings, app_id: str, service: str, *, tables: Sequence[str] = (), store: Kind = "rocksdb"
) -> BatchApp:
    """Make a Faust app to hang `batch_agent`s on and to give to `run`. Call it inside a function, never at import.

    `app_id` names the consumer group and the changelogs (`shared.topics.faust_topics`), `service` signs dead letters.
    RocksDB lies under `settings.data_dir / app_id`, which no other process may use at the same time.
    """
    session = settings.consumer_session_seconds
    brokers = ";".join(f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(","))
    app = BatchApp(
        app_id,
        broker=brokers,
        store="memory://",
        datadir=settings.data_dir / app_id / "faust",
        autodiscover=False,
        web_enabled=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=session,
        broker_heartbeat_interval=session / _HEARTBEATS_PER_SESSION,
        broker_rebalance_timeout=_REBALANCE_SECONDS,
        broker_commit_interval=_COMMIT_SECONDS,
        broker_max_poll_records=settings.batch_records,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        stream_buffer_maxsize=_QUEUED_BATCHES,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
    )
    app.driver = Driver(settings, app_id, service, tuple(tables), store)
    app.driver.span_of = lambda place: cast("BatchConsumer", app.consumer).span_of(TP(*place))

    async def assigned(*_: object, **__: object) -> None:
        await cast("BatchConsumer", app.consumer).beat()
        await app.driver.assign(TP(*place) for place in app.consumer.assignment())

    app.on_rebalance_complete.connect(assigned)
    return app


async def run(app: BatchApp, stop: asyncio.Event) -> None:
    """Run the app until `stop` is set, then drain: finish the batch in hand, commit, leave the group.

    Raises what stopped it otherwise, so that the process ends with an error; then nothing unfinished was acknowledged.
    """
    driver = app.driver
    app.conf.datadir.mkdir(parents=True, exist_ok=True)
    await _check_topics(driver)
    await driver.producer.start()
    starting = asyncio.create_task(app.start())
    crashed = app._crashed  # noqa: SLF001  mode has no public signal
    endings = [asyncio.create_task(one.wait()) for one in (stop, driver.failed, crashed)]
    try:
        await asyncio.wait([*endings, starting], return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not starting.exception():
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (*endings, starting):
            one.cancel()
        results = await asyncio.gather(starting, return_exceptions=True)
        await _end(app)
    _raise_failure(app, results[0])


async def _end(app: BatchApp) -> None:
    try:
        await asyncio.wait_for(app.stop(), _STOP_SECONDS)
    except TimeoutError:
        log.warning("stop_timed_out", why="brokers do not answer; what was not committed will be read again")
    await app.driver.close()


def _raise_failure(app: BatchApp, started: BaseException | None) -> None:
    failure = app.driver.failure or app.crash_reason
    if failure is None and isinstance(started, Exception):
        failure = started
    if failure is not None:
        raise failure


async def _check_topics(driver: Driver) -> None:
    names = [*driver.tables_of, *(driver.changelog(table) for table in driver.tables)]
    admin = AIOKafkaAdminClient(bootstrap_servers=driver.settings.kafka_bootstrap_servers)
    try:
        await admin.start()
        described = await admin.describe_topics(names)
    finally:
        await admin.close()
    driver.check_partitions({topic["topic"]: len(topic["partitions"]) for topic in described})
