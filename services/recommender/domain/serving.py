"""What to show beside a product or a basket, or to a customer: what comes up for the strategy and may be shown.

No product stands for the same thing as another that is shown: of one name but for size, measure or colour only one is,
and of one category no more than half the places, rounded up. Those stand back until nothing else is left. What a
merchandiser put there by hand is exempt.
"""

from collections.abc import Callable
from decimal import Decimal

from services.recommender.domain.shelf import Listing, Shelf
from services.recommender.domain.strategy import running
from services.recommender.domain.wish import Answer, Bundle, LeftOut, Pick, Strategy, Wish

_VARIED = frozenset({Strategy.CROSS_SELL, Strategy.BUNDLE, Strategy.SEASONAL, Strategy.SAME_BRAND})
_BY_HAND = frozenset({"pinned", "warranty", "refill", "premium"})


def recommend(shelf: Shelf, wish: Wish) -> Answer:
    """Choose up to `wish.k` products that may be shown, best first."""
    room = _Room(shelf, wish)
    may = _gate(shelf, wish)
    back: dict[str, Callable[[], Pick]] = {}
    picks: dict[str, Pick] = {}
    left_out: dict[str, LeftOut] = {}
    for product, make in running(shelf, wish):
        if product in picks or product in left_out:
            continue
        reason = may(product)
        if reason is not None:
            left_out[product] = reason
        elif not room.for_(product) and make().relation not in _BY_HAND:
            left_out[product], back[product] = LeftOut.TOO_SIMILAR, make
        else:
            picks[product] = make()
            room.take(product)
            if len(picks) == wish.k:
                break
    for product, make in list(back.items())[: wish.k - len(picks)]:
        picks[product] = make()
        del left_out[product]
    shown = tuple(picks.values())
    return Answer(shown, left_out, _bundle(shelf, wish, shown))


class _Room:
    """How much room is left for products like those that are shown."""

    def __init__(self, shelf: Shelf, wish: Wish) -> None:
        self._listings = shelf.listings if wish.diverse and wish.strategy in _VARIED else {}
        self._each = (wish.k + 1) // 2
        self._of_category: dict[str | None, int] = {}
        self._names: set[tuple[str | None, str | None, str]] = set()

    def for_(self, product: str) -> bool:
        """Whether a product may be shown beside what is."""
        listing = self._listings.get(product)
        if listing is None:
            return True
        return (
            listing.category is None or self._of_category.get(listing.category, 0) < self._each
        ) and _thing(listing) not in self._names

    def take(self, product: str) -> None:
        """Count a product that is shown."""
        listing = self._listings.get(product)
        if listing is not None:
            self._of_category[listing.category] = self._of_category.get(listing.category, 0) + 1
            self._names.add(_thing(listing))


def _thing(listing: Listing) -> tuple[str | None, str | None, str]:
    return listing.category, listing.brand, listing.stem


def _gate(shelf: Shelf, wish: Wish) -> Callable[[str], LeftOut | None]:
    """Make the function that says why a product is not to be shown; None if it may be.

    Once a shop has a catalogue, what is not in it is not for sale.
    """
    reasons: dict[str, LeftOut] = {}
    customer, again = wish.customer, wish.strategy is Strategy.REPLENISH
    if customer is not None and not again:
        reasons.update(dict.fromkeys(customer.owned, LeftOut.OWNED))
    if customer is not None:
        reasons.update(dict.fromkeys(customer.returned, LeftOut.RETURNED))
    if not again:
        reasons.update(dict.fromkeys(wish.basket, LeftOut.IN_BASKET))
    reasons.update(dict.fromkeys(wish.exclude, LeftOut.EXCLUDED))
    reasons.update(dict.fromkeys(_banned(shelf, wish), LeftOut.BANNED))
    currency = wish.currency or _currency(shelf, wish)

    def may(product: str) -> LeftOut | None:
        reason = reasons.get(product)
        if reason is not None:
            return reason
        listing = shelf.listings.get(product)
        if listing is not None:
            return _unavailable(listing, wish) or _unaffordable(listing, wish, currency)
        if shelf.listings:
            return LeftOut.NOT_IN_CATALOGUE
        return LeftOut.PRICE_UNKNOWN if _priced(wish) else None

    return may


def _banned(shelf: Shelf, wish: Wish) -> frozenset[str]:
    rules = shelf.rules
    if not rules.banned_beside:
        return rules.banned
    beside = (*wish.basket, *(wish.customer.owned if wish.customer else ()))
    return rules.banned.union(*(rules.banned_beside.get(product, ()) for product in beside))


def _unavailable(listing: Listing, wish: Wish) -> LeftOut | None:
    if not listing.in_stock or listing.stock == 0:
        return LeftOut.OUT_OF_STOCK
    if listing.stock is not None and listing.stock < wish.min_stock:
        return LeftOut.LOW_STOCK
    if (
        listing.margin is not None
        and listing.price
        and float(listing.margin / listing.price) < wish.min_margin
    ):
        return LeftOut.LOW_MARGIN
    return None


def _priced(wish: Wish) -> bool:
    return wish.bounded or wish.strategy is Strategy.BUNDLE


def _unaffordable(listing: Listing, wish: Wish, currency: str | None) -> LeftOut | None:
    if not _priced(wish):
        return None
    if listing.price is None:
        return LeftOut.PRICE_UNKNOWN
    if currency is not None and listing.currency != currency:
        return LeftOut.OTHER_CURRENCY
    over = wish.max_price is not None and listing.price > wish.max_price
    return LeftOut.TOO_DEAR if over or (wish.under is not None and listing.price >= wish.under) else None


def _currency(shelf: Shelf, wish: Wish) -> str | None:
    """What a bundle's products must be priced in: what the first of the basket is."""
    if wish.strategy is not Strategy.BUNDLE:
        return None
    listings = (shelf.listings.get(product) for product in wish.basket)
    return next((listing.currency for listing in listings if listing and listing.currency), None)


def _bundle(shelf: Shelf, wish: Wish, picks: tuple[Pick, ...]) -> Bundle | None:
    """Set the basket and what was picked at one price."""
    if wish.strategy is not Strategy.BUNDLE or not picks:
        return None
    products = tuple(dict.fromkeys((*wish.basket, *(pick.product for pick in picks))))
    listings = [shelf.listings.get(product) for product in products]
    prices = [listing.price for listing in listings if listing and listing.price is not None]
    currencies = {listing.currency for listing in listings if listing}
    if len(prices) < len(products) or len(currencies) != 1:
        return Bundle(products, None, None)
    return Bundle(products, sum(prices, Decimal(0)), currencies.pop())
