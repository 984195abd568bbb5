"""What a shop's counts say of two products, for people to look at.

Lift is how many times more baskets hold both products than pairs of the shop's most bought products do on average,
for how often each of the two is bought:

    lift(i, j) = n_ij / (n_i * n_j * c),  c = sum of n_kl / sum of n_k * n_l over pairs k, l of the 100 most bought

The textbook's lift has 1 / (number of baskets) for c, which is not published; c stands on the products whose pairs
pruning spares. So 1 is what two ordinary products of this shop have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import combinations
from typing import Literal

from shared.events import Candidate, Complements, PairCounts, Timing

Measure = Literal["lift", "count"]

_USUAL = 100


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """One neighbour of a product.

    `support` is n_ij, `later` how many customers first bought it after the product, and `gap` when. Score, relation and
    evidence (what the relation's support is) are None if it is not among the complements.
    """

    product: str
    support: int
    later: int
    orders: int
    lift: float | None
    score: float | None
    relation: str | None
    reliable: bool
    evidence: int | None
    gap: Timing | None


@dataclass
class Affinities:
    """One shop's counts as published; pairs are pruned to each product's most frequent neighbours."""

    orders: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, dict[str, int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    complements: dict[str, Complements] = field(default_factory=dict)
    later: dict[str, dict[str, int]] = field(default_factory=dict)
    timing: dict[str, dict[str, Timing]] = field(default_factory=dict)
    repurchase: dict[str, Timing] = field(default_factory=dict)

    def put(self, product: str, row: PairCounts | None) -> None:
        """Take a product's newest row; None: it has none anymore."""
        for known in (self.orders, self.pairs, self.later, self.timing, self.repurchase):
            known.pop(product, None)
        if row is not None:
            self.orders[product], self.pairs[product] = row.orders, row.pairs
            self.later[product] = {other: number for other, (number, _) in row.follows.items()}
            self.timing[product] = row.timing
            if row.repurchase:
                self.repurchase[product] = row.repurchase

    def name(self, product: str) -> str:
        """A product's name in the catalogue, or its id."""
        return self.names.get(product, product)

    def support(self, one: str, other: str) -> int:
        """Baskets with both, by whichever of the two still has the pair."""
        return max(self.pairs.get(one, {}).get(other, 0), self.pairs.get(other, {}).get(one, 0), 0)

    def lifts(self) -> "Lifts":
        """Make lift ready to be asked for many pairs."""
        usual = self.most_bought(_USUAL)
        both = sum(self.support(one, other) for one, other in combinations(usual, 2))
        apart = sum(self.orders[one] * self.orders[other] for one, other in combinations(usual, 2))
        return Lifts(self, both / apart if apart else 0.0)

    def most_bought(self, number: int) -> list[str]:
        """The products in most baskets, most first."""
        bought = ((baskets, product) for product, baskets in self.orders.items() if baskets > 0)
        return [product for _, product in nlargest(number, bought)]


@dataclass(frozen=True)
class Lifts:
    """Lift of any two products of a shop."""

    counts: Affinities
    usual: float

    def of(self, one: str, other: str) -> float | None:
        """Return the lift of a pair; None where no basket with both is known, which pruning may have caused."""
        support = self.counts.support(one, other)
        chance = self.counts.orders.get(one, 0) * self.counts.orders.get(other, 0) * self.usual
        return support / chance if support and chance > 0 else None


def neighbourhood(counts: Affinities, product: str, top: int) -> list[Neighbourhood]:
    """List a product's complements in their order, then its most frequent other neighbours, `top` in all."""
    lifts, said = counts.lifts(), counts.complements.get(product)
    ranked = {one.product_id: one for one in (said.candidates if said else ())}
    frequent = sorted(counts.pairs.get(product, {}).items(), key=lambda item: (-item[1], item[0]))
    others = dict.fromkeys([*ranked, *(name for name, _ in frequent)])
    return [_neighbour(counts, lifts, product, other, ranked.get(other)) for other in list(others)[:top]]


def ladder(counts: Affinities, product: str) -> list[Neighbourhood]:
    """List a product's upgrades in their order."""
    lifts, said = counts.lifts(), counts.complements.get(product)
    return [
        _neighbour(counts, lifts, product, one.product_id, one) for one in (said.upgrades if said else ())
    ]


def _neighbour(
    counts: Affinities, lifts: Lifts, product: str, other: str, candidate: Candidate | None
) -> Neighbourhood:
    return Neighbourhood(
        product=other,
        support=counts.support(product, other),
        later=max(counts.later.get(product, {}).get(other, 0), 0),
        orders=counts.orders.get(other, 0),
        lift=lifts.of(product, other),
        score=candidate.score if candidate else None,
        relation=candidate.relation if candidate else None,
        reliable=candidate is not None and candidate.reliable,
        evidence=candidate.support if candidate else None,
        gap=candidate.gap if candidate and candidate.gap else counts.timing.get(product, {}).get(other),
    )


def side_by_side(counts: Affinities, products: Sequence[str]) -> list[str]:
    """Order products so that what goes together stands together: each is followed by the one it has most lift with.

    It starts with the first; where nothing is left that goes with the last, the next of the rest follows.
    """
    lifts = counts.lifts()
    rest, chain = dict.fromkeys(products[1:]), list(products[:1])
    while rest:
        following = max(rest, key=lambda product: lifts.of(chain[-1], product) or 0.0)
        del rest[following]
        chain.append(following)
    return chain


def matrix(counts: Affinities, products: Sequence[str], measure: Measure) -> list[list[float | int | None]]:
    """Square of lifts (None: no basket with both is known) or counts; the diagonal is a product's own baskets or None."""
    lifts = counts.lifts()

    def cell(one: str, other: str) -> float | int | None:
        if measure == "count":
            return counts.orders.get(one, 0) if one == other else counts.support(one, other)
        return None if one == other else lifts.of(one, other)

    return [[cell(one, other) for other in products] for one in products]
