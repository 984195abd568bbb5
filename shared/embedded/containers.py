"""Kafka and PostgreSQL in containers, where a Docker engine answers on this machine."""

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from shared.embedded.jars import kafka_version
from shared.embedded.process import free_port
from shared.errors import InfrastructureError

_ANSWER_SECONDS = 2
_PULL_SECONDS = 120
_READY_SECONDS = 60
_DEFAULT_HOST = "unix:///var/run/docker.sock"
_POSTGRES_IMAGE = "postgres:18"


def _kafka_image() -> str:
    return f"apache/kafka:{kafka_version()}"


def reason_against(*, kafka: bool, postgres: bool) -> str | None:
    """Why containers of what is asked for cannot be used here, or None if they can.

    Answers within two seconds where no engine does. Pulls missing images, for two minutes without progress.
    """
    host = os.environ.get("DOCKER_HOST", _DEFAULT_HOST)
    if not host.startswith("unix://"):
        return "DOCKER_HOST names no engine on this machine"
    if not _listens(host.removeprefix("unix://")):
        return "no Docker engine answers"
    try:
        import docker  # noqa: PLC0415  an optional extra: absent where real servers are given
        from testcontainers.core.config import testcontainers_config  # noqa: PLC0415  as above
    except ImportError:
        return "testcontainers is not installed"
    images = [
        *([_kafka_image()] if kafka else []),
        *([_POSTGRES_IMAGE] if postgres else []),
        *([] if testcontainers_config.ryuk_disabled else [testcontainers_config.ryuk_image]),
    ]
    try:
        _have_or_pull(images)
    except (docker.errors.DockerException, OSError) as problem:
        return f"Docker answers but cannot supply {' and '.join(images)} ({type(problem).__name__})"
    return None


def _listens(path: str) -> bool:
    """Look at the engine's socket first: docker's client leaks its own when it cannot connect."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        return probe.connect_ex(path) == 0


def _have_or_pull(images: Iterable[str]) -> None:
    import docker  # noqa: PLC0415  an optional extra: absent where real servers are given

    client = docker.from_env(timeout=_ANSWER_SECONDS)
    try:
        missing = [image for image in images if not client.images.list(name=image)]
    finally:
        client.close()
    patient = docker.from_env(timeout=_PULL_SECONDS)
    try:
        for image in missing:
            patient.images.pull(image)
    finally:
        patient.close()


class _Container(ABC):
    """One container, started again as it was after `kill`, removed by `stop`."""

    def __init__(self, image: str, port: int) -> None:
        self._image, self._port = image, port
        self._host_port = free_port()
        self._container: Any = None  # testcontainers is optional, so its type cannot be named

    @abstractmethod
    def _environment(self) -> dict[str, str]:
        """Environment variables of the container."""

    @abstractmethod
    def _ready(self) -> list[str]:
        """Command that succeeds inside the container when the server takes clients."""

    def start(self) -> None:
        """Return when the server takes clients. Raises InfrastructureError if it does not."""
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415  an optional extra
        from testcontainers.core.wait_strategies import ExecWaitStrategy  # noqa: PLC0415  as above

        ready = ExecWaitStrategy(self._ready()).with_startup_timeout(_READY_SECONDS)
        try:
            if self._container is None:
                container = DockerContainer(self._image).with_envs(**self._environment())
                # Loopback only: neither server asks for a password.
                ports: dict[str, Any] = container.ports
                ports[f"{self._port}/tcp"] = ("127.0.0.1", self._host_port)
                self._container = container
                container.start()
            else:
                self._container.get_wrapped_container().start()
            ready.wait_until_ready(self._container)
        except Exception as failed:
            message = f"the container of {self._image} did not start: {failed}"
            raise InfrastructureError(message) from failed

    def kill(self) -> None:
        """SIGKILL the server, as a crash would; its data survives until `stop`."""
        self._container.get_wrapped_container().kill()

    def stop(self) -> None:
        """Remove the container and its data; nothing to do if it was not started."""
        if self._container is not None:
            self._container.stop()
            self._container = None


class ContainerKafka(_Container):
    """Apache Kafka in a container, one node, set up like the embedded broker where clients notice."""

    def __init__(self) -> None:
        super().__init__(_kafka_image(), 9092)

    @property
    def bootstrap(self) -> str:
        """Address for clients, `127.0.0.1:port`."""
        return f"127.0.0.1:{self._host_port}"

    def _environment(self) -> dict[str, str]:
        return {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_LISTENERS": "CLIENT://:9092,INSIDE://localhost:9094,CONTROLLER://localhost:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"CLIENT://{self.bootstrap},INSIDE://localhost:9094",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_MESSAGE_MAX_BYTES": str(4 * 1024 * 1024),
            "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "KAFKA_BROKER_SESSION_TIMEOUT_MS": "2000",
            "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "400",
        }

    def _ready(self) -> list[str]:
        return ["/opt/kafka/bin/kafka-broker-api-versions.sh", "--bootstrap-server", "localhost:9094"]


class ContainerPostgres(_Container):
    """PostgreSQL in a container, with the database `orderwake`."""

    def __init__(self) -> None:
        super().__init__(_POSTGRES_IMAGE, 5432)

    @property
    def dsn(self) -> str:
        """Connection URL of the database `orderwake`, as its superuser."""
        return f"postgresql://postgres@127.0.0.1:{self._host_port}/orderwake"

    def _environment(self) -> dict[str, str]:
        return {"POSTGRES_HOST_AUTH_METHOD": "trust", "POSTGRES_DB": "orderwake"}

    def _ready(self) -> list[str]:
        """Ask over TCP: while the image creates the database its server listens on a Unix socket only."""
        return ["pg_isready", "--host=127.0.0.1", "--username=postgres"]
