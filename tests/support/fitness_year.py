"""A year of a fitness shop of which the truth is known: who buys what next, and after how long.

Customers arrive evenly over the year and buy a kettlebell, a band or protein first. What they buy later they buy in orders
of their own, at moments drawn from the laws below, until the year ends in the middle of it. Some order other things as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import exp, factorial
from random import Random
from statistics import NormalDist

from shared.events import Line, Order, OrderRecorded

SHOP = "fitness"
START = datetime(2026, 1, 1, tzinfo=UTC)
START_DAY = (START - datetime(1970, 1, 1, tzinfo=UTC)).days
YEAR_DAYS = 365.0

KETTLEBELL, HEAVIER, MAT = "kettlebell-12", "kettlebell-16", "mat"
BAND, ANCHOR, PROTEIN = "band", "door-anchor", "protein"
SUNDRIES = ("bottle", "towel", "gloves", "chalk", "jump-rope")
PRICES = {
    KETTLEBELL: Decimal("39.90"),
    HEAVIER: Decimal("54.90"),
    MAT: Decimal("24.90"),
    BAND: Decimal("14.90"),
    ANCHOR: Decimal("9.90"),
    PROTEIN: Decimal("29.90"),
}
CATEGORIES = {KETTLEBELL: "weights", HEAVIER: "weights", MAT: "floor", BAND: "bands", ANCHOR: "bands"}


@dataclass(frozen=True, slots=True)
class Law:
    """Of those who buy the first, `share` buy the other later, by gap `draw`; `below` is the gap's distribution function."""

    share: float
    draw: Callable[[Random], float]
    below: Callable[[float], float]


def _erlang(shape: int, mean: float) -> tuple[Callable[[Random], float], Callable[[float], float]]:
    scale = mean / shape

    def below(days: float) -> float:
        return 1 - exp(-days / scale) * sum((days / scale) ** n / factorial(n) for n in range(shape))

    return (lambda random: random.gammavariate(shape, scale)), below


def _triangle(high: float, mode: float) -> tuple[Callable[[Random], float], Callable[[float], float]]:
    def below(days: float) -> float:
        if days >= high:
            return 1.0
        if days > mode:
            return 1 - (high - days) ** 2 / (high * (high - mode))
        return max(days, 0.0) ** 2 / (high * mode)

    return (lambda random: random.triangular(0, high, mode)), below


CYCLE_DAYS, CYCLES_DIFFER, CYCLE_VARIES = 60.0, 4.0, 6.0
"""A consumable's cycle; by how much customers' own differ, and each of a customer's gaps from their own (deviations)."""
_ALL_CYCLES = NormalDist(CYCLE_DAYS, (CYCLES_DIFFER**2 + CYCLE_VARIES**2) ** 0.5)

LATER = {
    (KETTLEBELL, MAT): Law(0.62, *_erlang(2, 45.0)),
    (BAND, ANCHOR): Law(0.71, *_triangle(30.0, 8.0)),
    (KETTLEBELL, HEAVIER): Law(0.28, *_erlang(4, 90.0)),
}
AGAIN = Law(0.85, lambda random: random.gauss(CYCLE_DAYS, 1.0), _ALL_CYCLES.cdf)


@dataclass
class Year:
    """What happened: orders in time order; of customers of the consumable their own cycle, and when they bought it.

    Purchases, in days since the year's start, go on past its end; the orders do not.
    """

    orders: list[OrderRecorded] = field(default_factory=list)
    cycles: dict[str, float] = field(default_factory=dict)
    purchases: dict[str, list[float]] = field(default_factory=dict)


def fitness_year(seed: int, customers: int = 2500) -> Year:
    """The year of so many customers."""
    random = Random(seed)  # noqa: S311  a generated story
    year = Year()
    baskets: list[tuple[float, str, Sequence[str]]] = []
    for number in range(customers):
        customer = f"c{number:05d}"
        arrives = random.uniform(0, YEAR_DAYS)
        first = random.choices((KETTLEBELL, BAND, PROTEIN), (45, 30, 25))[0]
        baskets += [(day, customer, basket) for day, basket in _life(random, year, customer, first, arrives)]
    for number, (day, customer, basket) in enumerate(sorted(baskets)):
        if day < YEAR_DAYS:
            year.orders.append(_order(f"o{number:06d}", customer, day, basket))
    return year


