"""Which products go into an offer, and what became of the rest."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge
from itertools import islice

import cel

from services.scheduler.domain.conditions import facts_of, holds
from services.scheduler.domain.context import Catalogue, by_price
from services.scheduler.domain.customer import CustomerState, OrderFacts, VerdictFacts
from services.scheduler.domain.once import once
from services.scheduler.domain.ownership import owned, sent_back
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.terms import OfferTerms, Season, Strategy
from shared.events import Candidate, Product

_SEASONS: tuple[Season, ...] = ("winter", "spring", "summer", "autumn")
_UNBOUNDED = ("replenish", "upgrade")

Group = Iterable[Candidate]
"""Alternatives, best first: the first that may be offered is, and no further one is looked at."""


@dataclass(frozen=True)
class Selection:
    """What may be offered, from which source, and what was left out and why (product ids by reason)."""

    products: tuple[Candidate, ...]
    source: Strategy | None
    left_out: dict[str, list[str]]


@dataclass(frozen=True)
class Shelf:
    """All that choosing products stands on. `candidates` go with the order's products, best first.

    `quoted` is what this enrolment has quoted before, by product, at the lowest; `month` is the customer's.
    """

    terms: OfferTerms
    order: OrderFacts
    candidates: Sequence[Candidate]
    catalogue: Catalogue
    state: CustomerState
    programme: Programme
    quoted: Mapping[str, Decimal]
    month: int

    @once
    def taken(self) -> frozenset[str]:
        """What the customer has, or has just ordered."""
        return owned(self.state).union(self.order.products)

    @once
    def sent_back(self) -> frozenset[str]:
        """What the customer ever sent back."""
        return sent_back(self.state)

    @once
    def categories(self) -> frozenset[str]:
        """The categories of what is taken, as the catalogue has them or the orders had them."""
        known = (self.catalogue.get(each) for each in self.taken)
        orders = (*self.state.orders.values(), self.order)
        bought = {
            category
            for each in orders
            for product_id, category in each.categories.items()
            if product_id in self.taken
        }
        return frozenset(bought.union(each.category for each in known if each and each.category))

    @once
    def covered(self) -> frozenset[str]:
        """Members of the replacement groups of which something is taken."""
        has = self.taken.union(f"category:{each}" for each in self.categories)
        groups = self.programme.replacement_groups.values()
        return frozenset(member for group in groups if has.intersection(group) for member in group)

    @once
    def evidence(self) -> list[Candidate]:
        """What goes with the order; of a product that is there twice the first counts."""
        return [each for each in self.candidates if each.relation != "upgrade"]

    @once
    def moved_on_to(self) -> Mapping[str, Candidate]:
        """The dearer products of a category that buyers of the order's products bought later, by product, the most likely first."""
        return {each.product_id: each for each in self.candidates if each.relation == "upgrade"}

    @once
    def bought(self) -> list[Product]:
        """The order's products that the catalogue knows, by id."""
        known = [self.catalogue.get(product_id) for product_id in sorted(self.order.products)]
        return [product for product in known if product]


def lowest_quotes(ours: Iterable[VerdictFacts]) -> dict[str, Decimal]:
    """Return the lowest price at which an enrolment's messages have offered each product."""
    quoted: dict[str, Decimal] = {}
    for fact in ours:
        for product_id, price in fact.prices.items():
            quoted[product_id] = min(price, quoted.get(product_id, price))
    return quoted


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
        objection = _objection(shelf, source, candidate)
        if objection is None:
            return candidate
        listed = left_out.setdefault(objection, [])
        if candidate.product_id not in listed:
            listed.append(candidate.product_id)
    return None


def _objection(shelf: Shelf, source: Strategy, candidate: Candidate) -> str | None:
    """Return why a product may not be offered. What a rule is named after comes last: all else held."""
    product = shelf.catalogue.get(candidate.product_id)
    if product is None:
        return "unknown"
    unfit = _unfit(shelf, source, candidate, product)
    if unfit is not None:
        return unfit
    if source != "replenish" and _has(shelf, source, product):
        return "owned"
    if not product.in_stock or product.stock == 0:
        return "out_of_stock"
    return "price_moved" if _risen(shelf, product) else None


def _unfit(shelf: Shelf, source: Strategy, candidate: Candidate, product: Product) -> str | None:
    if product.product_id in shelf.sent_back:
        return "sent_back"
    if source not in _UNBOUNDED and _too_dear(product, shelf.terms.max_price_share, shelf.order):
        return "too_dear"
    where = shelf.terms.where
    return "where" if where is not None and not holds(where, _seen(shelf, candidate, product)) else None


def _has(shelf: Shelf, source: Strategy, product: Product) -> bool:
    """Whether the customer has it, or what the terms count as the same. Upgrades are of a category that they have."""
    if product.product_id in shelf.taken:
        return True
    if source == "upgrade" or shelf.terms.owned_by == "product":
        return False
    if shelf.terms.owned_by == "category":
        return product.category in shelf.categories
    return not shelf.covered.isdisjoint((product.product_id, f"category:{product.category}"))


