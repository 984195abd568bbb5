"""What a timeline teaches, against its definition written out: every pair of orders looked at, nothing carried along."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.recommender.domain.gaps import bin_of
from services.recommender.domain.tally import Counted, tallies
from services.recommender.domain.timeline import (
    MINUTES_A_DAY,
    SEQUENCE_DAYS,
    SEQUENCE_ORDERS,
    WINDOW_DAYS,
    WINDOW_ORDERS,
    Entry,
    bucket_of,
    teach_all,
)

Facts = Counter[tuple[object, ...]]


def days(one: Entry, other: Entry) -> float:
    return (other.minute - one.minute) / MINUTES_A_DAY


def is_new(entries: Sequence[Entry], place: int, product: str) -> bool:
    window = entries[max(place - WINDOW_ORDERS, 0) : place]
    return not any(product in one.products and days(one, entries[place]) < WINDOW_DAYS for one in window)


def by_definition(entries: Sequence[Entry]) -> Facts:
    """Every fact that the timeline teaches: (product, bucket, field, key)."""
    facts: Facts = Counter()
    for place, entry in enumerate(entries):
        bucket, day = bucket_of(entry.minute), str(entry.minute // MINUTES_A_DAY)
        for product in entry.products:
            facts[product, bucket, "orders"] += 1
            facts[product, bucket, "days", day] += 1
            facts.update((product, bucket, "pairs", other) for other in entry.products if other != product)
            if is_new(entries, place, product):
                facts[product, bucket, "buyers"] += 1
                facts.update([(product, bucket, "newly", day)] if place else [])
            else:
                last = next(one for one in reversed(entries[:place]) if product in one.products)
                gap = bin_of(days(last, entry))
                facts.update([(product, bucket_of(last.minute), "again", gap)] if gap else [])
        for former in range(max(place - SEQUENCE_ORDERS, 0), place):
            one = entries[former]
            if days(one, entry) >= SEQUENCE_DAYS:
                continue
            gap = bin_of(days(one, entry))
            for product in (each for each in one.products if is_new(entries, former, each)):
                facts[product, bucket_of(one.minute), "later", gap] += 1
                if place - former == SEQUENCE_ORDERS:
                    facts[product, bucket_of(one.minute), "left", gap] += 1
                new = [other for other in entry.products if is_new(entries, place, other)]
                facts.update((product, bucket_of(one.minute), "follows", gap, other) for other in new)
    return facts


def flat(counted: Counted) -> Facts:
    facts: Facts = Counter()
    for product, bucket, tally in tallies(counted):
        for field, value in tally.items():
            if isinstance(value, int):
                facts[product, bucket, field] = value
            else:
                assert isinstance(value, dict)
                for key, number in value.items():
                    if isinstance(number, dict):
                        facts.update({(product, bucket, field, key, other): n for other, n in number.items()})
                    else:
                        facts[product, bucket, field, key] = number
    return facts


@st.composite
def timelines(draw: st.DrawFn) -> list[Entry]:
    gaps = draw(st.lists(st.sampled_from([0, 60, 1440, 30_000, 200_000, 300_000, 600_000]), max_size=14))
    baskets = st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=4)
    minute, entries = 29_000_000, []
    for number, gap in enumerate(gaps):
        minute += gap
        entries.append(Entry(minute, f"o{number:02}", sorted(draw(baskets))))
    return entries


@given(timelines())
def test_a_timeline_teaches_what_its_definition_says(entries: list[Entry]) -> None:
    counted: Counted = {}
    teach_all(counted, entries)
    assert flat(counted) == by_definition(entries)


def test_the_ninth_order_after_is_too_late_and_the_eighth_says_that_no_more_is_seen() -> None:
    entries = [Entry(0, "o0", ["mat"]), *(Entry(1440 * n, f"o{n}", ["band"]) for n in range(1, 9))]
    entries.append(Entry(1440 * 9, "o9", ["block"]))
    counted: Counted = {}
    teach_all(counted, entries)
    mat = counted["mat"][0]
    assert mat["follows"] == {"1": {"band": 1}}
    assert mat["left"] == {"8": 1}
    assert sum(mat["later"].values()) == SEQUENCE_ORDERS