def _life(
    random: Random, year: Year, customer: str, first: str, arrives: float
) -> list[tuple[float, Sequence[str]]]:
    beside = [name for name in SUNDRIES if random.random() < 0.15]
    orders: list[tuple[float, Sequence[str]]] = [(arrives, (first, *beside))]
    for (product, later), law in LATER.items():
        if product == first and random.random() < law.share:
            orders.append((arrives + law.draw(random), (later,)))
    bought = [day for day, basket in orders if MAT in basket]
    if first == KETTLEBELL and not bought and random.random() < 0.2:
        orders.append((arrives - random.uniform(5, 60), (MAT,)))
    if first == PROTEIN or random.random() < 0.1:
        start = arrives if first == PROTEIN else arrives + random.uniform(1, 90)
        days = _cycle(random, year, customer, start)
        orders += [(day, (PROTEIN,)) for day in (days[1:] if first == PROTEIN else days)]
    if random.random() < 0.3:
        orders += [
            (arrives + random.uniform(1, 300), (random.choice(SUNDRIES),))
            for _ in range(random.randint(1, 5))
        ]
    return [(day, basket) for day, basket in orders if day >= 0]


def _cycle(random: Random, year: Year, customer: str, start: float) -> list[float]:
    own = year.cycles[customer] = random.gauss(CYCLE_DAYS, CYCLES_DIFFER)
    days = [start]
    while random.random() < AGAIN.share:
        days.append(days[-1] + random.gauss(own, CYCLE_VARIES))
    year.purchases[customer] = days
    return days


def _order(order_id: str, customer: str, day: float, basket: Sequence[str]) -> OrderRecorded:
    placed_at = START + timedelta(days=day)
    lines = tuple(
        Line(product_id=name, quantity=1, unit_price=PRICES.get(name, Decimal("7.90"))) for name in basket
    )
    return OrderRecorded(
        id=order_id,
        source="/tests",
        time=placed_at,
        shopid=SHOP,
        customerid=customer,
        data=Order(
            order_id=order_id,
            version=1,
            placed_at=placed_at,
            currency="USD",
            total=sum((line.unit_price for line in lines), Decimal(0)),
            lines=lines,
        ),
    )


def steps_of(law: Law, spans: Sequence[tuple[float, float]]) -> list[float]:
    """The truth by bin: the share of all who buy again after a gap in it."""
    return [law.share * (law.below(high) - law.below(low)) for low, high in spans]


def share_error(steps: Sequence[float], at_risk: Sequence[float]) -> float:
    """Standard error of a sum of events / at risk, of true `steps`."""
    return weighted_error([1.0] * len(steps), steps, at_risk)


def weighted_error(weights: Sequence[float], steps: Sequence[float], at_risk: Sequence[float]) -> float:
    """Standard error of the sum of weight x events / at risk.

    Each subject has one event at most (multinomial), and those at risk later are some of those at risk before, so two bins
    share the smaller number: the covariance of events / at risk of bins g and h is -step_g step_h / max(risk_g, risk_h).
    """
    parts = [
        (weight, step, risk)
        for weight, step, risk in zip(weights, steps, at_risk, strict=True)
        if weight * step
    ]
    alone = sum(weight**2 * step / risk for weight, step, risk in parts)
    both = sum(a * b * s * t / max(r, q) for a, s, r in parts for b, t, q in parts)
    return float((alone - both) ** 0.5)


def quantile_error(
    part: float, law: Law, spans: Sequence[tuple[float, float]], at_risk: Sequence[float]
) -> float:
    """Standard error, in days, of a quantile of the gap among those who buy within the spans (delta method)."""
    steps = steps_of(law, spans)
    place, value = quantile_of(part, steps, spans)
    low, high = spans[place]
    density = steps[place] / (high - low)
    within = (value - low) / (high - low)
    weights = [(1.0 if n < place else within if n == place else 0.0) - part for n in range(len(spans))]
    return weighted_error(weights, steps, at_risk) / density


def quantile_of(
    part: float, steps: Sequence[float], spans: Sequence[tuple[float, float]]
) -> tuple[int, float]:
    """The bin and the gap below which a part of the steps lies, spread evenly within a bin."""
    target, below = part * sum(steps), 0.0
    for place, (step, (low, high)) in enumerate(zip(steps, spans, strict=True)):
        if below + step >= target:
            return place, low + (high - low) * (target - below) / step
        below += step
    return len(steps) - 1, spans[-1][1]


def naive_share(buyers: Mapping[int, int], events: int) -> float:
    """What would be learned if who has not bought yet counted as never buying."""
    return events / sum(buyers.values())
