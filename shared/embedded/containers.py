"""Kafka and PostgreSQL in containers, where a Docker engine answers."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from typing import TYPE_CHECKING, Any

from shared.embedded.jars import kafka_version
from shared.embedded.process import free_port
from shared.errors import InfrastructureError

if TYPE_CHECKING:
    from docker import DockerClient  # type: ignore[import-untyped]  # it has no stubs

_ANSWER_SECONDS = 2
_PULL_SECONDS = 180
_READY_SECONDS = 60
POSTGRES_IMAGE = "postgres:18"


def kafka_image() -> str:
    """Image of the version that the embedded broker has."""
    return f"apache/kafka:{kafka_version()}"


def reason_against(images: list[str]) -> str | None:
    """Why containers of these images cannot be used here, or None if they can.

    Answers within two seconds where no engine does; pulls what is missing, for at most three minutes.
    """
    if not _engine_listens():
        return "no Docker engine answers"
    try:
        import docker  # noqa: PLC0415  an optional extra: absent where real servers are given
    except ImportError:
        return "testcontainers is not installed"
    try:
        client = docker.from_env(timeout=_ANSWER_SECONDS)
    except docker.errors.DockerException:
        return "no Docker engine answers"
    try:
        client.ping()
        missing = [image for image in images if not client.images.list(name=image)]
        for image in missing:
            _pull(image)
    except (docker.errors.DockerException, OSError):
        return "no Docker engine answers that has or can pull the images"
    except TooSlow:
        return f"Docker took over {_PULL_SECONDS} s to pull the images"
    finally:
        client.close()
    return None


def _engine_listens() -> bool:
    """Look at the engine's socket first: docker's client leaks its own when it cannot connect."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        return probe.connect_ex(host.removeprefix("unix://")) == 0


def _pull(image: str) -> None:
    import docker  # noqa: PLC0415  as above

    client: DockerClient = docker.from_env(timeout=_PULL_SECONDS)
    pool = ThreadPoolExecutor(1)
    try:
        pool.submit(client.images.pull, image).result(_PULL_SECONDS)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        client.close()


class _Container:
    def __init__(self, image: str, port: int, environment: dict[str, str], ready: str) -> None:
        self._image, self._port, self._environment, self._ready = image, port, environment, ready
        self.host_port = free_port()
        self._running: Any = None  # testcontainers is optional, so its type cannot be named

    def start(self) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415  an optional extra
        from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415  as above

        container = DockerContainer(self._image).with_bind_ports(self._port, self.host_port)
        for name, value in self._environment.items():
            container = container.with_env(name, value)
        strategy = LogMessageWaitStrategy(self._ready).with_startup_timeout(_READY_SECONDS)
        try:
            self._running = container.waiting_for(strategy).start()
        except Exception as failed:
            message = f"the container of {self._image} did not start: {failed}"
            raise InfrastructureError(message) from failed

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None


class ContainerKafka(_Container):
    """Apache Kafka in a container, one node, set up like the embedded broker where clients notice."""

    def __init__(self) -> None:
        super().__init__(kafka_image(), 9092, {}, "Kafka Server started")
        self._environment = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_LISTENERS": "CLIENT://:9092,CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"CLIENT://{self.bootstrap}",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "CLIENT",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_MESSAGE_MAX_BYTES": str(4 * 1024 * 1024),
            "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        }

    @property
    def bootstrap(self) -> str:
        """Address for clients, `127.0.0.1:port`."""
        return f"127.0.0.1:{self.host_port}"


class ContainerPostgres(_Container):
    """PostgreSQL in a container, with the database `orderwake`."""

    def __init__(self) -> None:
        environment = {"POSTGRES_HOST_AUTH_METHOD": "trust", "POSTGRES_DB": "orderwake"}
        # The image starts a first server without TCP to create the database; only the second one counts.
        ready = r"init process complete[\s\S]*ready to accept connections"
        super().__init__(POSTGRES_IMAGE, 5432, environment, ready)

    @property
    def dsn(self) -> str:
        """Connection URL of the database `orderwake`, as its superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.host_port}/orderwake"
