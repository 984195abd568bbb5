"""Reorder points: the customer's own intervals, shrunk to the product's; nothing where neither says enough."""

import pytest

from services.recommender.domain.reorder import PRIOR_WEIGHT, reorder_at
from shared.events.affinity import Timing

CONSUMABLE = Timing(support=400, share=0.85, days=(54.0, 60.0, 66.0), mean_days=60.0, within_days=350)
DURABLE = Timing(support=40, share=0.04, days=(90.0, 150.0, 250.0), mean_days=170.0, within_days=350)


def test_without_own_intervals_the_products_quartiles_hold() -> None:
    point = reorder_at(100.0, [], CONSUMABLE)
    assert point is not None
    assert tuple(point) == pytest.approx((160.0, 154.0, 166.0))


def test_own_intervals_weigh_as_many_as_they_are_against_the_prior() -> None:
    point = reorder_at(100.0, [30.0, 30.0], CONSUMABLE)
    assert point is not None
    assert point.day == pytest.approx(100 + (2 * 30 + PRIOR_WEIGHT * 60) / (2 + PRIOR_WEIGHT))


def test_with_more_own_intervals_the_range_is_narrower_but_never_gone() -> None:
    widths = []
    for number in (0, 1, 4, 50):
        point = reorder_at(0.0, [60.0] * number, CONSUMABLE)
        assert point is not None
        assert point.low < point.day < point.high
        widths.append(point.high - point.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] > widths[0] / 2


def test_a_durable_has_no_reorder_point() -> None:
    assert reorder_at(100.0, [], DURABLE) is None
    assert reorder_at(100.0, [400.0], DURABLE) is None


def test_nothing_is_known_of_a_product_without_repurchases_and_a_customer_without_history() -> None:
    assert reorder_at(100.0, [], None) is None
    assert reorder_at(100.0, [20.0, 22.0], None) is None


def test_a_customers_habit_is_enough_by_itself() -> None:
    point = reorder_at(100.0, [20.0, 22.0, 24.0], DURABLE)
    assert point is not None
    assert point.day == pytest.approx(122.0)
    assert 119 < point.low < point.day < point.high < 125


def test_two_orders_at_one_moment_are_no_interval() -> None:
    assert reorder_at(100.0, [0.0, 0.0, 0.0], CONSUMABLE) == reorder_at(100.0, [], CONSUMABLE)
    assert reorder_at(100.0, [0.0, 20.0, 22.0], None) is None
