"""Shares and gaps from counters: who has not bought yet, who was not watched, and when nothing can be said."""

import pytest

from services.recommender.domain.tally import Tally, empty
from services.recommender.domain.timing import Timed, again, following, observed_until, watch
from shared.events.affinity import Timing

LONG_AFTER = 28 * 100.0


def cohort(
    buyers: int,
    follows: dict[str, int] | None = None,
    left: dict[str, int] | None = None,
    other: str = "mat",
) -> Tally:
    """So many first-time buyers, of whom some bought another product by gap."""
    tally = empty()
    tally["buyers"] = buyers
    tally["follows"] = {gap: {other: number} for gap, number in (follows or {}).items()}
    tally["left"] = left or {}
    return tally


def purchases(orders: int, again_after: dict[str, int]) -> Tally:
    tally = empty()
    tally["orders"], tally["again"] = orders, again_after
    return tally


def mat(tallies: dict[int, Tally], until_day: float = LONG_AFTER) -> Timed:
    return following(tallies, until_day)["mat"]


def test_when_all_were_watched_for_half_a_year_the_share_is_the_plain_one() -> None:
    timed = mat({0: cohort(100, {"5": 20, "28": 20}), 1: cohort(100, {"28": 22})})
    assert timed["share"] == pytest.approx(62 / 200)
    assert (timed["support"], timed["within_days"]) == (62, 182)


def test_who_bought_too_lately_to_tell_counts_neither_as_buying_nor_as_not_buying() -> None:
    old = {0: cohort(100, {"5": 30, "63": 30})}
    # Seen through 40 days at least, so their first week counts, and what is known of later weeks does not.
    young = {4: cohort(100, {"5": 30, "63": 1})}
    until = 5 * 28 + 40.0
    assert mat(old | young, until) == mat(old, until) | {"support": 90}
    assert mat(old, until)["share"] == pytest.approx(0.6)


def test_a_buckets_last_day_must_have_been_watched_through_the_whole_bin() -> None:
    seen = {1: 100}
    assert watch(seen, {}, 2 * 28 + 49.0, 182)[-1].high == 49
    assert watch(seen, {}, 2 * 28 + 48.9, 182)[-1].high == 42


def test_who_left_in_a_bin_was_at_risk_for_half_of_it_and_then_no_more() -> None:
    found = {bin_.name: bin_.at_risk for bin_ in watch({0: 100}, {0: {"7": 10}}, LONG_AFTER, 182)}
    assert (found["6"], found["7"], found["8"]) == (100, 95, 90)


def test_the_window_ends_where_more_than_a_fifth_has_left() -> None:
    timed = mat({0: cohort(100, {"5": 30, "63": 30}, {"35": 30})})
    assert (timed["within_days"], timed["support"]) == (42, 30)
    assert timed["share"] == pytest.approx(0.3)


def test_nothing_is_said_before_buyers_were_watched_for_four_weeks() -> None:
    tallies = {0: cohort(100, {"2": 60})}
    assert following(tallies, 28 + 27.0) == {}
    assert mat(tallies, 28 + 28.0)["within_days"] == 28


def test_nothing_is_said_of_fewer_than_twenty_who_bought() -> None:
    assert following({0: cohort(1000, {"2": 19})}, LONG_AFTER) == {}
    assert mat({0: cohort(1000, {"2": 20})})["share"] == pytest.approx(0.02)


def test_counters_that_came_to_nothing_say_nothing() -> None:
    assert following({}, LONG_AFTER) == {}
    assert following({0: cohort(0)}, LONG_AFTER) == {}
    assert again({0: purchases(0, {})}, LONG_AFTER) is None


def test_only_the_products_asked_for_are_timed() -> None:
    tallies = {0: cohort(100, {"2": 60}), 1: cohort(100, {"2": 60}, other="bottle")}
    assert set(following(tallies, LONG_AFTER)) == {"mat", "bottle"}
    assert set(following(tallies, LONG_AFTER, ["bottle", "towel"])) == {"bottle"}


def test_quartiles_and_mean_are_spread_evenly_within_a_bin() -> None:
    timed = mat({0: cohort(100, {"28": 40})})
    assert timed["days"] == (29.75, 31.5, 33.25)
    assert timed["mean_days"] == pytest.approx(31.5)


def test_a_quartile_between_two_bins_is_the_end_of_the_first() -> None:
    assert mat({0: cohort(100, {"1": 20, "28": 20})})["days"][1] == pytest.approx(2)


def test_a_share_is_never_above_one() -> None:
    quick = {bucket: cohort(100, {"2": 100}) for bucket in range(1, 5)}
    assert mat({0: cohort(100, {"63": 100})} | quick, 28 + 80.0)["share"] == 1


def test_a_repurchase_is_timed_over_all_purchases() -> None:
    timed = again({0: purchases(100, {"56": 80}), 1: purchases(100, {"56": 90})}, LONG_AFTER)
    assert timed is not None
    assert timed["share"] == pytest.approx(0.85)
    assert timed["days"][1] == pytest.approx(59.5)
    assert timed["within_days"] == 350


def test_a_history_was_watched_until_its_last_purchase_or_its_buyers_last_order() -> None:
    tally = empty()
    assert observed_until({}) == observed_until({3: tally}) == 0
    tally["days"] = {"100": 2, "130": 0}
    assert observed_until({3: tally}) == 100
    tally["later"] = {"28": 1, "63": 0}
    assert observed_until({3: tally}) == 3 * 28 + 28


def test_what_is_found_is_a_timing() -> None:
    timed = mat({0: cohort(100, {"28": 40})})
    assert Timing.model_validate(timed).within_days == 182
