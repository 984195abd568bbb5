"""One shop's counts and catalogue as the ranker knows them, and what they say of categories and of popularity."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import nlargest
from sys import intern
from typing import Literal, NamedTuple

from shared.events import PairCounts, Timing

ALPHA = 0.3
DAMPING = 50.0
BACK_OFF_CATEGORIES = 3
POPULAR_KEPT = 200

BackOff = Literal["category", "popular"]
_NONE: Mapping[str, int] = {}


class Listed(NamedTuple):
    """What ranking needs of a product's place in the catalogue. `price` is in `currency`."""

    category: str | None = None
    price: Decimal | None = None
    currency: str | None = None


_UNLISTED = Listed()


class Row(NamedTuple):
    """What ranking needs of a product's `PairCounts`. `unseen`: as many may have bought each other later that it leaves out."""

    product_id: str
    orders: int = 0
    buyers: int = 0
    pairs: Mapping[str, int] = _NONE
    follows: Mapping[str, int] = _NONE
    timing: Mapping[str, Timing] = {}
    repurchase: Timing | None = None
    unseen: int = 0


@dataclass
class ShopCounts:
    """Everybody's rows of one shop, neighbours pruned, and its catalogue; whatever order they come in, they end the same.

    Rows with `kept` followers are taken to be pruned. `lines` are all lines bought, `links` all neighbours counted.
    """

    kept: int = 400
    rows: dict[str, Row] = field(default_factory=dict)
    listed: dict[str, Listed] = field(default_factory=dict)
    lines: int = 0
    links: int = 0
    _sold: dict[str, int] = field(default_factory=dict)
    _having: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _by_category: dict[str, dict[str, int]] = field(default_factory=dict)
    _category_lines: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _category_links: dict[str, dict[str, int]] = field(default_factory=dict)
    _joined: dict[str, tuple[str | None, dict[str, int]]] = field(default_factory=dict)
    _popular: dict[str | None, list[str]] = field(default_factory=dict)
    _linked: dict[str, list[str]] = field(default_factory=dict)
    _damping: dict[str, float] = field(default_factory=dict)

    def put(self, row: PairCounts) -> None:
        """Take a product's newest counts in place of its former ones.

        Ids are interned: each is a neighbour of hundreds, and look-ups by the same object are the faster ones.
        """
        self._leave(row.product_id)
        product, former = intern(row.product_id), self.rows.get(row.product_id)
        followers = {intern(other): number for other, (number, _) in row.follows.items()}
        interned = self.rows[product] = Row(
            product,
            row.orders,
            row.buyers,
            {intern(other): number for other, number in row.pairs.items()},
            followers,
            {intern(other): timing for other, timing in row.timing.items()},
            row.repurchase,
            min(followers.values()) if len(followers) >= self.kept else 0,
        )
        self._sold[product] = row.orders
        self._damping[product] = _damped(row.orders)
        before = former.pairs.keys() if former else _NONE.keys()
        for other in interned.pairs.keys() - before:
            self._having[other].add(product)
        for other in before - interned.pairs.keys():
            self._having[other].discard(product)
        self._join(product)

    def put_listing(self, product: str, listed: Listed) -> frozenset[str]:
        """Take what the catalogue says now; the products whose ranking it may change, neighbours included."""
        former = self.listed.get(product, _UNLISTED)
        if former == listed:
            return frozenset()
        self._leave(product)
        category = intern(listed.category) if listed.category else None
        self.listed[intern(product)] = listed._replace(category=category)
        self._join(product)
        if former.category != category:
            for one in self._having.get(product, ()):
                self._move(one, product, former.category or "", category or "")
        peers = {
            *self._by_category.get(former.category or "", ()),
            *self._by_category.get(category or "", ()),
        }
        owners = {one for one in peers if one in self.rows and product in self.rows[one].follows}
        return frozenset({product} | owners)

    def listing(self, product: str) -> Listed:
        """What the catalogue says of a product; nothing if it is not in it."""
        return self.listed.get(product, _UNLISTED)

    def sold(self, product: str) -> int:
        """Baskets with a product."""
        return max(self._sold.get(product, 0), 0)

    def having(self, product: str) -> frozenset[str]:
        """Products that count `product` among their neighbours."""
        return frozenset(self._having.get(product, ()))

    def followed(self, product: str, other: str) -> int:
        """Customers who first bought `product` and `other` later; where that was pruned, as many as there may be."""
        row = self.rows.get(product)
        return max(row.follows.get(other, row.unseen), 0) if row else 0

    def forget_popular(self) -> None:
        """Let lists of popular products and linked categories be made anew when they are next asked for."""
        self._popular.clear()
        self._linked.clear()

    def popular(self, category: str | None) -> Sequence[str]:
        """The POPULAR_KEPT most bought products of a category (None: of the shop), as of the last `forget_popular`."""
        if category not in self._popular:
            among = self._sold if category is None else self._by_category.get(category, _NONE)
            best = nlargest(POPULAR_KEPT, among.items(), key=lambda item: (item[1], item[0]))
            self._popular[category] = [product for product, orders in best if orders > 0]
        return self._popular[category]

    def expectations(self, product: str) -> Callable[[str], float]:
        """Say what share of `product`'s buyers is expected to take another before any evidence of the two.

        It is links between their categories (in all the shop, where one is unknown) per line bought of the first and of
        the second, times the baskets with the other.
        """
        mine = self.listing(product).category
        base = self._category_lines.get(mine, 0) if mine else 0
        links = self._category_links.get(mine, _NONE) if mine else _NONE
        anyone = self.links / self.lines / self.lines if self.lines else 0.0
        per_line: dict[str | None, float] = {None: anyone}

        def expected(other: str) -> float:
            theirs = self.listed.get(other, _UNLISTED).category
            if theirs not in per_line:
                bought = self._category_lines.get(theirs, 0) if theirs and base else 0
                per_line[theirs] = links.get(theirs or "", 0) / base / bought if bought else anyone
            return per_line[theirs] * self.sold(other)

        return expected

    def linked_categories(self, product: str) -> Sequence[str]:
        """Categories bought most with that of `product`, weighed against how common they are."""
        mine = self.listing(product).category
        if mine is None:
            return ()
        if mine not in self._linked:
            links = self._category_links.get(mine, _NONE)
            weighed = [
                (number * _damped(self._category_lines[name]), name)
                for name, number in links.items()
                if number > 0
            ]
            self._linked[mine] = [name for _, name in nlargest(BACK_OFF_CATEGORIES, weighed)]
        return self._linked[mine]

    def damping(self, product: str, support: int) -> float:
        """By what a candidate's share is weighed: the less the more it is bought. `support` is known of it at least."""
        return self._damping.get(product) or _damped(support)

    def back_off(self, product: str, other: str) -> BackOff:
        """Say what an expectation between the two rests on."""
        return "category" if self.listing(product).category and self.listing(other).category else "popular"

    def _leave(self, product: str) -> None:
        category, linked = self._joined.pop(product, (None, {}))
        self._add(product, category, linked, -1)

    def _join(self, product: str) -> None:
        linked: dict[str, int] = {}
        row = self.rows.get(product)
        for other, number in row.pairs.items() if row else ():
            theirs = self.listed.get(other, _UNLISTED).category or ""
            linked[theirs] = linked.get(theirs, 0) + number
        category = self.listing(product).category
        self._joined[product] = category, linked
        self._add(product, category, linked, 1)

    def _move(self, product: str, other: str, former: str, category: str) -> None:
        """Count what `product` has with `other` under another category of that."""
        mine, linked = self._joined[product]
        number = self.rows[product].pairs[other]
        counted = [linked] if mine is None else [linked, self._category_links[mine]]
        for links in counted:
            for name, change in ((former, -number), (category, number)):
                if name or links is linked:
                    links[name] = links.get(name, 0) + change

    def _add(self, product: str, category: str | None, linked: Mapping[str, int], sign: int) -> None:
        bought = self._sold.get(product, 0)
        self.lines += sign * bought
        self.links += sign * sum(linked.values())
        if category is None:
            return
        self._category_lines[category] += sign * bought
        links = self._category_links.setdefault(category, defaultdict(int))
        for theirs, number in linked.items():
            if theirs:
                links[theirs] += sign * number
        members = self._by_category.setdefault(category, {})
        if sign > 0:
            members[product] = bought
        else:
            members.pop(product, None)


def _damped(bought: int) -> float:
    return float((max(bought, 0) + DAMPING) ** -ALPHA)
