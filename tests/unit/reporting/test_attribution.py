"""What an order is credited to, to the cent."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from services.reporting.domain.attribution import Sale, Touch, attribute, takings, worth_of_return

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)


def sale(
    at: datetime, total: str = "30.10", returned: str = "0", currency: str = "USD", customer: str = "c"
) -> Sale:
    return Sale("shop", f"o-{at.isoformat()}", customer, at, currency, Decimal(total), Decimal(returned))


def touch(at: datetime, message: str = "m", customer: str = "c", shop: str = "shop") -> Touch:
    return Touch(shop, customer, message, "journey", "step", "email", at)


def credited(sales: list[Sale], touches: list[Touch]) -> list[str]:
    return [credit.touch.message_id for credit in attribute(sales, touches, WEEK)]


def test_the_last_touch_before_the_order_takes_it_in_whatever_order_they_are_read() -> None:
    touches = [touch(NOON - 3 * HOUR, "first"), touch(NOON - HOUR, "last"), touch(NOON + HOUR, "after")]
    for read in permutations(touches):
        assert credited([sale(NOON)], list(read)) == ["last"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (WEEK, ["m"]),
        (WEEK + timedelta(microseconds=1), []),
        (timedelta(0), []),
        (timedelta(microseconds=1), ["m"]),
    ],
)
def test_the_window_is_closed_at_its_far_end_and_open_at_the_order(
    before: timedelta, expected: list[str]
) -> None:
    assert credited([sale(NOON)], [touch(NOON - before)]) == expected


def test_of_touches_at_one_instant_the_greater_id_is_taken() -> None:
    both = [touch(NOON - HOUR, "b"), touch(NOON - HOUR, "a")]
    assert credited([sale(NOON)], both) == credited([sale(NOON)], both[::-1]) == ["b"]


def test_another_persons_and_another_shops_touch_earn_nothing() -> None:
    assert credited([sale(NOON)], [touch(NOON - HOUR, customer="d"), touch(NOON - HOUR, shop="other")]) == []


def test_one_touch_may_earn_several_orders_and_each_order_is_credited_once() -> None:
    sales = [sale(NOON), sale(NOON + HOUR)]
    assert credited(sales, [touch(NOON - HOUR, "a"), touch(NOON - 2 * HOUR, "b")]) == ["a", "a"]


def test_takings_are_exact_and_never_mix_currencies() -> None:
    sums = takings([*(sale(NOON, "0.10") for _ in range(10)), sale(NOON, "7", "9", "EUR")])
    assert (sums["USD"].orders, sums["USD"].gross) == (10, Decimal("1.00"))
    assert (sums["EUR"].net, sums["EUR"].returned) == (Decimal(0), Decimal(7))
    assert all(found.gross - found.returned == found.net for found in sums.values())


@pytest.mark.parametrize(
    ("refund", "units", "worth"),
    [
        (Decimal("3.33"), {"a": 9}, "3.33"),
        (None, {"a": 1}, "2.50"),
        (None, {"a": 9}, "7.50"),
        (None, {"b": 1, "never-bought": 4}, "4"),
    ],
)
def test_a_return_is_worth_its_refund_or_else_the_price_of_what_was_bought(
    refund: Decimal | None, units: dict[str, int], worth: str
) -> None:
    bought = [("a", 2, Decimal("2.50")), ("b", 1, Decimal(4)), ("a", 1, Decimal("2.50"))]
    assert worth_of_return(refund, units, bought) == Decimal(worth)
