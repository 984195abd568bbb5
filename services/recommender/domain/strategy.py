"""What comes up for each strategy, best first, whether or not it may be shown.

Hand-made relations come first, then evidence, then, where that leaves places open, the category and what is popular.
Products may come up several times: the first counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice

from services.recommender.domain.ranking import RELIABLE_SUPPORT
from services.recommender.domain.reorder import LEAST_SHARE
from services.recommender.domain.scored import Coming, following, picked, popular, together
from services.recommender.domain.shelf import SHOP, Group, Listing, Shelf
from services.recommender.domain.wish import Neighbour, Owned, Pick, Strategy, Wish
from shared.events.affinity import Relation

ANCHORS = 20
"""So many of a customer's latest products stand for what they have, where not all are added up."""
_HAND_ANCHORS = 5
_BUNDLED = 32
_BUNDLED_FIRST = frozenset({"pair", "pinned", "warranty", "refill"})

Running = Callable[[Shelf, Wish], Iterator[Coming]]


def running(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    """Yield all that comes up for a wish."""
    return _STRATEGIES[wish.strategy](shelf, wish)


def _anchors(wish: Wish) -> tuple[str, ...]:
    """What the products are to go with: the basket, or what the customer bought last."""
    if wish.basket or wish.customer is None:
        return tuple(dict.fromkeys(wish.basket))
    return tuple(islice(wish.customer.owned, ANCHORS))


def _cross_sell(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    yield from _evident(shelf, wish)
    if wish.basket:
        by_need = sorted(_anchors(wish), key=lambda product: product in shelf.around)
        for category in dict.fromkeys(shelf.category(product) for product in by_need):
            if category is not None:
                yield from _popular(shelf, ("category", category), "category")
    yield from _popular(shelf, SHOP, "popular")


def _evident(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    yield from _by_hand(shelf, wish)
    if wish.basket or wish.customer is None:
        yield from together(shelf, wish.basket)
    else:
        yield from following(shelf, wish.customer.owned)


def _by_hand(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    for anchor in _anchors(wish)[: len(wish.basket) or _HAND_ANCHORS]:
        yield from _related(shelf, anchor, shelf.rules.beside(anchor, shelf.category(anchor)))


def _related(shelf: Shelf, anchor: str, made: Mapping[str, Relation]) -> Iterator[Coming]:
    for product, relation in made.items():
        yield product, partial(_as, shelf, anchor, product, relation)


def _as(shelf: Shelf, anchor: str, product: str, relation: Relation) -> Pick:
    return picked(shelf.evidence(anchor, product)._replace(relation=relation), anchor, anchor)


def _popular(shelf: Shelf, group: Group, relation: Relation) -> Iterator[Coming]:
    for product, share in shelf.popular(group):
        yield product, partial(popular, product, share, relation)


def _upsell(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    anchors = _anchors(wish)
    for anchor in anchors:
        yield from _related(shelf, anchor, shelf.rules.premium(anchor))
    found = [(one, anchor) for anchor in anchors for one in shelf.near(anchor).upgrades]
    found.sort(key=lambda item: -item[0].score)
    for one, anchor in found:
        yield one.product, partial(picked, one, anchor, anchor)
    for anchor in anchors:
        listing = shelf.listings.get(anchor)
        if listing is not None and listing.category is not None:
            for product, make in _popular(shelf, ("category", listing.category), "category"):
                if _dearer(shelf.listings[product], listing):
                    yield product, make


def _dearer(one: Listing, other: Listing) -> bool:
    known = one.price is not None and other.price is not None and one.currency == other.currency
    return known and one.price > other.price  # type: ignore[operator]  # both are known here


def _bundle(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    found = [(product, make()) for product, make in islice(_evident(shelf, wish), _BUNDLED)]
    found.sort(key=lambda item: item[1].relation not in _BUNDLED_FIRST)
    for product, pick in found:
        yield product, partial(replace, pick, relation="bundle")


def _renamed(make: Callable[[], Pick], relation: Relation) -> Pick:
    return replace(make(), relation=relation)


def _seasonal(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    """In season, and best going with the basket; then of its categories; then whatever is in season."""
    categories = {shelf.category(anchor) for anchor in _anchors(wish)}
    wanted = shelf.popular(("season", wish.season))
    near = [(product, share) for product, share in wanted if shelf.category(product) in categories - {None}]
    for product, make in _evident(shelf, wish):
        if (listing := shelf.listings.get(product)) and wish.season in listing.seasons:
            yield product, partial(_renamed, make, "season")
    for product, share in chain(near, wanted):
        yield product, partial(popular, product, share, "season")


def _same_brand(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    listings = (shelf.listings.get(anchor) for anchor in _anchors(wish))
    brands = dict.fromkeys(listing.brand for listing in listings if listing and listing.brand)
    for product, make in _evident(shelf, wish):
        if (listing := shelf.listings.get(product)) and listing.brand in brands:
            yield product, partial(_renamed, make, "brand")
    for brand in brands:
        yield from _popular(shelf, ("brand", brand), "brand")


def _replenish(shelf: Shelf, wish: Wish) -> Iterator[Coming]:
    """The customer's own, the soonest needed first; else what of the basket is bought again; and refills."""
    if wish.customer is not None and not wish.basket:
        due = [
            (at, product) for product, one in wish.customer.owned.items() if (at := _due(shelf, product, one))
        ]
        for at, product in sorted(due):
            yield product, partial(_again, shelf, product, at)
    else:
        for product in _anchors(wish):
            if _runs_out(shelf, product):
                yield product, partial(_again, shelf, product, None)
    for anchor in _anchors(wish):
        yield from _related(shelf, anchor, shelf.rules.refills(anchor))


def _runs_out(shelf: Shelf, product: str) -> bool:
    listing, again = shelf.listings.get(product), shelf.near(product).repurchase
    return bool(listing and listing.consumable) or bool(again and again.share >= LEAST_SHARE)


def _due(shelf: Shelf, product: str, one: Owned) -> datetime | None:
    if one.reorder_at is not None:
        return one.reorder_at
    again = shelf.near(product).repurchase
    return one.last_at + timedelta(days=again.days[1]) if again and _runs_out(shelf, product) else None


def _again(shelf: Shelf, product: str, due: datetime | None) -> Pick:
    again = shelf.near(product).repurchase
    share, support = (again.share, again.support) if again else (0.0, 0)
    evidence = Neighbour(
        product, round(share, 6), support, "replenishment", support >= RELIABLE_SUPPORT, again
    )
    return replace(picked(evidence, product), reorder_at=due)


_STRATEGIES: Mapping[Strategy, Running] = {
    Strategy.CROSS_SELL: _cross_sell,
    Strategy.UPSELL: _upsell,
    Strategy.BUNDLE: _bundle,
    Strategy.REPLENISH: _replenish,
    Strategy.SAME_BRAND: _same_brand,
    Strategy.SEASONAL: _seasonal,
}
