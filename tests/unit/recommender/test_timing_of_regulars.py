"""Customers who order so often that counters lose sight of them after eight orders do not bend what is learned."""

from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from math import sqrt
from random import Random

import pytest

from services.recommender.domain.tally import Counted, Tally
from services.recommender.domain.timeline import MINUTES_A_DAY, Entry, teach_all
from services.recommender.domain.timing import FOLLOWING_DAYS, following, watch

CUSTOMERS, DAYS, WANT = 2000, 400.0, 0.6
ERRORS = 3.0

Rhythm = Callable[[Random], float]


def weekly(_: Random) -> float:
    return 7.0


def weekly_or_monthly(random: Random) -> float:
    return random.choice((7.0, 30.0))


def weekly_or_rarer(random: Random) -> float:
    return random.choice((7.0, 30.0, 60.0))


@cache
def grocer(seed: int, every: Rhythm) -> tuple[Counted, list[float]]:
    """Regular orders; some come to want the other product, and take it with their next order. The true gaps too."""
    random = Random(seed)  # noqa: S311  a generated story
    counted: Counted = {}
    gaps: list[float] = []
    for _ in range(CUSTOMERS):
        rhythm, moments = every(random), [random.uniform(0, DAYS)]
        while moments[-1] < moments[0] + 2 * FOLLOWING_DAYS:
            moments.append(moments[-1] + max(random.gauss(rhythm, rhythm * 0.15), 0.5))
        held = [["first"]] + [["milk"] for _ in moments[1:]]
        if random.random() < WANT:
            place = bisect_left(moments, moments[0] + random.gammavariate(2, 22.5), 1)
            if place < len(moments):
                held[place] = ["other"]
                gaps.append(moments[place] - moments[0])
        teach_all(
            counted,
            [
                Entry(int(moment * MINUTES_A_DAY), f"{number:04d}", products)
                for number, (moment, products) in enumerate(zip(moments, held, strict=True))
                if moment < DAYS
            ],
        )
    return counted, gaps


@pytest.mark.parametrize("every", [weekly, weekly_or_monthly, weekly_or_rarer])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_of_regulars_is_true_as_far_as_eight_orders_show(seed: int, every: Rhythm) -> None:
    counted, gaps = grocer(seed, every)
    tallies = counted["first"]
    timed = following(tallies, DAYS)["other"]
    assert 42 <= timed["within_days"] < FOLLOWING_DAYS
    buyers = {bucket: tally["buyers"] for bucket, tally in tallies.items()}
    left = {bucket: tally["left"] for bucket, tally in tallies.items()}
    least = watch(buyers, left, DAYS, FOLLOWING_DAYS)[-1].at_risk
    truth = share_within(gaps, timed["within_days"])
    assert abs(timed["share"] - truth) <= ERRORS * error(truth, least)


@pytest.mark.parametrize("every", [weekly, weekly_or_monthly, weekly_or_rarer])
@pytest.mark.parametrize("seed", range(3))
def test_without_minding_who_left_the_share_would_be_too_low(seed: int, every: Rhythm) -> None:
    counted, gaps = grocer(seed, every)
    unaware: dict[int, Tally] = {}
    for bucket, tally in counted["first"].items():
        unaware[bucket] = tally.copy()
        unaware[bucket]["left"] = {}
    timed = following(unaware, DAYS)["other"]
    truth = share_within(gaps, FOLLOWING_DAYS)
    assert timed["within_days"] == FOLLOWING_DAYS
    # At half a year 400 days show those who bought in the first 218.
    assert timed["share"] < truth - ERRORS * error(truth, CUSTOMERS / 2)


def share_within(gaps: list[float], days: int) -> float:
    return sum(gap < days for gap in gaps) / CUSTOMERS


def error(share: float, people: float) -> float:
    return sqrt(share * (1 - share) / people)