def _risen(shelf: Shelf, product: Product) -> bool:
    """Whether it costs more by now than this enrolment quoted, beyond what the shop tolerates."""
    price, quoted = _price(product, shelf.order), shelf.quoted.get(product.product_id)
    if price is None or quoted is None:
        return False
    return price > quoted * (1 + shelf.programme.price_tolerance)


def _price(product: Product, order: OrderFacts) -> Decimal | None:
    """Return the price if it can be compared with the order's total: we do not convert."""
    return product.price if product.currency in (None, order.currency) else None


def _too_dear(product: Product, share: Decimal | None, order: OrderFacts) -> bool:
    if share is None:
        return False
    price = _price(product, order)
    return price is None or price >= share * order.total


def _seen(shelf: Shelf, candidate: Candidate, product: Product) -> cel.Context:
    """Return a candidate as `where` looks at it; amounts are numbers here, exact enough to compare."""
    price, total = _price(product, shelf.order), shelf.order.total
    seen = {
        "product_id": product.product_id,
        "category": product.category or "",
        "brand": product.brand or "",
        "price": -1.0 if price is None else float(price),
        "price_share": -1.0 if price is None or not total else float(price / total),
        "margin": -1.0 if product.margin is None else float(product.margin),
        "stock": -1 if product.stock is None else product.stock,
        "score": candidate.score,
        "support": candidate.support,
        "reliable": candidate.reliable,
        "relation": candidate.relation,
        "consumable": product.consumable,
    }
    return facts_of({"candidate": seen})


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
        if candidate.relation == "upgrade":
            continue
        product = shelf.catalogue.get(candidate.product_id)
        if not shelf.terms.categories or (product and product.category in shelf.terms.categories):
            yield [candidate]


def _of_categories(shelf: Shelf, categories: Sequence[str]) -> Iterator[Group]:
    """Yield each category's products, except of categories that the order itself holds."""
    bought = set(shelf.order.categories.values())
    for category in categories:
        if category not in bought:
            products = _in(shelf, category)
            yield (_chosen(shelf, product, "journey") for product in products)


def _of_brands(shelf: Shelf) -> Iterator[Group]:
    brands = sorted({each.brand for each in shelf.bought if each.brand})
    listed = [shelf.catalogue.of_brand(brand) for brand in brands]
    products = _ranked(shelf, listed, lambda product: product.brand in brands)
    yield from ([_chosen(shelf, product, "brand")] for product in products)


def _in(shelf: Shelf, category: str) -> Iterator[Product]:
    return _ranked(
        shelf, [shelf.catalogue.in_category(category)], lambda product: product.category == category
    )


def _dearer(shelf: Shelf, bought: Product) -> Group:
    """Yield what buyers moved on to, then the next dearer of the category, and so on up."""
    if bought.category is None or bought.price is None:
        return
    for product_id, candidate in shelf.moved_on_to.items():
        known = shelf.catalogue.get(product_id)
        if known and known.category == bought.category and _is_dearer(known, bought):
            yield candidate
    products = shelf.catalogue.in_category(bought.category)
    first = bisect_right(products, bought.price, key=lambda each: each.price or Decimal(0))
    for product in islice(products, first, None):
        if product.product_id not in shelf.moved_on_to and _is_dearer(product, bought):
            yield _chosen(shelf, product, "upgrade")


def _is_dearer(product: Product, bought: Product) -> bool:
    return (
        product.price is not None
        and bought.price is not None
        and product.price > bought.price
        and product.currency == bought.currency
    )


def _ranked(
    shelf: Shelf, listed: Sequence[Sequence[Product]], belongs: Callable[[Product], bool]
) -> Iterator[Product]:
    """Yield what belongs there by evidence that it goes with the order, then the rest of `listed`, the cheaper first.

    Few are looked at, of lists that may hold half of a shop.
    """
    known: dict[str, tuple[Candidate, Product]] = {}
    for candidate in shelf.evidence:
        product = shelf.catalogue.get(candidate.product_id)
        if product is not None and belongs(product):
            known.setdefault(candidate.product_id, (candidate, product))
    told = [(-candidate.score, *by_price(product)) for candidate, product in known.values()]
    yield from (known[product_id][1] for score, _, product_id in sorted(told) if score < 0)
    known = {product_id: each for product_id, each in known.items() if each[0].score > 0}
    yield from (each for each in merge(*listed, key=by_price) if each.product_id not in known)


def _chosen(shelf: Shelf, product: Product, relation: str) -> Candidate:
    known = next((each for each in shelf.evidence if each.product_id == product.product_id), None)
    base = known or Candidate(product_id=product.product_id, score=0.0, support=0, relation="journey")
    return base.model_copy(update={"relation": relation})
