"""What a decision needs besides the customer's facts: products, the law's hours, the evidence's positions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from services.scheduler.domain.programme import Programme
from services.scheduler.domain.terms import IncentiveTerms
from shared.events import Product


class Catalogue:
    """The products of one shop, by id, category and brand. The latest `updated_at` of a product wins."""

    def __init__(self, products: Iterable[Product] = ()) -> None:
        self._products: dict[str, Product] = {}
        self._in_category: dict[str, set[str]] = defaultdict(set)
        self._of_brand: dict[str, set[str]] = defaultdict(set)
        self._sorted: dict[tuple[str, str], list[Product]] = {}
        for product in products:
            self.put(product)

    def put(self, product: Product) -> None:
        """Add or replace a product."""
        known = self._products.get(product.product_id)
        if known is not None and known.updated_at > product.updated_at:
            return
        self.remove(product.product_id)
        self._products[product.product_id] = product
        self._in_category[product.category or ""].add(product.product_id)
        self._of_brand[product.brand or ""].add(product.product_id)
        self._changed(product)

    def remove(self, product_id: str) -> None:
        """Forget a product; nothing happens if it is not known."""
        known = self._products.pop(product_id, None)
        if known is not None:
            self._in_category[known.category or ""].discard(product_id)
            self._of_brand[known.brand or ""].discard(product_id)
            self._changed(known)

    def get(self, product_id: str) -> Product | None:
        """Return the product, if it is known."""
        return self._products.get(product_id)

    def in_category(self, category: str) -> Sequence[Product]:
        """Return the products of a category, the cheapest first, then by id; one without a price comes before all."""
        return self._cheapest("category", category, self._in_category)

    def of_brand(self, brand: str) -> Sequence[Product]:
        """Return the products of a brand, in the same order."""
        return self._cheapest("brand", brand, self._of_brand)

    def _cheapest(self, kind: str, name: str, ids: Mapping[str, set[str]]) -> Sequence[Product]:
        # A brand may hold half of a shop: what every decision asks for is sorted once.
        found = self._sorted.get((kind, name))
        if found is None:
            products = [self._products[product_id] for product_id in ids.get(name, ())]
            found = self._sorted[kind, name] = sorted(products, key=by_price)
        return found

    def _changed(self, product: Product) -> None:
        self._sorted.pop(("category", product.category or ""), None)
        self._sorted.pop(("brand", product.brand or ""), None)


def by_price(product: Product) -> tuple[Decimal, str]:
    """Key to sort products by: the cheaper first, then by id."""
    return product.price or Decimal(0), product.product_id


class ContactHours(Protocol):
    """When the law lets people be texted; `shared.law.ContactHours` is one."""

    @property
    def version(self) -> str:
        """Version of the data."""

    def permitted(
        self, moment: datetime, *, places: Sequence[tuple[str | None, str | None]], zones: Sequence[str]
    ) -> tuple[datetime, datetime] | None:
        """Return the first permitted stretch from `moment` on, for all (country, region) and zones."""

    def zones(
        self, places: Sequence[tuple[str | None, str | None]], zones: Sequence[str]
    ) -> Sequence[ZoneInfo]:
        """Return every zone in which someone of these places and zones may be; none if nothing is known."""

    def texts_a_day(self, places: Sequence[tuple[str | None, str | None]]) -> int | None:
        """Return how many texts any 24 hours may bring to all of these places; None for no limit."""


class Codes(Protocol):
    """Gives one code to one customer."""

    def code(self, message_id: UUID, terms: IncentiveTerms) -> str | None:
        """Return the customer's code for an offer; None if its pool is empty. The same offer gets the same code."""


@dataclass(frozen=True)
class Context:
    """The rest of a decision's inputs; `attempt` is 1 for the first decision on an occurrence.

    `stopped` says who stopped the journey, and why. `fresh`: whether the state may be trusted to be the newest. `budgets` is
    what is left of the shop's discount budgets, by currency; `codes` gives codes where incentives ask for one each.
    """

    catalogue: Catalogue
    law: ContactHours
    attempt: int = 1
    positions: Mapping[str, int] = field(default_factory=dict)
    complements_version: int | None = None
    programme: Programme | None = None
    stopped: str | None = None
    fresh: bool = True
    budgets: Mapping[str, Decimal] | None = None
    codes: Codes | None = None

    def programme_of(self, shop: str) -> Programme:
        """The shop's rules, or the defaults."""
        return self.programme or Programme(shop=shop)
