"""One shop's products as the topics `complements`, `catalog` and `pair-counts` tell, ready to be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import nlargest
from sys import intern
from typing import NamedTuple

from shared.events import Candidate, Product

POPULAR_KEPT = 200
_NONE: Mapping[str, int] = {}


class Neighbour(NamedTuple):
    """One candidate of a product's complements; a tuple, as a shop has ten of them a product."""

    product: str
    score: float
    support: int
    relation: str
    reliable: bool


class Listing(NamedTuple):
    """A product as the shop sells it. `price` is in `currency`."""

    name: str
    category: str | None
    price: Decimal | None
    currency: str | None
    in_stock: bool
    url: str | None
    image_url: str | None


@dataclass
class Shelf:
    """One shop's products as the topics tell. None takes away what was put."""

    complements: dict[str, tuple[Neighbour, ...]] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)
    _sold: dict[str, int] = field(default_factory=dict)
    _members: dict[str | None, dict[str, int]] = field(default_factory=dict)
    _popular: dict[str | None, list[tuple[str, float]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.complements.keys() | self.listings.keys() | self._sold.keys())

    def __bool__(self) -> bool:
        return bool(self.complements or self.listings or self._sold)

    def put_complements(self, product: str, candidates: Sequence[Candidate] | None) -> None:
        """Take what goes with a product."""
        if candidates is None:
            self.complements.pop(product, None)
            return
        self.complements[intern(product)] = tuple(
            Neighbour(intern(one.product_id), one.score, one.support, one.relation, one.reliable)
            for one in candidates
        )

    def put_listing(self, product: str, said: Product | None) -> None:
        """Take what the catalogue says of a product."""
        sold = self._sold.get(product)
        self._count(product, None)
        if said is None:
            self.listings.pop(product, None)
        else:
            category = intern(said.category) if said.category else None
            self.listings[intern(product)] = Listing(
                said.name, category, said.price, said.currency, said.in_stock, said.url, said.image_url
            )
        self._count(product, sold)

    def put_sold(self, product: str, baskets: int | None) -> None:
        """Take in how many baskets a product was."""
        self._count(product, baskets)

    def forget_popular(self) -> None:
        """Let lists of popular products be made anew when they are next asked for."""
        self._popular.clear()

    def category(self, product: str) -> str | None:
        """A product's category, if the catalogue knows it."""
        listing = self.listings.get(product)
        return listing.category if listing else None

    def sold(self, product: str) -> int:
        """Baskets that a product was in, as far as is known."""
        return max(self._sold.get(product, 0), 0)

    def popular(self, category: str | None) -> Sequence[tuple[str, float]]:
        """Most bought products of a category (None: of the shop), each with its share of the lines bought there.

        As of the last `forget_popular`.
        """
        if category not in self._popular:
            members = self._members.get(category, _NONE)
            lines = sum(members.values())
            best = nlargest(POPULAR_KEPT, members.items(), key=lambda item: (item[1], item[0]))
            self._popular[category] = [(product, sold / lines) for product, sold in best]
        return self._popular[category]

    def _count(self, product: str, baskets: int | None) -> None:
        groups = {None, self.category(product)}
        if baskets is None:
            self._sold.pop(product, None)
        else:
            self._sold[intern(product)] = baskets
        for group in groups:
            members = self._members.setdefault(group, {})
            if baskets is not None and baskets > 0:
                members[intern(product)] = baskets
            else:
                members.pop(product, None)
