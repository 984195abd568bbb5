"""What goes with a product, ranked from counts that other workers may own too.

For a product i and a candidate j, with n_ij baskets that hold both and n_i that hold i:

    share(j | i) = (n_ij + K * prior(j | i)) / (n_i + K)

is the share of i's buyers who also take j, shrunk towards what the two categories say, or, where a category is not
known, how popular j is (Dirichlet smoothing: Zhai and Lafferty, "A study of smoothing methods for language models
applied to information retrieval", ACM TOIS 22, 2004). By share alone everything would go with bananas; so
candidates are ordered by

    share(j | i) / (n_j + DAMPING) ** ALPHA

the conditional probability divided by a power of the candidate's popularity (Deshpande and Karypis, "Item-based top-N
recommendation algorithms", ACM TOIS 22, 2004); DAMPING keeps what was bought twice in a lifetime from the top. The
three constants are of one setting for all shops, chosen on the tuning parts of two real shops for one item of a
basket given and another sought: NDCG@10 .080 on Online Retail (counts .075, Jaccard .073, log-likelihood ratio .076)
and .064 on Complete Journey (.061, .037, .045).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from sys import intern
from typing import Literal

from shared.events import Candidate

SHRINKAGE = 20.0
ALPHA = 0.3
DAMPING = 50.0
RELIABLE_SUPPORT = 100
MATERIAL_CHANGE = 0.05
BACK_OFF_CATEGORIES = 3

Relation = Literal["pair", "category", "popular"]
_NONE: Mapping[str, int] = {}


@dataclass
class ShopCounts:
    """Counts of one shop as the ranker knows them. Neighbours may be pruned; categories come from the catalogue."""

    orders: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, dict[str, int]] = field(default_factory=dict)
    category: dict[str, str] = field(default_factory=dict)
    lines: int = 0
    links: int = 0
    _by_category: dict[str, dict[str, int]] = field(default_factory=dict)
    _category_lines: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _category_links: dict[str, dict[str, int]] = field(default_factory=dict)
    _rows: dict[str, tuple[str | None, dict[str, int]]] = field(default_factory=dict)
    _popular: dict[str | None, list[str]] = field(default_factory=dict)
    _linked: dict[str, list[str]] = field(default_factory=dict)
    _damping: dict[str, float] = field(default_factory=dict)

    def put(self, product: str, orders: int, pairs: dict[str, int]) -> None:
        """Take a product's newest counts in place of its former ones.

        Ids are interned: each is a neighbour of hundreds, and look-ups by the same object are the faster ones.
        """
        self._leave(product)
        product = intern(product)
        self.orders[product] = orders
        self.pairs[product] = {intern(other): number for other, number in pairs.items()}
        self._damping[product] = _damped(orders)
        self._join(product)

    def put_category(self, product: str, category: str | None) -> bool:
        """Take a product's category; False if it was known. Its neighbours' links are moved to it."""
        if self.category.get(product) == category:
            return False
        touched = [product, *(other for other in self.pairs.get(product, _NONE) if other in self.pairs)]
        for one in touched:
            self._leave(one)
        if category is None:
            del self.category[product]
        else:
            self.category[intern(product)] = intern(category)
        for one in touched:
            self._join(one)
        return True

    def forget_popular(self) -> None:
        """Let lists of popular products and linked categories be made anew when they are next asked for."""
        self._popular.clear()
        self._linked.clear()

    def popular(self, category: str | None, number: int) -> Sequence[str]:
        """Most bought products of a category (None: of the shop), as of the last `forget_popular`."""
        if category not in self._popular:
            among = self.orders if category is None else self._by_category.get(category, _NONE)
            best = nlargest(number, among.items(), key=lambda item: (item[1], item[0]))
            self._popular[category] = [product for product, orders in best if orders > 0]
        return self._popular[category]

    def expectations(self, product: str) -> Callable[[str], float]:
        """Say, for the category of another product ("": unknown), what to expect per basket that had that product.

        Times the baskets with it, that is the share of `product`'s buyers who would take it: links between the two
        categories (in all the shop, where one is unknown) per line bought of the first and of the second.
        """
        mine = self.category.get(product, "")
        base, links = self._category_lines.get(mine, 0), self._category_links.get(mine, _NONE)
        anyone = self.links / self.lines / self.lines if self.lines else 0.0

        def expected(theirs: str) -> float:
            sold = self._category_lines.get(theirs, 0) if theirs and base else 0
            return links.get(theirs, 0) / base / sold if sold else anyone

        return expected

    def linked_categories(self, product: str) -> Sequence[str]:
        """Categories bought most with that of `product`, weighed against how common they are."""
        mine = self.category.get(product)
        if mine is None:
            return ()
        if mine not in self._linked:
            links = self._category_links.get(mine, _NONE)
            weighed = [(links[name] * _damped(self._category_lines[name]), name) for name in links]
            self._linked[mine] = [name for _, name in nlargest(BACK_OFF_CATEGORIES, weighed)]
        return self._linked[mine]

    def damping(self, product: str, support: int) -> float:
        """By what a candidate's share is weighed: the less the more it is bought. `support` is known of it at least."""
        return self._damping.get(product) or _damped(support)

    def back_off(self, product: str, other: str) -> Relation:
        """Say what an expectation between the two rests on."""
        return "category" if self.category.get(product) and self.category.get(other) else "popular"

    def _leave(self, product: str) -> None:
        category, row = self._rows.pop(product, (None, {}))
        self._add(product, category, row, -1)

    def _join(self, product: str) -> None:
        row: dict[str, int] = {}
        for other, number in self.pairs.get(product, _NONE).items():
            theirs = self.category.get(other, "")
            row[theirs] = row.get(theirs, 0) + number
        category = self.category.get(product)
        self._rows[product] = category, row
        self._add(product, category, row, 1)

    def _add(self, product: str, category: str | None, row: Mapping[str, int], sign: int) -> None:
        bought = self.orders.get(product, 0)
        self.lines += sign * bought
        self.links += sign * sum(row.values())
        if category is None:
            return
        self._category_lines[category] += sign * bought
        links = self._category_links.setdefault(category, defaultdict(int))
        for theirs, number in row.items():
            if theirs:
                links[theirs] += sign * number
        members = self._by_category.setdefault(category, {})
        if sign > 0:
            members[product] = bought
        else:
            members.pop(product, None)


