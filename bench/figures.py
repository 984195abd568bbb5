"""What a comparison says: rates, memory, and ours as a multiple of each peer."""

from dataclasses import dataclass

from bench.case import Measured

OURS, QUIX, STOCK, STREAMS = "ours", "quixstreams", "stock_faust", "kafka_streams"
PEERS = (QUIX, STOCK, STREAMS)


@dataclass(frozen=True)
class Figures:
    """One line of the table."""

    orders: int
    lines: int
    pair_updates: int
    measured: Measured

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.measured.seconds

    def as_json(self) -> dict[str, int | float]:
        """Rates a second, CPU an order, and memory in megabytes."""
        seconds = self.measured.seconds
        return {
            "orders_per_second": round(self.rate),
            "lines_per_second": round(self.lines / seconds),
            "pair_updates_per_second": round(self.pair_updates / seconds),
            "cpu_microseconds_per_order": round(self.measured.cpu_seconds / self.orders * 1e6),
            "memory_megabytes": round(self.measured.memory_bytes / 1e6),
            "seconds": round(seconds, 2),
        }


Found = dict[tuple[str, str], Figures]
"""Figures by job and name."""


def ratios(found: Found) -> dict[str, float]:
    """Ours, on one worker, as a multiple of each peer that ran."""
    prefixes = {"pairs": "", "driver": "driver_"}
    return {
        f"{prefix}ratio_{peer}": round(found[job, OURS].rate / found[job, peer].rate, 2)
        for job, prefix in prefixes.items()
        for peer in PEERS
        if (job, peer) in found
    }


def table(found: Found) -> str:
    """Lay the figures out, with ours as a multiple of the others."""
    heads = ("orders/s", "lines/s", "pair updates/s", "CPU us/order", "memory MB", "ours is")
    lines = [f"{'':<26}" + "".join(f"{head:>16}" for head in heads)]
    for (job, name), figures in found.items():
        shown = figures.as_json()
        ratio = f"{found[job, OURS].rate / figures.rate:.2f}x" if name in PEERS else ""
        pairs = f"{shown['pair_updates_per_second']:,}" if job == "pairs" else ""
        cells = (
            f"{shown['orders_per_second']:,}",
            f"{shown['lines_per_second']:,}",
            pairs,
            f"{shown['cpu_microseconds_per_order']:,}",
        )
        memory = f"{shown['memory_megabytes']:,}"
        lines.append(f"{f'{job}, {name}':<26}" + "".join(f"{cell:>16}" for cell in (*cells, memory, ratio)))
    return "\n".join(lines)
