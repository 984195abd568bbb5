"""What goes with a basket, and what a customer buys next for the first time, by relevance alone.

It stands on nothing but rows (`rows.row`, here of all products at once: `tables`), as `model.py` does live; that both give
the same weights is tested. One configuration for all shops, chosen on the tuning parts of Online Retail and Complete
Journey (bench/relevance.py):

- a basket of several products: weights of a ridge solve on faded basket counts among each product's neighbours (see
  `ridge.py`); what is a neighbour one way only speaks by what its share is above the expected. Less for what everybody
  takes, more for what few take yet and for what sells more of late than it used to;
- one product: the share of its buyers who take the other, over a power of the other's popularity, and the same trend;
- a customer's next: weights of a ridge solve on how many customers own both, as far as sequences and baskets tell, less
  for what everybody has, fresh ownership counting more; plus "after A, B"; plus what other returning customers have
  just begun to buy. Each part is measured by its own top.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.ridge import column
from services.recommender.domain.tables import Floats, Slots, Tables, heaviest

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Config:
    """All that can be chosen about the model; the defaults are the one configuration for all shops.

    Rows have `kept` neighbours, and the heaviest `neighbours` of them are solved: a quarter fewer, so that of what these
    have with each other little was pruned.
    """

    kept: int = 400
    neighbours: int = 300
    basket_penalty: float = 25.0
    basket_alpha: float = 0.15
    rare_orders: float = 30.0
    rare_prior: float = 5.0
    rare_power: float = 0.5
    damping: float = 20.0
    beyond_part: float = 0.4
    single_alpha: float = 0.2
    single_damping: float = 50.0
    trend_power: float = 0.3
    trend_prior: float = 10.0
    customer_penalty: float = 400.0
    customer_alpha: float = 0.3
    owned_half_life: float = 120.0
    follows_prior: float = 5.0
    owners_part: float = 2.0
    follows_part: float = 0.1
    newly_part: float = 1.5


DEFAULT = Config()
TOP_OF_A_PART = 20
HINT = 1e-6


@dataclass(frozen=True)
class Weights:
    """What the counters said at one moment, solved: basket and customer weights, both [n, n], row speaks for column.

    They are by place in the catalogue of `tables`; None is not solved. Scores made with them follow `config` too; what of it
    is not for solving may be replaced.
    """

    tables: Tables
    config: Config = DEFAULT
    basket: Floats | None = None
    customer: Floats | None = None

    def places(self, slots: Iterable[int]) -> Slots:
        """Places in the catalogue of those slots that are in it."""
        found = self.tables.place[np.fromiter(slots, np.intp)]
        return found[found >= 0]


@dataclass(frozen=True)
class Because:
    """What spoke most for a product: another product and how many held both, or nothing (None) but its popularity."""

    kind: str
    other: int | None
    support: int


def unsolved(counts: Counts, config: Config = DEFAULT, catalogue: Slots | None = None) -> Weights:
    """What the counters say now over a catalogue of slots (ascending; None is all), not solved yet."""
    chosen = np.arange(counts.size) if catalogue is None else catalogue
    return Weights(counts.tables(chosen, config.kept), config)


def solved(weights: Weights, *, baskets: bool = True, customers: bool = True) -> Weights:
    """Solve what is not solved yet of those models that are wanted."""
    if baskets and weights.basket is None:
        weights = replace(weights, basket=_basket_weights(weights.tables, weights.config))
    if customers and weights.customer is None:
        weights = replace(weights, customer=_customer_weights(weights.tables, weights.config))
    return weights


def solve(counts: Counts, config: Config = DEFAULT) -> Weights:
    """Solve both models on the counters as they stand."""
    return solved(unsolved(counts, config))


def _basket_weights(tables: Tables, config: Config) -> Floats:
    together, bought = tables.together, tables.bought
    gram = np.maximum(together, together.T)
    np.fill_diagonal(gram, bought)
    weights = _columns(gram, heaviest(together, config.neighbours), config.basket_penalty)
    one_way = (together > 0) & (together.T <= 0)
    expected = np.outer(together.sum(axis=1), bought / max(bought.sum(), 1.0))
    beyond = (together - expected) / (bought[:, None] + config.damping)
    weights += np.where(one_way, config.beyond_part * beyond, 0)
    return np.asarray(weights / common(bought, config), np.float32)


def common(bought: NDArray[Any], config: Config) -> NDArray[Any]:
    """What weights in baskets are divided by, from products' faded orders [n]: more for what everybody takes.

    Of what few have taken yet a solve says too little; it is made up for by as much as there may be reason to.
    """
    held = bought + config.rare_prior
    rare = (held / (held + config.rare_orders)) ** config.rare_power
    return np.asarray((bought + config.damping) ** config.basket_alpha * rare)


def _customer_weights(tables: Tables, config: Config) -> Floats:
    rate = tables.buyers / np.maximum(tables.orders, 1) / 2
    owned = np.asarray(tables.pairs * rate[:, None] + np.maximum(tables.followers, 0), np.float32)
    gram = owned + owned.T
    np.fill_diagonal(gram, tables.buyers)
    weights = _columns(gram, heaviest(owned, config.neighbours), config.customer_penalty)
    return np.asarray(weights / (tables.buyers + config.damping) ** config.customer_alpha, np.float32)


def _columns(gram: Floats, neighbours: NDArray[np.bool_], penalty: float) -> Floats:
    weights = np.zeros_like(gram)
    for place in range(len(gram)):
        near = np.flatnonzero(neighbours[place])
        if len(near):
            weights[near, place] = column(gram[np.ix_(near, near)], gram[near, place], penalty)
    return weights


def score_complement(counts: Counts, weights: Weights, basket: Sequence[int], day: float) -> Scores:
    """Score every slot [n] as one more product of a basket: higher is better, zero says nothing speaks for it."""
    places = weights.places(basket)
    found = _single(weights, places) if len(basket) == 1 else _of(weights.basket)[places].sum(axis=0)
    return _over_slots(counts, weights, found * _trend(counts, weights, day))


def _single(weights: Weights, places: Slots) -> Scores:
    tables, config = weights.tables, weights.config
    shares = tables.together[places].sum(axis=0) / (tables.bought[places].sum() + config.damping)
    scores: Scores = shares / (tables.bought + config.single_damping) ** config.single_alpha
    return scores


def _of(solved_weights: Floats | None) -> Floats:
    if solved_weights is None:
        message = "weights are not solved"
        raise ValueError(message)
    return solved_weights


def _trend(counts: Counts, weights: Weights, day: float) -> Scores:
    recent = counts.recent(day)[weights.tables.catalogue]
    return trend(recent, weights.tables.bought, weights.config)


def trend(recent: Scores, bought: Scores, config: Config) -> Scores:
    """By how much products [n] sell more of late than over the years, to a power: about 1 for most."""
    usual = bought * (recent.sum() / max(float(bought.sum()), 1e-9))
    found: Scores = ((recent + config.trend_prior) / (usual + config.trend_prior)) ** config.trend_power
    return found


def _over_slots(counts: Counts, weights: Weights, found: Scores) -> Scores:
    scores = np.zeros(counts.size)
    scores[weights.tables.catalogue] = found
    return scores


def score_next(
    counts: Counts,
    weights: Weights,
    customer: str | None,
    basket: Iterable[int],
    day: float,
) -> Scores:
    """Score every slot [n] as the next product that is new to the customer. A basket counts as bought just now."""
    config, tables = weights.config, weights.tables
    scores = config.newly_part * _by_its_top(counts.newly(day))
    owned = {**counts.owned_by(customer), **dict.fromkeys(basket, day)}
    owned = {slot: then for slot, then in owned.items() if tables.place[slot] >= 0}
    if not owned:
        return scores
    places = weights.places(owned)
    freshness = np.exp2((np.fromiter(owned.values(), float, len(owned)) - day) / config.owned_half_life)
    owners = freshness @ _of(weights.customer)[places]
    after = (freshness / (tables.exposure[places] + config.follows_prior)) @ tables.follows[places]
    parts = config.owners_part * _by_its_top(owners) + config.follows_part * _by_its_top(after)
    return scores + _over_slots(counts, weights, parts)


def _by_its_top(part: NDArray[Any]) -> Scores:
    top = np.sort(part)[-TOP_OF_A_PART:].mean() if len(part) else 0.0
    return np.asarray(part / top, np.float64) if top > 0 else np.zeros(len(part))


def hint(counts: Counts, day: float) -> Scores:
    """Popularity, so small that it only decides where nothing else speaks: for what ties and for empty baskets."""
    return HINT * (counts.recent(day) + counts.bought * 0.01) / max(counts.orders, 1)


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
    speaking = weights.tables.pairs if len(basket) == 1 else _of(weights.basket)
    return _because(counts, weights, basket, slot, speaking, weights.tables.pairs, "pair")


def why_next(counts: Counts, weights: Weights, owned: Sequence[int], slot: int) -> Because:
    """Say which product owned spoke most for `slot`, and how many customers bought that and, at first, `slot` later."""
    return _because(counts, weights, owned, slot, _of(weights.customer), weights.tables.followers, "owners")


def _because(  # noqa: PLR0913, PLR0917  what to look at, and where
    counts: Counts,
    weights: Weights,
    given: Sequence[int],
    slot: int,
    speaking: Floats,
    support: Floats,
    kind: str,
) -> Because:
    popular = Because("popular", None, int(counts.bought[slot]))
    place = int(weights.tables.place[slot])
    known = [one for one in given if weights.tables.place[one] >= 0]
    if place < 0 or not known:
        return popular
    other = known[int(np.argmax(speaking[weights.places(known), place]))]
    held = int(support[weights.tables.place[other], place])
    return Because(kind, other, held) if held else popular
