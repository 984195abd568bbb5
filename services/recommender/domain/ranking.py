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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
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

    def put(self, product: str, orders: int, pairs: dict[str, int]) -> None:
        """Take a product's newest counts in place of its former ones."""
        self._leave(product)
        self.orders[product], self.pairs[product] = orders, pairs
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
            self.category[product] = category
        for one in touched:
            self._join(one)
        return True

    def forget_popular(self) -> None:
        """Let lists of popular products be made anew when they are next asked for."""
        self._popular.clear()

    def popular(self, category: str | None, number: int) -> Sequence[str]:
        """Most bought products of a category (None: of the shop), as of the last `forget_popular`."""
        if category not in self._popular:
            among = self.orders if category is None else self._by_category.get(category, _NONE)
            best = nlargest(number, among.items(), key=lambda item: (item[1], item[0]))
            self._popular[category] = [product for product, orders in best if orders > 0]
        return self._popular[category]

    def expectations(self, product: str) -> Callable[[str], tuple[float, Relation]]:
        """Say, for any other product, what share of this one's buyers would take it, and by what that is known.

        By categories where both are known, else by popularity: links between two categories (the shop) per line
        bought of the first, times the product's share of what is bought in the second.
        """
        mine = self.category.get(product, "")
        base, links = self._category_lines.get(mine, 0), self._category_links.get(mine, _NONE)
        anyone = self.links / self.lines / self.lines if self.lines else 0.0

        def expected(other: str) -> tuple[float, Relation]:
            bought, theirs = self.orders.get(other, 0), self.category.get(other)
            sold = self._category_lines.get(theirs, 0) if theirs and base else 0
            if theirs and sold:
                return links.get(theirs, 0) / base * bought / sold, "category"
            return anyone * bought, "popular"

        return expected

    def linked_categories(self, product: str) -> Sequence[str]:
        """Categories bought most with that of `product`, weighed against how common they are."""
        mine = self.category.get(product)
        if mine is None:
            return ()
        links = self._category_links.get(mine, _NONE)
        return nlargest(
            BACK_OFF_CATEGORIES,
            links,
            key=lambda name: (links[name] / (self._category_lines[name] + DAMPING) ** ALPHA, name),
        )

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
    weighed = []
    expected = counts.expectations(product)
    bought = max(counts.orders.get(product, 0), 0)
    for other in running:
        support = seen.get(other, 0)
        prior, relation = expected(other)
        share = min((support + SHRINKAGE * prior) / (bought + SHRINKAGE), 1.0)
        weight = share / (max(counts.orders.get(other, 0), support) + DAMPING) ** ALPHA
        weighed.append((weight, other, share, support, relation))
    return tuple(
        Candidate(
            product_id=other,
            score=round(share, 6),
            support=support,
            relation="pair" if support else relation,
            reliable=support >= RELIABLE_SUPPORT,
        )
        for _, other, share, support, relation in nlargest(top, weighed)
    )


def materially_different(new: Sequence[Candidate], old: Sequence[Candidate]) -> bool:
    """Whether products, their order or their standing differ, or a score by more than MATERIAL_CHANGE of itself."""
    if len(new) != len(old):
        return True
    return any(
        (one.product_id, one.relation, one.reliable) != (former.product_id, former.relation, former.reliable)
        or abs(one.score - former.score) > MATERIAL_CHANGE * former.score
        for one, former in zip(new, old, strict=True)
    )
