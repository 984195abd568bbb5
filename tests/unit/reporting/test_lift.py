"""What the holdout shows, and when it shows nothing yet."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import sqrt
from random import Random
from statistics import fmean, variance

import pytest

from services.reporting.domain.attribution import Sale
from services.reporting.domain.lift import (
    Arm,
    Person,
    Sample,
    compare,
    orders_per_person,
    revenue_per_person,
    student_quantile,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def sample(values: list[Decimal]) -> Sample:
    made = Sample()
    for value in values:
        made = made.with_(value)
    return made


def sale(customer: str, at: datetime, total: str = "10", currency: str = "USD", shop: str = "shop") -> Sale:
    return Sale(shop, f"{customer}-{at.isoformat()}", customer, at, currency, Decimal(total), Decimal(1))


def test_purchases_count_for_the_same_span_in_both_arms() -> None:
    people = [Person("shop", "t", Arm.TREATED, NOON), Person("shop", "h", Arm.HELD_OUT, NOON + WEEK)]
    sales = [
        *(sale("t", NOON + after) for after in (-WEEK, timedelta(0), timedelta(hours=1), WEEK, 2 * WEEK)),
        *(sale("h", NOON + after) for after in (timedelta(hours=1), WEEK + timedelta(hours=1), 2 * WEEK)),
        sale("t", NOON + timedelta(hours=2), currency="EUR"),
        sale("t", NOON + timedelta(hours=2), shop="other"),
        sale("stranger", NOON + timedelta(hours=2)),
    ]
    money = revenue_per_person(people, sales, "USD", WEEK)
    assert {arm: found.total for arm, found in money.items()} == {Arm.TREATED: 18, Arm.HELD_OUT: 18}
    assert orders_per_person(people, sales, WEEK)[Arm.TREATED].total == 3


def test_people_who_bought_nothing_pull_the_mean_down() -> None:
    people = [Person("shop", f"c{number}", Arm.TREATED, NOON) for number in range(4)]
    found = revenue_per_person(people, [sale("c0", NOON + timedelta(days=1))], "USD", WEEK)[Arm.TREATED]
    assert (found.people, found.buyers, found.mean) == (4, 1, Decimal("2.25"))


@pytest.mark.parametrize(
    ("treated", "held_out", "because"),
    [
        (Sample(), Sample(), "0 people treated"),
        (
            Sample(5000, 900, Decimal(900), Decimal(900)),
            Sample(99, 50, Decimal(50), Decimal(50)),
            "99 people held out",
        ),
        (
            Sample(500, 90, Decimal(90), Decimal(90)),
            Sample(200, 9, Decimal(9), Decimal(9)),
            "9 people held out bought",
        ),
        (
            Sample(100, 100, Decimal(100), Decimal(100)),
            Sample(100, 100, Decimal(100), Decimal(100)),
            "same value",
        ),
    ],
)
def test_too_little_is_called_too_little(treated: Sample, held_out: Sample, because: str) -> None:
    found = compare({Arm.TREATED: treated, Arm.HELD_OUT: held_out})
    assert found.low is None
    assert found.high is None
    assert because in (found.cannot_know_because or "")


def test_the_interval_is_welchs() -> None:
    random = Random(7)  # noqa: S311  figures, not secrets
    one = [Decimal(random.randrange(0, 9000)) / 100 for _ in range(300)]
    other = [Decimal(random.randrange(0, 4000)) / 100 for _ in range(120)]
    found = compare({Arm.TREATED: sample(one), Arm.HELD_OUT: sample(other)})
    errors = [variance(map(float, values)) / len(values) for values in (one, other)]
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 299 + errors[1] ** 2 / 119)
    half = student_quantile(0.975, freedom) * sqrt(sum(errors))
    centre = fmean(map(float, one)) - fmean(map(float, other))
    assert found.low == pytest.approx(centre - half)
    assert found.high == pytest.approx(centre + half)


@pytest.mark.parametrize(("freedom", "tabulated"), [(10, 2.228), (30, 2.042), (100, 1.984), (1e9, 1.960)])
def test_students_quantile_is_that_of_the_tables(freedom: float, tabulated: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(tabulated, abs=5e-4)


def test_where_nothing_was_added_the_interval_holds_zero_about_95_times_in_100() -> None:
    random = Random(11)  # noqa: S311  figures, not secrets

    def spend() -> Decimal:
        return Decimal(random.randrange(500, 6000)) / 100 if random.random() < 0.3 else Decimal(0)

    holds = 0
    for _ in range(300):
        arms = {
            Arm.TREATED: sample([spend() for _ in range(300)]),
            Arm.HELD_OUT: sample([spend() for _ in range(100)]),
        }
        found = compare(arms)
        assert found.low is not None
        assert found.high is not None
        holds += found.low <= 0 <= found.high
    assert 0.91 <= holds / 300 <= 0.98
