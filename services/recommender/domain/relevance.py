"""What goes with a basket, and what a customer buys next for the first time, by relevance alone.

One configuration for all shops, chosen on the tuning parts of Online Retail and Complete Journey (bench/relevance.py):

- a basket of several products: weights of a ridge solve on faded basket counts, less for what everybody takes;
- one product: the share of its buyers who take the other, shrunk, over a power of the other's popularity (see
  `ranking.py`), raised for what sells more of late than it used to;
- a customer's next: weights of a ridge solve on customers' purchases, fresh ownership counting more; plus "after A,
  B"; plus what other returning customers have just begun to buy. Each part is measured by its own top.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.recommender.domain.cooccurrence import (
    FOLLOWS_HALF_LIFE,
    RECENT_HALF_LIFE,
    TOGETHER_HALF_LIFE,
    Counts,
    Floats,
    Slots,
)
from services.recommender.domain.ridge import explain

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Config:
    """All that can be chosen about the model; the defaults are the one configuration for all shops."""

    neighbours: int = 200
    basket_penalty: float = 30.0
    basket_alpha: float = 0.15
    damping: float = 20.0
    single_alpha: float = 0.2
    single_damping: float = 50.0
    trend_power: float = 0.3
    trend_prior: float = 10.0
    customer_penalty: float = 200.0
    owned_half_life: float = 120.0
    follows_prior: float = 5.0
    owners_part: float = 2.0
    follows_part: float = 0.5
    newly_part: float = 0.9


DEFAULT = Config()
TOP_OF_A_PART = 20
HINT = 1e-6


@dataclass(frozen=True)
class Weights:
    """What the counters said at one moment, solved: basket and customer weights, both [n, n], row speaks for column.

    Scores made with them follow `config` too; what of it is not for solving may be replaced.
    """

    basket: Floats
    customer: Floats
    config: Config = DEFAULT


@dataclass(frozen=True)
class Because:
    """What spoke most for a product: another product and how many held both, or nothing (None) but its popularity."""

    kind: str
    other: int | None
    support: int


def solve(counts: Counts, day: float, config: Config = DEFAULT, *, customers: bool = True) -> Weights:
    """Solve both models on the counters as they stand on `day`; without `customers` the second is empty (n = 0)."""
    faded = counts.together / np.float32(counts.growth(day, TOGETHER_HALF_LIFE))
    basket = explain(faded, config.basket_penalty) / (
        (np.diag(faded) + config.damping) ** config.basket_alpha
    )
    customer = explain(counts.owners, config.customer_penalty) if customers else np.zeros((0, 0), np.float32)
    return Weights(basket.astype(np.float32), customer, config)


def score_complement(counts: Counts, weights: Weights, basket: Sequence[int], day: float) -> Scores:
    """Score every slot [n] as one more product of a basket: higher is better, zero says nothing speaks for it."""
    if len(basket) == 1:
        return _single(counts, basket[0], day, weights.config)
    return np.asarray(weights.basket[list(basket)].sum(axis=0), np.float64)


def _single(counts: Counts, slot: int, day: float, config: Config) -> Scores:
    fade = counts.growth(day, TOGETHER_HALF_LIFE)
    bought = np.diag(counts.together) / fade
    share = counts.together[slot] / fade / (bought[slot] + config.damping)
    usual = np.diag(counts.baskets) * (RECENT_HALF_LIFE / np.log(2) / max(counts.age(day), 1.0))
    trend = ((counts.recent(day) + config.trend_prior) / (usual + config.trend_prior)) ** config.trend_power
    scores: Scores = share * trend / (bought + config.single_damping) ** config.single_alpha
    return scores


def score_next(
    counts: Counts,
    weights: Weights,
    customer: str | None,
    basket: Iterable[int],
    day: float,
) -> Scores:
    """Score every slot [n] as the next product that is new to the customer. A basket counts as bought just now."""
    config = weights.config
    owned = {**counts.owned_by(customer), **dict.fromkeys(basket, day)}
    scores = config.newly_part * _by_its_top(counts.newly(day))
    if not owned:
        return scores
    slots = np.fromiter(owned, np.intp, len(owned))
    freshness = np.exp2((np.fromiter(owned.values(), float, len(owned)) - day) / config.owned_half_life)
    scores = scores + config.owners_part * _by_its_top(freshness @ weights.customer[slots])
    return scores + config.follows_part * _by_its_top(_follow(counts, slots, freshness, day, config))


def _follow(counts: Counts, slots: Slots, freshness: Scores, day: float, config: Config) -> Scores:
    prior = config.follows_prior * counts.growth(day, FOLLOWS_HALF_LIFE)
    return np.asarray((freshness / (counts.exposure[slots] + prior)) @ counts.follows[slots], np.float64)


def _by_its_top(part: Scores) -> Scores:
    top = np.sort(part)[-TOP_OF_A_PART:].mean() if len(part) else 0.0
    return part / top if top > 0 else np.zeros(len(part))


def hint(counts: Counts, day: float) -> Scores:
    """Popularity, so small that it only decides where nothing else speaks: for what ties and for empty baskets."""
    total = np.diag(counts.baskets).astype(float)
    return HINT * (counts.recent(day) + total / (1.0 + counts.age(day))) / max(counts.orders, 1)


def best(scores: Scores, k: int, excluded: Sequence[int]) -> list[int]:
    """Return the `k` best slots, best first, without those excluded; of equals the lower slot is first."""
    open_ = scores.copy()
    open_[list(excluded)] = -np.inf
    k = min(k, len(open_) - len(set(excluded)))
    if k <= 0:
        return []
    edge = np.partition(open_, len(open_) - k)[len(open_) - k]
    among = np.flatnonzero(open_ >= edge)
    order = among[np.argsort(-open_[among], kind="stable")]
    return [int(slot) for slot in order[:k]]


def why_complement(counts: Counts, weights: Weights, basket: Sequence[int], slot: int) -> Because:
    """Say which product of the basket spoke most for `slot`, and how many baskets held the two."""
    bought = int(counts.baskets[slot, slot])
    if not basket:
        return Because("popular", None, bought)
    speaks = counts.baskets[basket, slot] if len(basket) == 1 else weights.basket[list(basket), slot]
    other = basket[int(np.argmax(speaks))]
    support = int(counts.baskets[other, slot])
    return Because("pair", other, support) if support else Because("popular", None, bought)


def why_next(counts: Counts, weights: Weights, owned: Sequence[int], slot: int) -> Because:
    """Say which product owned spoke most for `slot`, and how many customers bought the two."""
    bought = int(counts.baskets[slot, slot])
    if not owned:
        return Because("popular", None, bought)
    other = owned[int(np.argmax(weights.customer[list(owned), slot]))]
    support = int(counts.owners[other, slot])
    return Because("owners", other, support) if support else Because("popular", None, bought)
