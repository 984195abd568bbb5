"""What the receiving ends wrote down: one JSON line for each e-mail and SMS that they accepted."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson


@dataclass
class Received:
    """Follows the logs of the SMTP server and the SMS provider under `folder`.

    An entry has `channel`, `message_id` and `recipient`; an e-mail `path` (its .eml file), an SMS `body`.
    """

    folder: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    _read: dict[Path, int] = field(default_factory=dict)

    def look(self) -> list[dict[str, Any]]:
        """Entries that have come since the last look."""
        emails, texts = self.folder / "email", self.folder / "sms"
        fresh = [
            {"channel": "email", "recipient": entry["to"][0], "path": str(emails / entry["file"]), **entry}
            for entry in self._lines(emails / "received.jsonl")
        ]
        fresh += [
            {"channel": "sms", "recipient": entry["to"], "message_id": entry["k"], **entry}
            for entry in self._lines(texts / "received.jsonl")
        ]
        self.entries += fresh
        return fresh

    def _lines(self, path: Path) -> list[dict[str, Any]]:
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(whole)
        return [orjson.loads(line) for line in whole.splitlines()]

    def by_channel(self) -> dict[str, int]:
        """Messages received, each counted once, by channel."""
        return dict(
            Counter(channel for channel, _ in {(e["channel"], e["message_id"]) for e in self.entries})
        )

    def ids(self) -> set[str]:
        """Ids of all messages received."""
        return {entry["message_id"] for entry in self.entries}

    def duplicates(self) -> int:
        """Messages received more than once."""
        return len(self.entries) - len(self.ids())
