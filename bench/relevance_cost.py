"""What a method's fits cost: seconds, and how far the resident set grew."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

SAMPLE_SECONDS = 0.005


@dataclass
class Cost:
    """What the fits of a method took: their number, seconds in all, and the most memory that one added, in bytes."""

    fits: int = 0
    seconds: float = 0.0
    memory: int = 0


@dataclass
class Meter:
    """Costs by what was measured. Memory is the resident set's growth, looked at every few milliseconds."""

    costs: dict[str, Cost] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str, seconds: float = 0.0, memory: int = 0) -> Iterator[None]:
        """Add what the block takes to the costs of `name`, and what was made before it that it shares with others."""
        cost = self.costs.setdefault(name, Cost())
        _give_back()
        process, done = psutil.Process(), threading.Event()
        before = process.memory_info().rss
        most = [before]

        def watch() -> None:
            while not done.wait(SAMPLE_SECONDS):
                most[0] = max(most[0], process.memory_info().rss)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        began = time.perf_counter()
        try:
            yield
        finally:
            cost.seconds += seconds + time.perf_counter() - began
            cost.fits += 1
            done.set()
            watcher.join()
            grown = max(most[0], process.memory_info().rss) - before
            cost.memory = max(cost.memory, memory + grown)


def _give_back() -> None:
    """Return freed memory to the system, or a fit would grow into it unseen; only glibc holds on to that much."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
