"""What a run of dispatchers came to: which message stands where, how often it was taken, and how unknowns were settled."""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

TAKEN = frozenset({"accepted", "confirmed", "undelivered"})
NOT_TAKEN = frozenset({"rejected", "withheld"})


@dataclass
class Verdict:
    """Counts of messages. `unknown` were told as unknown at some time, `unresolved` are so at the end."""

    messages: int
    doubles: int
    lost: int
    unknown: int
    unresolved: int
    table: Counter[tuple[str, int]] = field(default_factory=Counter)
    means: Counter[str] = field(default_factory=Counter)


def judge(
    wanted: Iterable[str],
    states: Mapping[str, str],
    taken: Counter[str],
    ever_unknown: AbstractSet[str],
    means: Counter[str],
) -> Verdict:
    """Doubled: taken more than once. Lost: not in the ledger, on its way no more, or not as the ledger says."""
    messages = list(wanted)
    standing = {message: states.get(message, "missing") for message in messages}
    return Verdict(
        messages=len(messages),
        doubles=sum(taken[message] > 1 for message in taken),
        lost=sum(_lost(state, taken[message]) for message, state in standing.items()),
        unknown=len(ever_unknown),
        unresolved=sum(state == "unknown" for state in standing.values()),
        table=Counter((state, taken[message]) for message, state in standing.items()),
        means=means,
    )


def _lost(state: str, taken: int) -> bool:
    if state in TAKEN:
        return taken == 0
    if state in NOT_TAKEN:
        return taken > 0
    return state != "unknown"


def table(verdict: Verdict, causes: Mapping[tuple[str, str | None], int]) -> str:
    """State by how often a message was received, then why messages stand where they stand, then how unknowns were settled."""
    lines = [f"{'state':14}{'received':>10}{'messages':>10}"]
    lines += [f"{state:14}{times:10}{count:10}" for (state, times), count in sorted(verdict.table.items())]
    lines += ["", f"{'state':14}{'reason':34}{'messages':>10}"]
    lines += [
        f"{state:14}{reason or '-':34}{count:10}"
        for (state, reason), count in sorted(causes.items(), key=lambda item: (item[0][0], -item[1]))
    ]
    lines += ["", f"{'unknown, settled by':48}{'messages':>10}"]
    lines += [f"{means:48}{count:10}" for means, count in verdict.means.most_common()]
    return "\n".join(lines)
