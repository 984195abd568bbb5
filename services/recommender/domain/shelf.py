"""One shop's products and customers as the followed topics tell, ready to be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from sys import intern
from typing import NamedTuple

import numpy as np

from services.recommender.domain.names import stem
from services.recommender.domain.popularity import Popularity
from services.recommender.domain.ranking import RELIABLE_SUPPORT, SHRINKAGE
from services.recommender.domain.relations import NO_RULES, Rules
from services.recommender.domain.tally import BUCKET_DAYS
from services.recommender.domain.votes import EMPTY, Row, Slots
from services.recommender.domain.wish import Customer, Gap, Neighbour, Owned
from shared.events import Candidate, Complements, CustomerProducts, PairCounts, Product, Timing
from shared.events.catalog import SeasonName

POPULAR_KEPT = 200
Group = tuple[str, str]
SHOP: Group = ("shop", "")


class Listing(NamedTuple):
    """A product as the shop sells it. `price` and `margin` are in `currency`; `stem` is the name without its size."""

    name: str
    category: str | None
    brand: str | None
    price: Decimal | None
    currency: str | None
    in_stock: bool
    consumable: bool
    stock: int | None
    margin: Decimal | None
    seasons: tuple[SeasonName, ...]
    url: str | None
    image_url: str | None
    stem: str

    def groups(self) -> set[Group]:
        """In which the product is among others."""
        found: set[Group] = {("season", season) for season in self.seasons}
        if self.category:
            found.add(("category", self.category))
        if self.brand:
            found.add(("brand", self.brand))
        return found


class Around(NamedTuple):
    """What `complements` says of a product; `weights` and `later` by slot."""

    candidates: tuple[Neighbour, ...] = ()
    upgrades: tuple[Neighbour, ...] = ()
    weights: Row = EMPTY
    later: Row = EMPTY
    repurchase: Gap | None = None


class Counted(NamedTuple):
    """What `pair-counts` says of a product. `follows` and `exposure` are faded as of day `until`."""

    orders: int
    buyers: int
    pairs: Row
    followers: Row
    follows: Row
    exposure: float
    until: float
    timing: Mapping[str, Gap]


_NOTHING = Around()


@dataclass
class Shelf:
    """One shop. None takes away what was put. `until` is the end, in days since 1970-01-01, of the newest bucket counted."""

    rules: Rules = NO_RULES
    around: dict[str, Around] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)
    counted: dict[str, Counted] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    slots: Slots = field(default_factory=Slots)
    popularity: Popularity = field(default_factory=Popularity)
    until: float = 0.0
    _members: dict[Group, set[int]] = field(default_factory=dict)
    _popular: dict[Group, list[tuple[str, float]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.around.keys() | self.listings.keys() | self.counted.keys())

    def __bool__(self) -> bool:
        return bool(self.around or self.listings or self.counted or self.customers)

    def put_complements(self, product: str, said: Complements | None) -> None:
        """Take what goes with a product."""
        if said is None:
            self.around.pop(product, None)
            return
        self.around[intern(product)] = Around(
            tuple(map(_neighbour, said.candidates)),
            tuple(map(_neighbour, said.upgrades)),
            self.slots.row(said.weights),
            self.slots.row(said.later),
            _gap(said.repurchase),
        )

    def put_listing(self, product: str, said: Product | None) -> None:
        """Take what the catalogue says of a product."""
        slot = self.slots[product]
        former = self.listings.pop(product, None)
        for group in former.groups() if former else ():
            self._members[group].discard(slot)
        if said is None:
            return
        made = self.listings[intern(product)] = _listing(said)
        for group in made.groups():
            self._members.setdefault(group, set()).add(slot)

    def put_counts(self, product: str, said: PairCounts | None) -> None:
        """Take what was counted of a product."""
        self.popularity.put(self.slots[product], said)
        if said is None:
            self.counted.pop(product, None)
            return
        until = (said.bucket + 1) * BUCKET_DAYS
        after = np.array(list(said.follows.values()), np.float32).reshape(-1, 2)
        followers = Row(self.slots.of(said.follows.keys()), after[:, 0].copy())
        self.until = max(self.until, until)
        self.counted[intern(product)] = Counted(
            orders=max(said.orders, 0),
            buyers=max(said.buyers, 0),
            pairs=self.slots.row(said.pairs),
            followers=followers,
            follows=Row(followers.slots, after[:, 1].copy()),
            exposure=said.exposure,
            until=until,
            timing={intern(other): _gap_of(timing) for other, timing in said.timing.items()},
        )

    def put_customer(self, customer: str, said: CustomerProducts | None) -> None:
        """Take what a customer has."""
        if said is None:
            self.customers.pop(customer, None)
            return
        latest = sorted(said.products.items(), key=lambda item: item[1].last_at, reverse=True)
        self.customers[customer] = Customer(
            {intern(product): Owned(has.last_at, has.reorder_at) for product, has in latest},
            frozenset(map(intern, said.returned)),
        )

    def forget_popular(self) -> None:
        """Let lists of popular products be made anew when they are next asked for."""
        self._popular.clear()
        self.popularity.forget()

    def popular(self, group: Group = SHOP) -> Sequence[tuple[str, float]]:
        """Most bought products of a group, each with its share of what is bought there of late.

        As of the last `forget_popular`.
        """
        if group not in self._popular:
            among = None if group == SHOP else self._members.get(group, ())
            best = self.popularity.top(among, POPULAR_KEPT)
            self._popular[group] = [(self.slots.names[slot], share) for slot, share in best]
        return self._popular[group]

    def category(self, product: str) -> str | None:
        """A product's category, if the catalogue knows it."""
        listing = self.listings.get(product)
        return listing.category if listing else None

    def orders(self, product: str) -> int:
        """Baskets that a product was in, as far as is known."""
        counted = self.counted.get(product)
        return counted.orders if counted else 0

    def share(self, product: str) -> float:
        """A product's share of what is bought of late; zero if it is not among the most popular."""
        return next((share for other, share in self.popular() if other == product), 0.0)

    def near(self, product: str) -> Around:
        """What `complements` says of a product; nothing if it says nothing."""
        return self.around.get(product, _NOTHING)

    def evidence(self, product: str, other: str) -> Neighbour:
        """What is known of `other` beside `product`, ranked or not: baskets with both, or customers who bought it later."""
        around = self.near(product)
        for one in (*around.candidates, *around.upgrades):
            if one.product == other:
                return one
        counted, slot = self.counted.get(product), self.slots.get(other)
        if counted is not None and slot is not None:
            together, later = int(counted.pairs.at(slot)), int(counted.followers.at(slot))
            gap = counted.timing.get(other)
            if later > together:
                return _counted(other, later, counted.buyers, gap)._replace(relation="sequence")
            if together > 0:
                return _counted(other, together, counted.orders, gap)
        known = self.category(product) and self.category(other)
        return Neighbour(other, 0.0, 0, "category" if known else "popular", reliable=False)


def _counted(product: str, support: int, among: int, gap: Gap | None) -> Neighbour:
    share = round(min(support / (among + SHRINKAGE), 1.0), 6)
    return Neighbour(product, share, support, "pair", support >= RELIABLE_SUPPORT, gap)


def _neighbour(one: Candidate) -> Neighbour:
    return Neighbour(
        intern(one.product_id), one.score, one.support, one.relation, one.reliable, _gap(one.gap)
    )


def _gap(timing: Timing | None) -> Gap | None:
    return None if timing is None else _gap_of(timing)


def _gap_of(timing: Timing) -> Gap:
    return Gap(timing.support, timing.share, timing.days, timing.mean_days, timing.within_days)


def _listing(said: Product) -> Listing:
    return Listing(
        said.name,
        intern(said.category) if said.category else None,
        intern(said.brand) if said.brand else None,
        said.price,
        said.currency,
        said.in_stock,
        said.consumable,
        said.stock,
        said.margin,
        said.seasons,
        said.url,
        said.image_url,
        intern(stem(said.name)),
    )
