"""Money is exact, in each currency's own smallest unit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.money import digits, percent_of, rounded, rounded_up, smallest, written

CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF"])
AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=6)
PERCENTS = st.decimals(min_value=0, max_value=100, places=2)


@pytest.mark.parametrize(
    ("currency", "unit"), [("USD", "0.01"), ("JPY", "1"), ("KWD", "0.001"), (None, "0.01")]
)
def test_each_currency_has_its_smallest_unit(currency: str | None, unit: str) -> None:
    assert smallest(currency) == Decimal(unit)


@given(AMOUNTS, CURRENCIES)
def test_rounding_moves_an_amount_by_half_a_unit_at_most(amount: Decimal, currency: str) -> None:
    whole = rounded(amount, currency)
    assert abs(whole - amount) * 2 <= smallest(currency)
    assert whole % smallest(currency) == 0
    assert rounded(whole, currency) == whole


@given(AMOUNTS, CURRENCIES)
def test_what_is_lacking_is_never_told_too_small_nor_a_unit_too_large(amount: Decimal, currency: str) -> None:
    whole = rounded_up(amount, currency)
    assert 0 <= whole - amount < smallest(currency)


@given(st.lists(AMOUNTS, max_size=6), PERCENTS, CURRENCIES)
def test_a_percentage_of_a_sum_is_exact_and_rounded_once(
    amounts: list[Decimal], percent: Decimal, currency: str
) -> None:
    total = sum(amounts, Decimal(0))
    cost = percent_of(percent, total, currency)
    assert abs(cost * 100 - total * percent) * 2 <= 100 * smallest(currency)
    assert cost <= rounded(total, currency)


@given(AMOUNTS, CURRENCIES)
def test_what_is_written_reads_back_the_same(amount: Decimal, currency: str) -> None:
    assert Decimal(digits(amount, currency)) == rounded(amount, currency)


def test_half_a_unit_goes_up() -> None:
    assert rounded(Decimal("0.005"), "USD") == Decimal("0.01")
    assert percent_of(Decimal(15), Decimal("9.00"), "USD") == Decimal("1.35")
    assert percent_of(Decimal("12.5"), Decimal(100), "JPY") == Decimal(13)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("12", "USD", "$12.00"),
        ("1200", "JPY", "JPY 1200"),
        ("1.5", "KWD", "KWD 1.500"),
        ("7.5", "EUR", "€7.50"),
        ("7.5", "CAD", "CAD 7.50"),
        ("7.5", None, "7.50"),
    ],
)
def test_an_amount_names_its_currency(amount: str, currency: str | None, text: str) -> None:
    assert written(Decimal(amount), currency) == text