def complements(counts: ShopCounts, product: str, top: int) -> tuple[Candidate, ...]:
    """Rank the `top` products that go with `product`, best first.

    In the running are those seen with it, the most bought of the categories that go with its own, and the shop's most
    bought; shrinkage settles between little evidence of its own and much of its category's. A candidate's relation is
    "pair" when at least one basket held both. Empty while the shop has sold nothing else.
    """
    seen = counts.pairs.get(product, _NONE)
    running = dict.fromkeys(other for other, number in seen.items() if number > 0)
    for name in counts.linked_categories(product):
        running.update(dict.fromkeys(counts.popular(name, 2 * top)))
    running.update(dict.fromkeys(counts.popular(None, 2 * top)))
    running.pop(product, None)
    chances, weighed = _chances(counts, product, running), []
    scale = 1 / (max(counts.orders.get(product, 0), 0) + SHRINKAGE)
    for other, chance in chances:
        support = seen.get(other, 0)
        share = (support + SHRINKAGE * chance) * scale
        weighed.append((share * counts.damping(other, support), other, share, support))
    return tuple(
        Candidate(
            product_id=other,
            score=round(min(share, 1.0), 6),
            support=support,
            relation="pair" if support else counts.back_off(product, other),
            reliable=support >= RELIABLE_SUPPORT,
        )
        for _, other, share, support in nlargest(top, weighed)
    )


def _chances(counts: ShopCounts, product: str, others: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Yield each product with the share of `product`'s buyers that is expected to take it before any evidence."""
    expected, category, orders = counts.expectations(product), counts.category, counts.orders
    per_category: dict[str, float] = {}
    for other in others:
        theirs = category.get(other, "")
        if theirs not in per_category:
            per_category[theirs] = expected(theirs)
        yield other, per_category[theirs] * orders.get(other, 0)


def _damped(bought: int) -> float:
    return float((max(bought, 0) + DAMPING) ** -ALPHA)


def materially_different(new: Sequence[Candidate], old: Sequence[Candidate]) -> bool:
    """Whether products, their order or their standing differ, or a score by more than MATERIAL_CHANGE of itself."""
    if len(new) != len(old):
        return True
    return any(
        (one.product_id, one.relation, one.reliable) != (former.product_id, former.relation, former.reliable)
        or abs(one.score - former.score) > MATERIAL_CHANGE * former.score
        for one, former in zip(new, old, strict=True)
    )
