"""The demo as people run it: its sums hold, and Ctrl-C leaves nothing running."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support import eventually
from tests.support.stage import REPOSITORY

pytestmark = pytest.mark.timeout(600)

SMALL = ("--orders", "60", "--shop", "skincare", "--speed", "100000")
STARTS_WITHIN, STOPS_WITHIN, RUNS_WITHIN = 180, 90, 400


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    made = Path(tempfile.mkdtemp(prefix="orderwake-tests-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _environment(folder: Path) -> Mapping[str, str]:
    """Servers of the demo's own; TMPDIR marks every process that comes of it, whatever its parent or session."""
    given = ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL")
    inherited = {name: value for name, value in os.environ.items() if name not in given}
    return {**inherited, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


def _start(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(  # noqa: S603  the command is ours
            [sys.executable, "-m", "demo", *SMALL, *more],
            cwd=REPOSITORY,
            env=_environment(folder),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _running(folder: Path) -> dict[int, str]:
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("TMPDIR") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())[:200]
    return found


def test_every_due_step_has_its_verdict_and_every_message_is_accounted_for(folder: Path) -> None:
    written = folder / "summary.json"
    demo = _start(folder, "--summary", str(written))
    assert demo.wait(RUNS_WITHIN) == 0, (folder / "output").read_text()
    said = json.loads(written.read_text())
    sent = sum(said["sent"].values())
    skipped = sum(said["skipped"].values())
    assert said["due"] == sent + skipped + said["ghost"] + said["deferred"] + said["held"]
    assert sent == sum(said["received"].values()) + said["withheld"] + said["rejected"] + said["unknown"]
    assert said["duplicates"] == 0
    assert min(sent, skipped, said["ghost"]) > 0
    assert _running(folder) == {}


async def test_ctrl_c_in_the_middle_leaves_no_process_behind(folder: Path) -> None:
    demo = _start(folder)
    output = folder / "output"

    def lives() -> bool:
        return demo.poll() is not None or "Live:" in output.read_text()

    await eventually(lives, STARTS_WITHIN, output.read_text)
    assert len(_running(folder)) > 7, output.read_text()
    os.killpg(demo.pid, signal.SIGINT)
    assert demo.wait(STOPS_WITHIN) == 130, output.read_text()
    await eventually(lambda: not _running(folder), STOPS_WITHIN, lambda: f"the end of {_running(folder)}")
