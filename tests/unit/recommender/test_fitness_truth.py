"""A generated year of which the truth is known: what is learned of it is right within its sampling error.

The orders go through the counters as they do in the services. Errors are computed from the truth and from how many were
watched how long; a truth about gaps is taken as the bins can tell it (even spread within a bin). Three standard errors, for
five seeds that were not chosen.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from itertools import pairwise
from math import sqrt
from random import Random
from statistics import NormalDist, fmean, pvariance, stdev
from typing import Any, NamedTuple

import pytest

from services.recommender.domain import baskets, kept
from services.recommender.domain.reorder import PRIOR_WEIGHT, reorder_at
from services.recommender.domain.rows import row
from services.recommender.domain.shop import Listed, ShopCounts
from services.recommender.domain.tally import Counted, Tally
from services.recommender.domain.timing import (
    AGAIN_DAYS,
    FOLLOWING_DAYS,
    Watched,
    observed_until,
    watch,
)
from services.recommender.domain.upgrades import upgrades
from shared.events import PairCounts
from tests.support.fitness_year import (
    AGAIN,
    ANCHOR,
    BAND,
    CATEGORIES,
    CYCLE_DAYS,
    CYCLE_VARIES,
    CYCLES_DIFFER,
    HEAVIER,
    KETTLEBELL,
    LATER,
    MAT,
    PRICES,
    PROTEIN,
    START,
    START_DAY,
    YEAR_DAYS,
    Year,
    fitness_year,
    naive_share,
    quantile_error,
    quantile_of,
    share_error,
    steps_of,
)

SEEDS = range(5)
SEQUENCES = sorted(LATER)
QUARTILES = (0.25, 0.5, 0.75)
ERRORS = 3.0


class Learned(NamedTuple):
    """A year, what was counted of it, and the day it ends."""

    year: Year
    counted: Counted
    until_day: float

    def counts(self, product: str) -> PairCounts:
        found: dict[str, Any] = row(self.counted[product], 200, self.until_day)
        return PairCounts.model_validate(found | {"product_id": product})

    def watched(self, product: str) -> list[Watched]:
        """How its buyers were watched, as `row` sees it."""
        tallies = self.counted[product]
        left = {bucket: tally["left"] for bucket, tally in tallies.items()}
        until = min(self.until_day, observed_until(tallies))
        return watch(buyers_of(tallies), left, until, FOLLOWING_DAYS)


@cache
def learned(seed: int, days: float = YEAR_DAYS) -> Learned:
    year = fitness_year(seed) if days == YEAR_DAYS else learned(seed).year
    counted: Counted = {}
    records: dict[str, baskets.CustomerRecord] = {}
    for event in year.orders:
        if event.data.placed_at >= START + timedelta(days=days):
            break
        record = records.setdefault(event.customerid or "", baskets.load(None))
        baskets.take_order(record, event.data.order_id, kept.bought(event.data), counted)
    return Learned(year, counted, START_DAY + days)


def buyers_of(tallies: Mapping[int, Tally]) -> dict[int, int]:
    return {bucket: tally["buyers"] for bucket, tally in tallies.items()}


def spans_and_risk(watched: Sequence[Watched]) -> tuple[list[tuple[float, float]], list[float]]:
    return [(found.low, found.high) for found in watched], [found.at_risk for found in watched]


def assert_within_its_error(estimate: float, truth: float, error: float) -> None:
    assert abs(estimate - truth) <= ERRORS * error, f"{estimate:.4f}, truth {truth:.4f}, error {error:.4f}"


@pytest.mark.parametrize("sequence", SEQUENCES, ids="-".join)
@pytest.mark.parametrize("seed", SEEDS)
def test_who_buys_what_later_and_when_is_learned_within_its_error(
    seed: int, sequence: tuple[str, str]
) -> None:
    (product, later), law, found = sequence, LATER[sequence], learned(seed)
    timing = found.counts(product).timing[later]
    spans, risk = spans_and_risk(found.watched(product))
    steps = steps_of(law, spans)
    assert timing.within_days == FOLLOWING_DAYS
    assert_within_its_error(timing.share, sum(steps), share_error(steps, risk))
    for part, days in zip(QUARTILES, timing.days, strict=True):
        truth = quantile_of(part, steps, spans)[1]
        assert_within_its_error(days, truth, quantile_error(part, law, spans, risk))


def test_the_truth_is_as_the_shop_has_it() -> None:
    halves = [(0.0, 30.0), (30.0, float(FOLLOWING_DAYS))]
    assert sum(steps_of(LATER[KETTLEBELL, MAT], halves)) == pytest.approx(0.62, abs=0.002)
    assert steps_of(LATER[BAND, ANCHOR], halves) == pytest.approx([0.71, 0])
    mean = fmean(LATER[KETTLEBELL, MAT].draw(Random(number)) for number in range(4000))  # noqa: S311  a story
    assert mean == pytest.approx(45, abs=ERRORS * 45 / sqrt(2 * 4000))


@pytest.mark.parametrize("seed", SEEDS)
def test_door_anchors_are_learned_to_be_bought_within_thirty_days(seed: int) -> None:
    found = learned(seed)
    spans, risk = spans_and_risk(found.watched(BAND))
    by_gap: dict[str, int] = {}
    for bucket, tally in found.counted[BAND].items():
        for bin_ in found.watched(BAND):
            if bucket <= bin_.newest:
                number = tally["follows"].get(bin_.name, {}).get(ANCHOR, 0)
                by_gap[bin_.name] = by_gap.get(bin_.name, 0) + number
    # 30 days end within the bin of 28 to 35.
    within = sum(
        by_gap[str(low)] / at_risk for (low, high), at_risk in zip(spans, risk, strict=True) if high <= 35
    )
    assert_within_its_error(within, 0.71, share_error(steps_of(LATER[BAND, ANCHOR], spans), risk))
    assert sum(number for gap, number in by_gap.items() if int(gap) >= 35) == 0


@pytest.mark.parametrize("sequence", [(KETTLEBELL, MAT), (KETTLEBELL, HEAVIER)], ids="-".join)
@pytest.mark.parametrize("seed", SEEDS)
def test_without_the_correction_the_share_would_be_too_low_by_more_than_its_error(
    seed: int, sequence: tuple[str, str]
) -> None:
    (product, later), found = sequence, learned(seed)
    spans, risk = spans_and_risk(found.watched(product))
    steps = steps_of(LATER[sequence], spans)
    naive = naive_share(buyers_of(found.counted[product]), found.counts(product).follows[later][0])
    assert naive < sum(steps) - ERRORS * share_error(steps, risk)


@pytest.mark.parametrize("days", [120.0, 200.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_shop_younger_than_half_a_year_learns_the_truth_as_far_as_it_has_watched(
    seed: int, days: float
) -> None:
    found, law = learned(seed, days), LATER[KETTLEBELL, MAT]
    timing = found.counts(KETTLEBELL).timing[MAT]
    spans, risk = spans_and_risk(found.watched(KETTLEBELL))
    steps = steps_of(law, spans)
    assert timing.within_days == spans[-1][1] <= days
    assert_within_its_error(timing.share, sum(steps), share_error(steps, risk))
    naive = naive_share(buyers_of(found.counted[KETTLEBELL]), found.counts(KETTLEBELL).follows[MAT][0])
    assert naive < sum(steps) - ERRORS * share_error(steps, risk)


def test_a_history_that_ended_years_ago_is_not_taken_for_years_of_silence() -> None:
    found = learned(0)
    years_later = found._replace(until_day=found.until_day + 1000)
    assert years_later.counts(KETTLEBELL) == found.counts(KETTLEBELL)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_upgrades_support_is_how_many_bought_the_dearer_one_later(seed: int) -> None:
    first: dict[str, float] = {}
    moved_up = 0
    for event in learned(seed).year.orders:
        held = {line.product_id for line in event.data.lines}
        day = event.data.placed_at.timestamp() / 86_400
        if KETTLEBELL in held:
            first[event.customerid or ""] = day
        elif HEAVIER in held:
            moved_up += day - first[event.customerid or ""] < FOLLOWING_DAYS
    counts = learned(seed).counts(KETTLEBELL)
    lost = sum(
        number for tally in learned(seed).counted[KETTLEBELL].values() for number in tally["left"].values()
    )
    assert PRICES[HEAVIER] > PRICES[KETTLEBELL]
    assert moved_up - lost <= counts.follows[HEAVIER][0] <= moved_up
    assert KETTLEBELL not in learned(seed).counts(HEAVIER).timing


@pytest.mark.parametrize("seed", SEEDS)
def test_the_heavier_kettlebell_is_the_only_upgrade_and_says_when(seed: int) -> None:
    shop = ShopCounts()
    for product, category in CATEGORIES.items():
        shop.put_listing(product, Listed(category, PRICES[product], "USD"))
        shop.put(learned(seed).counts(product))
    (upgrade,) = upgrades(shop, KETTLEBELL)
    counts = learned(seed).counts(KETTLEBELL)
    assert (upgrade.product_id, upgrade.relation, upgrade.reliable) == (HEAVIER, "upgrade", True)
    assert upgrade.support == counts.follows[HEAVIER][0]
    assert upgrade.gap == counts.timing[HEAVIER]
    assert upgrades(shop, HEAVIER) == upgrades(shop, MAT) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_consumables_cycle_is_learned_within_its_error(seed: int) -> None:
    found = learned(seed)
    timing = found.counts(PROTEIN).repurchase
    assert timing is not None
    orders = {bucket: tally["orders"] for bucket, tally in found.counted[PROTEIN].items()}
    spans, risk = spans_and_risk(watch(orders, {}, observed_until(found.counted[PROTEIN]), AGAIN_DAYS))
    steps = steps_of(AGAIN, spans)
    assert_within_its_error(timing.share, sum(steps), share_error(steps, risk))
    # One customer's gaps are alike, so they tell less than as many customers': Kish's design effect.
    gaps = [len(days) - 1 for days in found.year.purchases.values()]
    alike = CYCLES_DIFFER**2 / (CYCLES_DIFFER**2 + CYCLE_VARIES**2)
    effect = sqrt(1 + (sum(number**2 for number in gaps) / sum(gaps) - 1) * alike)
    for part, days in zip(QUARTILES, timing.days, strict=True):
        truth = quantile_of(part, steps, spans)[1]
        assert_within_its_error(days, truth, effect * quantile_error(part, AGAIN, spans, risk))
    assert timing.days[1] == pytest.approx(CYCLE_DAYS, abs=1)


@pytest.mark.parametrize("own", [0, 1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_reorder_points_are_as_near_to_each_customers_own_cycle_as_their_history_allows(
    seed: int, own: int
) -> None:
    found = learned(seed)
    repurchase = found.counts(PROTEIN).repurchase
    errors, hits, chances = [], [], []
    weight = PRIOR_WEIGHT + own
    expected = (PRIOR_WEIGHT**2 * CYCLES_DIFFER**2 + own * CYCLE_VARIES**2) / weight**2
    ahead = NormalDist(0, sqrt(expected + CYCLE_VARIES**2))
    for customer, days in found.year.purchases.items():
        if len(days) < own + 2:
            continue
        gaps = [after - before for before, after in pairwise(days[: own + 1])]
        point = reorder_at(days[own], gaps, repurchase)
        assert point is not None
        errors.append(point.day - days[own] - found.year.cycles[customer])
        hits.append(point.low <= days[own + 1] <= point.high)
        chances.append(ahead.cdf(point.high - point.day) - ahead.cdf(point.low - point.day))
    squares = [error**2 for error in errors]
    assert_within_its_error(fmean(squares), expected, stdev(squares) / sqrt(len(squares)))
    median_error = 0.3 * PRIOR_WEIGHT / weight
    mean_error = sqrt(pvariance(errors) / len(errors) + median_error**2)
    assert_within_its_error(fmean(errors), 0, mean_error)
    # Half of the next purchases would be in the range but for its bins, which are a little wider than the truth.
    assert_within_its_error(fmean(hits), fmean(chances), sqrt(0.25 / len(hits)))
    assert fmean(chances) == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_durable_has_no_reorder_point(seed: int) -> None:
    assert reorder_at(START_DAY, [], learned(seed).counts(KETTLEBELL).repurchase) is None
