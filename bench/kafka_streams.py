"""The Kafka Streams worker: built from bench/kafka-streams when a comparison starts, where Java and Maven are there."""

import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).with_name("kafka-streams")
_MAIN = "orderwake.Worker"


def build() -> tuple[tuple[str, ...] | None, str]:
    """How to start the worker, and an empty text; or None and why it cannot be built here."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        missing = " and ".join(name for name, path in (("Java", java), ("Maven", maven)) if path is None)
        return None, f"{missing} not found"
    made = subprocess.run(  # noqa: S603  our own project
        [maven, "-q", "-B", "package"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if made.returncode:
        said = (made.stdout + made.stderr).strip().splitlines()
        return None, f"Maven could not build it: {said[0] if said else made.returncode}"
    folder = PROJECT / "build"
    return (java, "-cp", f"{folder / 'worker.jar'}:{folder / 'lib' / '*'}", _MAIN), ""
