"""What a fake accepted: JSON lines, each appended by one write, so a kill leaves no torn line."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ReceivedLog:
    """A file of accepted messages, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add one line."""
        os.write(self._file, json.dumps(entry).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(path: Path) -> list[dict[str, Any]]:
    """Every entry so far, but one that is just being written; none if nothing was ever accepted."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines() if line]
