"""History from files: one JSON object a line, plain or gzipped, or a folder of such files."""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from services.scheduler.backtest.history import Source
from services.scheduler.backtest.records import MADE, Item, Known, item_of
from shared.errors import BacktestError
from shared.events import Event

_SUFFIXES = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz")
_GZIP_RATIO = 8


@dataclass(frozen=True)
class Files:
    """Events in files, read in the order of their names. `of` finds them."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, path: Path) -> "Files":
        """The file, or the files of a folder and those below. Raises BacktestError if there are none."""
        if path.is_file():
            return cls((path,))
        found = tuple(sorted(each for each in path.rglob("*") if each.name.endswith(_SUFFIXES)))
        if not found:
            problem = "has no *.jsonl or *.jsonl.gz" if path.is_dir() else "is neither a file nor a folder"
            message = f"{path} {problem}; name a file with one event a line, or a folder of them, or topics"
            raise BacktestError(message)
        return cls(found)

    def size(self) -> int:
        """Bytes, those of gzipped files as they are likely to be unpacked."""
        return sum(
            path.stat().st_size * (_GZIP_RATIO if path.name.endswith(".gz") else 1) for path in self.paths
        )

    def items(self, known: Known) -> Iterator[Item]:
        """Every record. Raises BacktestError with file, line and fix."""
        for part, path in enumerate(self.paths):
            with _opened(path) as file:
                for place, line in enumerate(file, start=1):
                    item = _item(path, line, part, place, known) if line.strip() else None
                    if item is not None:
                        yield item

    def name(self, item: Item) -> str:
        """File and line."""
        return f"{self.paths[item.part]}:{item.place}"


@dataclass(frozen=True)
class Given:
    """A source whose records of one topic are taken from another instead."""

    source: Source
    given: Source
    topic: str

    def size(self) -> int:
        """Bytes of both."""
        return self.source.size() + self.given.size()

    def items(self, known: Known) -> Iterator[Item]:
        """Every record. Raises BacktestError as the two do."""
        yield from (item for item in self.source.items(known) if item.topic != self.topic)
        yield from (item for item in self.given.items(known) if item.topic == self.topic)

    def name(self, item: Item) -> str:
        """Where it stands."""
        return (self.given if item.topic == self.topic else self.source).name(item)


@dataclass(frozen=True)
class Made:
    """Events that were made for the occasion, and are known from their times on."""

    items_made: tuple[Item, ...]

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Made":
        """Return them as records."""
        found = (item_of(event.encode(), MADE, place, "time") for place, event in enumerate(events))
        return cls(tuple(item for item in found if item is not None))

    def size(self) -> int:
        """Bytes."""
        return sum(len(item.value or b"") for item in self.items_made)

    def items(self, known: Known) -> Iterator[Item]:
        """Every record."""
        del known
        return iter(self.items_made)

    def name(self, item: Item) -> str:
        """Which of them it is."""
        return f"made for the backtest, {item.place}"


def _item(path: Path, line: bytes, part: int, place: int, known: Known) -> Item | None:
    try:
        return item_of(line, part, place, known)
    except BacktestError as error:
        message = f"{path}:{place}: {error}"
        raise BacktestError(message) from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as file:
            yield cast("IO[bytes]", file)
    except (OSError, EOFError) as error:
        message = f"{path}:1: cannot be read ({error}); is it what its name says?"
        raise BacktestError(message) from None
