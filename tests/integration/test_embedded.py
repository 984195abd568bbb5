"""Real servers on a bare machine: side by side, across crashes, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError

from shared.embedded import EmbeddedKafka, EmbeddedPostgres, Infrastructure, choose, containers, jars
from shared.errors import InfrastructureError
from tests.support import eventually

ROOT = Path(__file__).parents[2]
KAFKA, DATABASE = "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="orderwake-tests-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[Infrastructure]:
    kafka, postgres = EmbeddedKafka(folder / "kafka"), EmbeddedPostgres(folder / "postgres")
    with Infrastructure("embedded", "for this test", kafka, postgres) as running:
        yield running


@asynccontextmanager
async def producer(bootstrap: str, limit: int = 1_048_576) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=limit)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def first_value(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            record = await consumer.getone()
        value: bytes | None = record.value
        return value
    finally:
        await consumer.stop()


async def topics(bootstrap: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    names = set(await admin.list_topics())
    await admin.close()
    return names


async def test_two_stacks_run_side_by_side_and_share_nothing(
    stack: Infrastructure, kafka: EmbeddedKafka, postgres: EmbeddedPostgres, unique: str
) -> None:
    await create_topic(stack.bootstrap_servers, unique)
    assert unique in await topics(stack.bootstrap_servers)
    assert unique not in await topics(kafka.bootstrap)
    mine = await asyncpg.connect(stack.database_url)
    await mine.execute(f"CREATE TABLE {unique} ()")
    await mine.close()
    other = await asyncpg.connect(postgres.dsn)
    assert await other.fetchval("SELECT to_regclass($1)", unique) is None
    await other.close()


async def test_a_killed_broker_comes_back_on_its_port_with_what_it_acknowledged(
    stack: Infrastructure, unique: str
) -> None:
    assert isinstance(stack.kafka, EmbeddedKafka)
    address, pid = stack.bootstrap_servers, stack.kafka.pid
    await create_topic(address, unique)
    async with producer(address) as client:
        await client.send_and_wait(unique, b"kept")
    os.kill(pid, signal.SIGKILL)
    stack.kafka.start()
    assert stack.bootstrap_servers == address
    assert stack.kafka.pid != pid
    assert await first_value(address, unique) == b"kept"


async def test_a_killed_postgresql_comes_back_on_its_port_with_what_it_committed(
    stack: Infrastructure, unique: str
) -> None:
    assert isinstance(stack.postgres, EmbeddedPostgres)
    url = stack.database_url
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE TABLE {unique} AS SELECT 'kept' AS state")
    stack.postgres.kill()
    await eventually(connection.is_closed, what="the client to notice")
    stack.postgres.start()
    assert stack.database_url == url
    connection = await asyncpg.connect(url)
    assert await connection.fetchval(f"SELECT state FROM {unique}") == "kept"  # noqa: S608  our own name
    await connection.close()


async def test_a_postmaster_killed_alone_can_be_started_again_at_once(stack: Infrastructure) -> None:
    assert isinstance(stack.postgres, EmbeddedPostgres)
    connection = await asyncpg.connect(stack.database_url)
    os.kill(stack.postgres.pid, signal.SIGKILL)
    stack.postgres.start()
    connection.terminate()
    connection = await asyncpg.connect(stack.database_url)
    await connection.close()


async def test_a_topic_s_own_limit_decides_on_large_records(stack: Infrastructure, unique: str) -> None:
    large = bytes(2 * 1024 * 1024)
    limited = f"{unique}-limited"
    await create_topic(stack.bootstrap_servers, unique)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(limited, 1, 1, topic_configs={"max.message.bytes": "1048576"})])
    await admin.close()
    async with producer(stack.bootstrap_servers, limit=3 * 1024 * 1024) as client:
        await client.send_and_wait(unique, large)
        with pytest.raises(MessageSizeTooLargeError):
            await client.send_and_wait(limited, large)


def test_a_server_that_cannot_start_says_what_it_logged(stack: Infrastructure, folder: Path) -> None:
    port = int(stack.database_url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(InfrastructureError, match="Address already in use"):
        EmbeddedPostgres(folder / "second", port).start()


STARTER = """
import sys, threading
from pathlib import Path
from shared.embedded import EmbeddedKafka, EmbeddedPostgres, Infrastructure
folder = Path(sys.argv[1])
kafka, postgres = EmbeddedKafka(folder / "kafka"), EmbeddedPostgres(folder / "postgres")
Infrastructure("embedded", "", kafka, postgres).start()
print(kafka.pid, postgres.pid, flush=True)
threading.Event().wait()
"""


def spawn(*arguments: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name not in {KAFKA, DATABASE}}
    return subprocess.Popen(  # noqa: S603  the command is ours
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment | {"DOCKER_HOST": "unix:///nowhere"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    with spawn("-c", STARTER, str(tmp_path)) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        family = [psutil.Process(parent.pid), *psutil.Process(parent.pid).children(recursive=True)]
        assert set(pids) < {member.pid for member in family}
        parent.kill()
        parent.wait()
        await eventually(
            lambda: not [member for member in family if member.is_running()],
            what=lambda: f"the end of {[member for member in family if member.is_running()]}",
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_foreground_command_prints_where_they_are_and_ends_in_order(
    number: signal.Signals, tmp_path: Path
) -> None:
    with spawn("-m", "shared.embedded", "--folder", str(tmp_path)) as command:
        assert command.stdout is not None
        lines = [command.stdout.readline() for _ in range(2)]
        family = psutil.Process(command.pid).children(recursive=True)
        command.send_signal(number)
        _, notes = command.communicate(timeout=30)
    assert [line.partition("=")[0] for line in lines] == [f"export {KAFKA}", f"export {DATABASE}"]
    assert command.returncode == 0
    assert notes.splitlines() == [
        f"Kafka and PostgreSQL embedded: {KAFKA} and {DATABASE} are not set and no Docker engine answers",
        "Ready; Ctrl-C stops them.",
    ]
    assert not [member for member in family if member.is_running()]


def test_without_a_cache_and_offline_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "repositories", lambda: {"central": "http://127.0.0.1:9"})
    with pytest.raises(InfrastructureError) as refused:
        jars.kafka_jars({"XDG_CACHE_HOME": str(tmp_path)})
    assert "is not in the cache" in str(refused.value)
    assert jars.JARS_VARIABLE in str(refused.value)
    assert KAFKA in str(refused.value)


def test_a_jar_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forge(jar: jars.Jar, _: Path) -> Path:
        forged = tmp_path / jar.filename
        forged.write_bytes(b"forged")
        return forged

    monkeypatch.setattr(jars, "_resolve", forge)
    with pytest.raises(InfrastructureError, match="cannot be downloaded"):
        jars.kafka_jars({"XDG_CACHE_HOME": str(tmp_path)})


def test_jars_supplied_by_hand_are_taken_and_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"holds no kafka_2\.13"):
        jars.kafka_jars({jars.JARS_VARIABLE: str(tmp_path)})
    (tmp_path / "kafka_2.13-4.1.2.jar").touch()
    assert jars.kafka_jars({jars.JARS_VARIABLE: str(tmp_path)}) == tmp_path


def test_a_mirror_in_maven_s_settings_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(
        "<settings><mirrors><mirror><mirrorOf>central</mirrorOf><url>http://mirror.example/m/</url></mirror>"
        "</mirrors></settings>"
    )
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert jars.repositories() == {"central": "http://mirror.example/m"}


@pytest.mark.parametrize(
    ("environ", "against", "kind", "why"),
    [
        (
            {KAFKA: "k:9092", DATABASE: "postgresql://p/d"},
            "unasked",
            "given",
            "Kafka and PostgreSQL as given by KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL",
        ),
        (
            {KAFKA: "k:9092"},
            None,
            "testcontainers",
            f"Kafka as given by {KAFKA}; PostgreSQL in containers: {DATABASE} is not set and Docker answers",
        ),
        (
            {DATABASE: "postgresql://p/d"},
            "Docker is off",
            "embedded",
            f"PostgreSQL as given by {DATABASE}; Kafka embedded: {KAFKA} is not set and Docker is off",
        ),
    ],
)
def test_the_choice_goes_by_variables_then_docker_then_embedded_and_says_why(  # noqa: PLR0913, PLR0917  a table
    environ: dict[str, str],
    against: str | None,
    kind: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(containers, "reason_against", lambda **_: against)
    chosen = choose(tmp_path, environ)
    assert (chosen.kind, chosen.why) == (kind, why)
    assert chosen.environment[KAFKA] == environ.get(KAFKA, chosen.kafka.bootstrap)
    assert chosen.environment[DATABASE] == environ.get(DATABASE, chosen.postgres.dsn)


def test_a_docker_client_without_an_engine_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    assert containers.reason_against(kafka=True, postgres=True) == "no Docker engine answers"
