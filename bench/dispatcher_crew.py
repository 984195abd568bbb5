"""Where the dispatcher's benchmark runs, and how its processes are started."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.dispatcher_far import Far
from bench.scheduler_worker import Told
from shared.settings import Settings


@dataclass(frozen=True)
class Place:
    """Broker, database, how many messages are handed over at once, over how many connections."""

    settings: Settings
    folder: Path
    claim: int
    connections: int

    def environment(self, far: Far) -> dict[str, str]:
        """What a process of either side is told."""
        file = self.folder / "providers.yaml"
        file.write_text(json.dumps({"providers": [far.provider(self.connections)]}))
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "DATABASE_URL": self.settings.database_url.get_secret_value(),
            "ORDERWAKE_LOG_LEVEL": "error",
            "ORDERWAKE_DISPATCHER_CLAIM": str(self.claim),
            "ORDERWAKE_BENCH_KEY": "key",
            "ORDERWAKE_PROVIDERS_FILE": str(file),
        }


def run(arguments: tuple[str, ...], environment: dict[str, str]) -> Told:
    """Run a process to its end; returns what it has said. Raises RuntimeError if it says nothing."""
    with subprocess.Popen(  # noqa: S603  the command is ours
        [sys.executable, "-m", "bench.dispatcher_worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        if process.stdin is None or process.stdout is None or not process.stdout.readline():
            message = f"{arguments} ended before it was ready"
            raise RuntimeError(message)
        process.stdin.write("0\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            message = f"{arguments} ended before its time"
            raise RuntimeError(message)
        told: Told = json.loads(line)
        return told
