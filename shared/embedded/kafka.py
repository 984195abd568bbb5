"""Apache Kafka in KRaft mode, one node, on this machine."""

import base64
import os
import signal
import subprocess
import uuid
from pathlib import Path

from shared.embedded.jars import java, java_environment, kafka_jars
from shared.embedded.process import Recipe, ServerProcess, free_port
from shared.embedded.server import EmbeddedServer
from shared.errors import InfrastructureError

_START_SECONDS = 90.0
_STOP_SECONDS = 15.0
_RECORD_LIMIT_BYTES = 4 * 1024 * 1024
_JVM = (
    *("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
    *("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"),
    *("-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true"),
    *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)
_STARTED = "Kafka Server started"


class EmbeddedKafka(EmbeddedServer):
    """A real broker whose data lives under `folder`.

    Port and data stay the same through `kill` or `stop` and the next `start`. One node, so replication 1;
    topics are not created by themselves; record timestamps are the broker's; a record may have 4 MB unless
    its topic says less.
    """

    _title = "broker"
    _log_name = "broker.log"
    _stop_signal = signal.SIGTERM
    _stop_seconds = _STOP_SECONDS

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self._controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        """Address for clients, `127.0.0.1:port`."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return when the broker serves clients. Raises InfrastructureError with the log's end if not."""
        if self._process is not None and not self._process.ended():
            return
        classpath = str(kafka_jars(os.environ) / "*")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_properties()
        if not (self._folder / "data" / "meta.properties").exists():
            self._format(classpath)
        command = [str(java()), *_JVM, "-cp", classpath, "kafka.Kafka", str(self._properties)]
        recipe = Recipe("Apache Kafka", command, self.log, signal.SIGTERM, java_environment())
        process = self._process = ServerProcess(recipe)
        process.wait_ready(lambda: _STARTED in process.log_since_start(), _START_SECONDS)

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _write_properties(self) -> None:
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"CLIENT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"CLIENT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
            **_SETTINGS,
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _format(self, classpath: str) -> None:
        """Give the storage an identity, which a KRaft broker demands before its first start."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        format_ = ["format", "--cluster-id", cluster, "--config", str(self._properties), "--ignore-formatted"]
        done = subprocess.run(  # noqa: S603  the command is ours
            [str(java()), *_JVM, "-cp", classpath, "kafka.tools.StorageTool", *format_],
            env=java_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            answer = (done.stderr or done.stdout)[-1000:].strip()
            message = f"Apache Kafka could not format {self._folder}: {answer}"
            raise InfrastructureError(message)


_SETTINGS = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(_RECORD_LIMIT_BYTES),
    "replica.fetch.max.bytes": str(_RECORD_LIMIT_BYTES),
    "log.message.timestamp.type": "LogAppendTime",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A killed broker is let in again only when its old session has run out.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    # Index files are allocated whole; hundreds of small test topics would take gigabytes.
    "log.index.size.max.bytes": str(1024 * 1024),
    "metric.reporters": "",
}
