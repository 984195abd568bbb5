"""What goes with a product: its candidates, each with the evidence, ranked from rows that other workers may own too.

Of a product i and a candidate j, with n_ij baskets that hold both and n_i that hold i,

    share(j | i) = (n_ij + K * prior(j | i)) / (n_i + K)

is the share of i's buyers who also take j, shrunk towards what the two categories say, or, where a category is not
known, how popular j is (Dirichlet smoothing: Zhai and Lafferty, "A study of smoothing methods for language models
applied to information retrieval", ACM TOIS 22, 2004). It is the score that is shown.

What is bought together keeps the order of relevance (`relevance.py`, as offline). What is bought later rather than
together is placed among that by its share of i's buyers, over a power of j's popularity (Deshpande and Karypis,
"Item-based top-N recommendation algorithms", ACM TOIS 22, 2004): before the first that weighs less. The same weight
ranks all candidates of a product that hardly sold, of which relevance knows too little, and those that categories and
popularity add where evidence leaves places open. The shop's own relations come before all that is learnt.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import islice
from math import sqrt
from typing import NamedTuple

from services.recommender.domain.shop import Row, ShopCounts
from shared.events import Candidate

SHRINKAGE = 20.0
COLD_ORDERS = 20
RELIABLE_SUPPORT = 100
SEQUENCE_DEVIATIONS = 3.0

Relevance = Callable[[str], Sequence[str]]
"""What is bought together with a product, by relevance, best first."""
Banned = Callable[[str], bool]


class _Weighed(NamedTuple):
    """A candidate in the running. `later`: it is bought later rather than together, and support are customers."""

    weight: float
    product: str
    share: float
    support: int
    later: bool


class _Evidence:
    """What is known of one product with others."""

    def __init__(self, counts: ShopCounts, product: str) -> None:
        self._counts = counts
        self._product = product
        self.row = counts.rows.get(product) or Row(product)
        self._expected = counts.expectations(product)

    def of(self, other: str) -> _Weighed:
        row, later = self.row, follows(self._counts, self._product, other)
        support = row.follows[other] if later else max(row.pairs.get(other, 0), 0)
        among = row.buyers if later else row.orders
        share = min((support + SHRINKAGE * self._expected(other)) / (max(among, 0) + SHRINKAGE), 1.0)
        return _Weighed(share * self._counts.damping(other, support), other, share, support, later)

    def candidate(self, one: _Weighed) -> Candidate:
        if one.later:
            relation = "sequence"
        elif one.support:
            relation = "pair"
        else:
            relation = self._counts.back_off(self._product, one.product)
        return Candidate(
            product_id=one.product,
            score=round(one.share, 6),
            support=one.support,
            relation=relation,
            reliable=one.support >= RELIABLE_SUPPORT,
            gap=self.row.timing.get(one.product),
        )


def follows(counts: ShopCounts, product: str, other: str) -> bool:
    """Whether `other` is mostly bought after `product` rather than with it or before it, more clearly than by chance.

    If the two came in any order, as many would buy `product` after `other`, give or take the square root of both.
    """
    row = counts.rows.get(product)
    later = row.follows.get(other, 0) if row else 0
    if row is None or later <= row.pairs.get(other, 0):
        return False
    before = counts.followed(other, product)
    return later - before >= SEQUENCE_DEVIATIONS * sqrt(later + before)


def complements(
    counts: ShopCounts, product: str, top: int, relevance: Relevance, banned: Banned = lambda _: False
) -> tuple[Candidate, ...]:
    """Rank the `top` products that go with `product` and are not banned, best first.

    A candidate's relation is "pair" when at least one basket held both, "sequence" when it `follows`. Where those leave
    places open, the most bought of the categories that go with its own and the shop's most bought are in the running; of
    a product that hardly sold, from the start. Empty while the shop has sold nothing else.
    """
    evidence = _Evidence(counts, product)

    def allowed(others: Iterable[str]) -> Iterator[str]:
        return (one for one in dict.fromkeys(others) if one != product and not banned(one))

    cold = evidence.row.orders < COLD_ORDERS
    later = [evidence.of(one) for one in allowed(_followers(counts, evidence.row))]
    best = [] if cold else _placed(evidence, allowed(relevance(product)), later, top)
    if len(best) < top:
        heard = {one.product for one in (*best, *later)}
        running = [*(evidence.row.pairs if cold else ()), *_back_off(counts, product, top, banned)]
        rest = [evidence.of(one) for one in allowed(running) if one not in heard]
        best += nlargest(top - len(best), [*(later if cold else ()), *rest])
    return tuple(evidence.candidate(one) for one in best)


def candidate_of(counts: ShopCounts, product: str, other: str) -> Candidate:
    """Say what is known of `other` beside `product`, ranked or not."""
    evidence = _Evidence(counts, product)
    return evidence.candidate(evidence.of(other))


def _followers(counts: ShopCounts, row: Row) -> Iterator[str]:
    least = SEQUENCE_DEVIATIONS**2
    for other, number in row.follows.items():
        if number >= least and follows(counts, row.product_id, other):
            yield other


def _back_off(counts: ShopCounts, product: str, top: int, banned: Banned) -> Iterator[str]:
    for name in (*counts.linked_categories(product), None):
        allowed = (other for other in counts.popular(name) if not banned(other))
        yield from islice(allowed, 2 * top)


def _placed(
    evidence: _Evidence, together: Iterable[str], later: Iterable[_Weighed], top: int
) -> list[_Weighed]:
    """Put what is bought later into the order of what is bought together, each before the first that weighs less."""
    waiting = sorted(later)
    following = {one.product for one in waiting}
    placed: list[_Weighed] = []
    for one in (evidence.of(other) for other in together if other not in following):
        while waiting and waiting[-1].weight > one.weight:
            placed.append(waiting.pop())
        if len(placed) >= top:
            break
        placed.append(one)
    return [*placed, *reversed(waiting)][:top]
