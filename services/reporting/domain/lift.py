"""What messages added: people who were sent to against people who were held out.

Both arms hold *eligible* people only: those with a send, and those with a ghost (a send that the holdout kept
back). What a person bought counts from their first send or ghost on, for the same span in both arms.

The difference of the means per person has Welch's interval for unequal variances (B. L. Welch, "The
generalization of 'Student's' problem when several different population variances are involved", Biometrika
34, 1947), with Student's quantile by the expansion 26.7.5 of Abramowitz and Stegun. It is made for one
reading at one time, not for stopping as soon as it looks good. Money is summed exactly; the interval is an
estimate, in floats.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import sqrt
from statistics import NormalDist

from services.reporting.domain.attribution import Sale

MINIMUM_PEOPLE = 100
MINIMUM_BUYERS = 10
CONFIDENCE = 0.95


class Arm(StrEnum):
    """Which side of the comparison a person is on."""

    TREATED = "treated"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Person:
    """An eligible person: on one side for good, since their first send or ghost (business time)."""

    shop: str
    customer_id: str
    arm: Arm
    since: datetime


@dataclass(frozen=True, slots=True)
class Sample:
    """One value per person: how many people, how many above zero, and the exact sums."""

    people: int = 0
    buyers: int = 0
    total: Decimal = Decimal(0)
    squares: Decimal = Decimal(0)

    def with_(self, value: Decimal) -> "Sample":
        """This sample and one more person."""
        return Sample(
            self.people + 1, self.buyers + (value > 0), self.total + value, self.squares + value * value
        )

    @property
    def mean(self) -> Decimal:
        """Per person; zero without people."""
        return self.total / self.people if self.people else Decimal(0)

    @property
    def variance_of_mean(self) -> float:
        """Unbiased variance divided by the number of people. Needs two people."""
        spread = self.squares - self.total * self.total / self.people
        return max(float(spread / (self.people - 1) / self.people), 0.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Treated less held out, per person. `low` and `high` are None where `cannot_know_because` says why."""

    treated: Sample
    held_out: Sample
    low: float | None = None
    high: float | None = None
    cannot_know_because: str | None = None

    @property
    def difference(self) -> Decimal:
        """Difference of the means."""
        return self.treated.mean - self.held_out.mean


def revenue_per_person(
    people: Iterable[Person], sales: Iterable[Sale], currency: str, window: timedelta
) -> dict[Arm, Sample]:
    """Net revenue in one currency within `window` after each person's start; no purchase counts as zero."""
    return _samples(people, ((sale, sale.net) for sale in sales if sale.currency == currency), window)


def orders_per_person(
    people: Iterable[Person], sales: Iterable[Sale], window: timedelta
) -> dict[Arm, Sample]:
    """Orders within `window` after each person's start."""
    return _samples(people, ((sale, Decimal(1)) for sale in sales), window)


def _samples(
    people: Iterable[Person], values: Iterable[tuple[Sale, Decimal]], window: timedelta
) -> dict[Arm, Sample]:
    by_person = {(person.shop, person.customer_id): person for person in people}
    sums: dict[tuple[str, str], Decimal] = dict.fromkeys(by_person, Decimal(0))
    for sale, value in values:
        person = by_person.get((sale.shop, sale.customer_id))
        if person and person.since < sale.placed_at <= person.since + window:
            sums[sale.shop, sale.customer_id] += value
    samples = {Arm.TREATED: Sample(), Arm.HELD_OUT: Sample()}
    for key, value in sums.items():
        arm = by_person[key].arm
        samples[arm] = samples[arm].with_(value)
    return samples


def compare(samples: Mapping[Arm, Sample]) -> Comparison:
    """Compare two arms, with an interval at CONFIDENCE where the figures can carry one.

    They cannot under MINIMUM_PEOPLE per arm, or under MINIMUM_BUYERS with a value above zero per arm: with so
    few, the mean of amounts that are mostly zero is far from normal and any interval would be a pretence.
    """
    treated, held_out = samples[Arm.TREATED], samples[Arm.HELD_OUT]
    too_small = _too_small(treated, held_out)
    if too_small:
        return Comparison(treated, held_out, cannot_know_because=too_small)
    one, other = treated.variance_of_mean, held_out.variance_of_mean
    centre = float(treated.mean - held_out.mean)
    if one + other == 0:
        return Comparison(treated, held_out, cannot_know_because="everybody has the same value")
    freedom = (one + other) ** 2 / (one**2 / (treated.people - 1) + other**2 / (held_out.people - 1))
    half = student_quantile((1 + CONFIDENCE) / 2, freedom) * sqrt(one + other)
    return Comparison(treated, held_out, centre - half, centre + half)


def _too_small(treated: Sample, held_out: Sample) -> str | None:
    for name, sample in (("treated", treated), ("held out", held_out)):
        if sample.people < MINIMUM_PEOPLE:
            return f"{sample.people} people {name}, at least {MINIMUM_PEOPLE} are needed"
    for name, sample in (("treated", treated), ("held out", held_out)):
        if sample.buyers < MINIMUM_BUYERS:
            return f"{sample.buyers} people {name} bought, at least {MINIMUM_BUYERS} are needed"
    return None


def student_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t, to three digits from 10 degrees of freedom on (Abramowitz, Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
