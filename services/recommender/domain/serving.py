"""What to show beside a product or a basket, answered from what the topics `complements`, `catalog`, `pair-counts` say.

One product's complements are shown in the order that the ranker gave them. For a basket the shares are added up, and
weighed by popularity as the ranker does:

    sum over i in basket of share(j | i)  /  (n_j + DAMPING) ** ALPHA

that is by how many of j to expect from the basket, so that what goes with several of its products leads. Where that
leaves places open, the most bought of the products' categories fill them, those of products without complements
first, then the most bought of the shop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from services.recommender.domain.ranking import ALPHA, DAMPING
from services.recommender.domain.shelf import Listing, Neighbour, Shelf


class LeftOut(StrEnum):
    """Why a product that would have come up is not shown."""

    IN_BASKET = "in_basket"
    EXCLUDED = "excluded"
    NOT_IN_CATALOGUE = "not_in_catalogue"
    OUT_OF_STOCK = "out_of_stock"
    PRICE_UNKNOWN = "price_unknown"
    OTHER_CURRENCY = "other_currency"
    TOO_DEAR = "too_dear"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: at most `k` products to go with `basket` (not empty), none of `exclude`.

    `max_price` is in `currency`; without one it is compared with each product's price in the product's own.
    """

    basket: tuple[str, ...]
    k: int
    exclude: frozenset[str] = frozenset()
    max_price: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """A product to show. Support, score and relation are those of its best evidence, which is with `because`.

    A product that fills a place left open has `because` None, and as score its share of the lines bought in its
    category or in the shop. `evidence` has every product of the basket that speaks for it.
    """

    product: str
    score: float
    support: int
    relation: str
    reliable: bool
    because: str | None
    evidence: tuple[tuple[str, Neighbour], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Products to show, best first, and why others that came up on the way are not among them."""

    picks: tuple[Pick, ...]
    left_out: dict[str, LeftOut]


def why_not(shelf: Shelf, product: str, wish: Wish) -> LeftOut | None:
    """Why a product is not to be shown; None if it may be.

    Once a shop has a catalogue, what is not in it is not for sale.
    """
    if product in wish.basket:
        return LeftOut.IN_BASKET
    if product in wish.exclude:
        return LeftOut.EXCLUDED
    listing = shelf.listings.get(product)
    if listing is None:
        if shelf.listings:
            return LeftOut.NOT_IN_CATALOGUE
        return LeftOut.PRICE_UNKNOWN if wish.max_price is not None else None
    if not listing.in_stock:
        return LeftOut.OUT_OF_STOCK
    return None if wish.max_price is None else _over(listing, wish.max_price, wish.currency)


def _over(listing: Listing, limit: Decimal, currency: str | None) -> LeftOut | None:
    if listing.price is None:
        return LeftOut.PRICE_UNKNOWN
    if currency is not None and listing.currency != currency:
        return LeftOut.OTHER_CURRENCY
    return LeftOut.TOO_DEAR if listing.price > limit else None


def recommend(shelf: Shelf, wish: Wish) -> Answer:
    """Choose up to `wish.k` products that go with the basket and may be shown, best first."""
    picks: dict[str, Pick] = {}
    left_out: dict[str, LeftOut] = {}
    for pick in _running(shelf, wish.basket):
        if pick.product in picks or pick.product in left_out:
            continue
        reason = why_not(shelf, pick.product, wish)
        if reason is not None:
            left_out[pick.product] = reason
            continue
        picks[pick.product] = pick
        if len(picks) == wish.k:
            break
    return Answer(tuple(picks.values()), left_out)


def _running(shelf: Shelf, basket: tuple[str, ...]) -> Iterator[Pick]:
    yield from _merged(shelf, basket)
    by_need = sorted(basket, key=lambda product: product in shelf.complements)
    for category in dict.fromkeys(shelf.category(product) for product in by_need):
        if category is not None:
            yield from _popular(shelf, category)
    yield from _popular(shelf, None)


def _popular(shelf: Shelf, category: str | None) -> Iterator[Pick]:
    relation = "popular" if category is None else "category"
    for product, share in shelf.popular(category):
        yield Pick(product, round(share, 6), 0, relation, reliable=False, because=None)


def _merged(shelf: Shelf, basket: tuple[str, ...]) -> Sequence[Pick]:
    evidence: dict[str, list[tuple[str, Neighbour]]] = {}
    asked = [product for product in dict.fromkeys(basket) if product in shelf.complements]
    for product in asked:
        for one in shelf.complements[product]:
            evidence.setdefault(one.product, []).append((product, one))
    picks = [_pick(product, speaking) for product, speaking in evidence.items()]
    if len(asked) > 1:
        picks.sort(key=lambda pick: -_weight(shelf, pick))
    return picks


def _pick(product: str, evidence: list[tuple[str, Neighbour]]) -> Pick:
    because, best = max(evidence, key=lambda item: (item[1].support, item[1].score))
    return Pick(product, best.score, best.support, best.relation, best.reliable, because, tuple(evidence))


def _weight(shelf: Shelf, pick: Pick) -> float:
    share = sum(one.score for _, one in pick.evidence)
    return float(share * (max(shelf.sold(pick.product), pick.support) + DAMPING) ** -ALPHA)
