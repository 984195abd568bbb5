"""Which Kafka and which PostgreSQL to use: the ones given, containers, or embedded ones, in this order."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from shared.embedded import containers
from shared.embedded.kafka import EmbeddedKafka
from shared.embedded.postgres import EmbeddedPostgres

KAFKA_VARIABLE, DATABASE_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"
Kind = Literal["given", "testcontainers", "embedded"]


class _Server(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


class _Kafka(_Server, Protocol):
    @property
    def bootstrap(self) -> str: ...


class _Postgres(_Server, Protocol):
    @property
    def dsn(self) -> str: ...


@dataclass(frozen=True)
class _GivenKafka:
    bootstrap: str

    def start(self) -> None:
        """Nothing to do: it is someone else's."""

    def stop(self) -> None:
        """Nothing to do: it is someone else's."""


@dataclass(frozen=True)
class _GivenPostgres:
    dsn: str

    def start(self) -> None:
        """Nothing to do: it is someone else's."""

    def stop(self) -> None:
        """Nothing to do: it is someone else's."""


@dataclass
class Infrastructure:
    """The choice made; as a context manager it starts what is not given and stops it at the end.

    `kind` is `given` if both are, else how the missing ones are supplied; `why` is one line for the log.
    """

    kind: Kind
    why: str
    kafka: _Kafka
    postgres: _Postgres
    _started: ExitStack = field(default_factory=ExitStack, repr=False)

    @property
    def bootstrap_servers(self) -> str:
        """Kafka addresses, comma-separated `host:port`."""
        return self.kafka.bootstrap

    @property
    def database_url(self) -> str:
        """PostgreSQL connection URL."""
        return self.postgres.dsn

    @property
    def environment(self) -> dict[str, str]:
        """The two variables that every service reads."""
        return {KAFKA_VARIABLE: self.bootstrap_servers, DATABASE_VARIABLE: self.database_url}

    def start(self) -> None:
        """Start both at once. Raises InfrastructureError, with neither left running, if one fails."""
        self._started.callback(self.kafka.stop)
        self._started.callback(self.postgres.stop)
        try:
            with ThreadPoolExecutor(2) as pool:
                starting = [pool.submit(server.start) for server in (self.kafka, self.postgres)]
            for one in starting:
                one.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what was started; what was given stays."""
        self._started.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def choose(folder: Path, environ: Mapping[str, str]) -> Infrastructure:
    """Decide, without starting anything; embedded servers keep their data under `folder`.

    An engine that answers may be asked to pull images, which can take minutes; without one this is quick.
    """
    bootstrap, database = environ.get(KAFKA_VARIABLE), environ.get(DATABASE_VARIABLE)
    if bootstrap and database:
        why = f"Kafka and PostgreSQL as given by {KAFKA_VARIABLE} and {DATABASE_VARIABLE}"
        return Infrastructure("given", why, _GivenKafka(bootstrap), _GivenPostgres(database))
    against = containers.reason_against(kafka=not bootstrap, postgres=not database)
    kafka: _Kafka
    postgres: _Postgres
    if against is None:
        kafka = _GivenKafka(bootstrap) if bootstrap else containers.ContainerKafka()
        postgres = _GivenPostgres(database) if database else containers.ContainerPostgres()
        why = _sentence("in containers", "Docker answers", bootstrap, database)
        return Infrastructure("testcontainers", why, kafka, postgres)
    kafka = _GivenKafka(bootstrap) if bootstrap else EmbeddedKafka(folder / "kafka")
    postgres = _GivenPostgres(database) if database else EmbeddedPostgres(folder / "postgres")
    return Infrastructure("embedded", _sentence("embedded", against, bootstrap, database), kafka, postgres)


def _sentence(how: str, because: str, bootstrap: str | None, database: str | None) -> str:
    if bootstrap:
        given, other, unset = f"Kafka as given by {KAFKA_VARIABLE}", "PostgreSQL", DATABASE_VARIABLE
    elif database:
        given, other, unset = f"PostgreSQL as given by {DATABASE_VARIABLE}", "Kafka", KAFKA_VARIABLE
    else:
        return (
            f"Kafka and PostgreSQL {how}: {KAFKA_VARIABLE} and {DATABASE_VARIABLE} are not set and {because}"
        )
    return f"{given}; {other} {how}: {unset} is not set and {because}"
