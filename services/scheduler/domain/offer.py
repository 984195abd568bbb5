"""Which products go into an offer, and what became of the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from services.scheduler.domain.context import Catalogue
from services.scheduler.domain.customer import OrderFacts
from services.scheduler.domain.terms import IncentiveTerms, Ladder, OfferTerms, Season, Strategy
from shared.events import Candidate, Incentive, Product

_SEASONS: tuple[Season, ...] = ("winter", "spring", "summer", "autumn")
_UNBOUNDED = ("replenish", "upgrade")

Group = list[Candidate]
"""Alternatives, best first: the first that may be offered is."""


@dataclass(frozen=True)
class Selection:
    """What may be offered, from which source, and what was left out and why (product ids by reason)."""

    products: tuple[Candidate, ...]
    source: Strategy | None
    left_out: dict[str, list[str]]


@dataclass(frozen=True)
class Shelf:
    """All that choosing products stands on. `candidates` go with the order's products, best first."""

    terms: OfferTerms
    order: OrderFacts
    candidates: Sequence[Candidate]
    catalogue: Catalogue
    owned: frozenset[str]
    sent_back: frozenset[str]
    month: int

    @cached_property
    def taken(self) -> frozenset[str]:
        """What the customer has, or has just ordered."""
        return self.owned.union(self.order.products)

    @cached_property
    def evidence(self) -> Mapping[str, Candidate]:
        """The candidates by product."""
        return {candidate.product_id: candidate for candidate in self.candidates}

    @cached_property
    def bought(self) -> list[Product]:
        """The order's products that the catalogue knows, by id."""
        known = [self.catalogue.get(product_id) for product_id in sorted(self.order.products)]
        return [product for product in known if product]


def select(shelf: Shelf) -> Selection:
    """Return the first source's choice that is large enough, else an empty one with all that was left out."""
    left_out: dict[str, list[str]] = {}
    for source in shelf.terms.source:
        chosen: list[Candidate] = []
        for group in _groups(shelf, source):
            pick = _first_allowed(shelf, source, group, {each.product_id for each in chosen}, left_out)
            if pick is not None:
                chosen.append(pick)
            if len(chosen) == shelf.terms.count:
                break
        if len(chosen) >= shelf.terms.at_least:
            return Selection(tuple(chosen), source, left_out)
    return Selection((), None, left_out)


def _first_allowed(
    shelf: Shelf, source: Strategy, group: Group, taken: set[str], left_out: dict[str, list[str]]
) -> Candidate | None:
    for candidate in group:
        if candidate.product_id in taken:
            continue
        objection = _objection(shelf, source, candidate.product_id)
        if objection is None:
            return candidate
        listed = left_out.setdefault(objection, [])
        if candidate.product_id not in listed:
            listed.append(candidate.product_id)
    return None


def _objection(shelf: Shelf, source: Strategy, product_id: str) -> str | None:
    """Return why a product may not be offered. Ownership comes last: all else held."""
    product = shelf.catalogue.get(product_id)
    if product is None:
        return "unknown"
    if not product.in_stock:
        return "out_of_stock"
    if product_id in shelf.sent_back:
        return "sent_back"
    if source not in _UNBOUNDED and _too_dear(product, shelf.terms.max_price_share, shelf.order):
        return "too_dear"
    if source != "replenish" and product_id in shelf.taken:
        return "owned"
    return None


def _too_dear(product: Product, share: Decimal | None, order: OrderFacts) -> bool:
    if share is None:
        return False
    comparable = product.price is not None and product.currency in (None, order.currency)
    return not comparable or (product.price or Decimal(0)) >= share * order.total


def _groups(shelf: Shelf, source: Strategy) -> Iterator[Group]:
    match source:
        case "complements":
            yield from _complements(shelf)
        case "categories":
            yield from _of_categories(shelf, shelf.terms.categories)
        case "pairs":
            bought = sorted(set(shelf.order.categories.values()))
            wanted = [category for each in bought for category in shelf.terms.pairs.get(each, ())]
            yield from _of_categories(shelf, list(dict.fromkeys(wanted)))
        case "seasonal":
            season = _SEASONS[shelf.month % 12 // 3]
            yield from _of_categories(shelf, shelf.terms.seasons.get(season, ()))
        case "replenish":
            yield from ([_chosen(shelf, each, "replenishment")] for each in shelf.bought if each.consumable)
        case "upgrade":
            yield from (_dearer(shelf, each) for each in shelf.bought)
        case "same_brand":
            yield from _of_brands(shelf)


def _complements(shelf: Shelf) -> Iterator[Group]:
    for candidate in shelf.candidates:
        product = shelf.catalogue.get(candidate.product_id)
        if not shelf.terms.categories or (product and product.category in shelf.terms.categories):
            yield [candidate]


def _of_categories(shelf: Shelf, categories: Sequence[str]) -> Iterator[Group]:
    """Yield each category's products, except of categories that the order itself holds."""
    bought = set(shelf.order.categories.values())
    for category in categories:
        if category not in bought:
            products = _ranked(shelf, shelf.catalogue.in_category(category))
            yield [_chosen(shelf, product, "journey") for product in products]


def _of_brands(shelf: Shelf) -> Iterator[Group]:
    brands = sorted({each.brand for each in shelf.bought if each.brand})
    products = [product for brand in brands for product in shelf.catalogue.of_brand(brand)]
    yield from ([_chosen(shelf, product, "brand")] for product in _ranked(shelf, products))


def _dearer(shelf: Shelf, bought: Product) -> Group:
    if bought.category is None or bought.price is None:
        return []
    dearer = [
        product
        for product in shelf.catalogue.in_category(bought.category)
        if product.price is not None and product.price > bought.price and product.currency == bought.currency
    ]
    dearer.sort(key=lambda product: (product.price, product.product_id))
    return [_chosen(shelf, product, "upgrade") for product in dearer]


def _ranked(shelf: Shelf, products: Sequence[Product]) -> list[Product]:
    """Return products by evidence that they go with the order, then the cheaper first."""
    scores = {product_id: candidate.score for product_id, candidate in shelf.evidence.items()}
    return sorted(
        products,
        key=lambda each: (-scores.get(each.product_id, 0.0), each.price or Decimal(0), each.product_id),
    )


def _chosen(shelf: Shelf, product: Product, relation: str) -> Candidate:
    known = shelf.evidence.get(product.product_id)
    base = known or Candidate(product_id=product.product_id, score=0.0, support=0, relation="journey")
    return base.model_copy(update={"relation": relation})


def incentive_of(terms: IncentiveTerms | None, now: datetime, zone: ZoneInfo) -> Incentive:
    """Return the incentive as it stands at `now`; "tonight" ends at the next midnight in `zone`."""
    if terms is None:
        return Incentive(kind="none")
    expires_at = None
    if isinstance(terms.valid_for, timedelta):
        expires_at = now + terms.valid_for
    elif terms.valid_for == "tonight":
        tomorrow = now.astimezone(zone).date() + timedelta(days=1)
        expires_at = datetime.combine(tomorrow, time(0), zone)
    return Incentive(
        kind=terms.kind, value=terms.value, currency=terms.currency, code=terms.code, expires_at=expires_at
    )
