"""Complements as they would have been learned week by week, each from what had happened before its Monday."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import cast, get_args

from services.recommender.domain.learner import Purchase
from services.recommender.domain.ranking import RELIABLE_SUPPORT
from services.recommender.offline import Answer, CameBack, Product, Ranked, Shop, answer_all
from services.recommender.queries import Query, day_of
from shared.events import (
    Candidate,
    Complements,
    ComplementsUpdated,
    Event,
    Order,
    OrderRecorded,
    OrderStatus,
    ProductRecorded,
    Return,
    ReturnRecorded,
    ReturnStatus,
)
from shared.events.affinity import Relation
from shared.ids import event_id

_CANDIDATES = 20
_ASKED_FOR = timedelta(days=63)
"""For so long after a sale journeys still ask what goes with a product."""
_WEEK = timedelta(days=7)
_SOURCE = "orderwake/recommender/weekly"


def weekly_complements(told: Iterable[Event]) -> Iterator[ComplementsUpdated]:
    """Yield what goes with each product, at each Monday (UTC) on which it has changed, by the code of `orderwake recommend`.

    `told` are orders, returns and products in any order; of an order or return the first news counts, and a later
    cancellation takes its products back when it came.
    """
    pasts: defaultdict[str, _Past] = defaultdict(_Past)
    for event in sorted(told, key=lambda each: each.time):
        pasts[event.shopid].take(event)
    for name, past in sorted(pasts.items()):
        yield from _of_shop(name, past)


class _Past:
    """One shop's past, in the terms of the offline ranking."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.sold: defaultdict[datetime, set[str]] = defaultdict(set)
        self._orders: dict[str, OrderStatus] = {}
        self._returns: set[str] = set()

    def take(self, event: Event) -> None:
        """Add what an event tells. Events come in order of time."""
        match event:
            case OrderRecorded(data=order) if not order.test:
                self._take_order(order, event.customerid or "", event.time)
            case ReturnRecorded(data=returned):
                self._take_return(returned, event.customerid or "")
            case ProductRecorded(data=product):
                price = float(product.price) if product.price is not None else None
                self.shop.products[product.product_id] = Product(product.category, price, product.stock)

    def _take_order(self, order: Order, customer: str, at: datetime) -> None:
        known = self._orders.get(order.order_id)
        self._orders[order.order_id] = order.status
        placed = order.status is OrderStatus.PLACED
        if known is None and placed:
            day = day_of(order.placed_at)
            bought = Purchase(order.order_id, customer, day, {})
            for line in order.lines:
                bought.quantities[line.product_id] = (
                    bought.quantities.get(line.product_id, 0.0) + line.quantity
                )
                self.shop.prices.setdefault(line.product_id, []).append((day, float(line.unit_price)))
            self.shop.orders.append(bought)
            self.sold[_monday(order.placed_at)].update(bought.quantities)
        elif known is OrderStatus.PLACED and not placed:
            self._take_back(customer, at, ((line.product_id, line.quantity) for line in order.lines))

    def _take_return(self, returned: Return, customer: str) -> None:
        if returned.return_id in self._returns or returned.status is ReturnStatus.REJECTED:
            return
        self._returns.add(returned.return_id)
        lines = ((line.product_id, line.quantity) for line in returned.lines)
        self._take_back(customer, returned.occurred_at, lines)

    def _take_back(self, customer: str, at: datetime, lines: Iterable[tuple[str, int]]) -> None:
        day = day_of(at)
        self.shop.returns += [CameBack(day, customer, product, quantity) for product, quantity in lines]


def _monday(moment: datetime) -> datetime:
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=midnight.weekday())


def _of_shop(name: str, past: _Past) -> Iterator[ComplementsUpdated]:
    past.shop.orders.sort(key=lambda each: (each.day, each.order_id))
    past.shop.returns.sort(key=lambda each: (each.day, each.customer, each.product))
    for sales in past.shop.prices.values():
        sales.sort()
    asked = list(_questions(name, past))
    said: dict[str, tuple[Candidate, ...]] = {}
    for query, answer in zip(asked, answer_all({name: past.shop}, asked, _CANDIDATES), strict=True):
        (product,), found = query.basket, _candidates(answer)
        if found and said.get(product) != found:
            said[product] = found
            yield _event(name, product, query.at, found)


def _questions(name: str, past: _Past) -> Iterator[Query]:
    """Each week, ask for what was sold lately, or is about to be: only what is asked looks ahead, no answer does."""
    if not past.sold:
        return
    week, last = min(past.sold) + _WEEK, max(past.sold) + _ASKED_FOR
    while week <= last:
        recent = {
            product
            for monday, products in past.sold.items()
            if week - _ASKED_FOR <= monday <= week
            for product in products
        }
        for product in sorted(recent):
            yield Query(id=product, shop=name, at=week, basket=(product,))
        week += _WEEK


def _candidates(answer: Answer) -> tuple[Candidate, ...]:
    return tuple(_candidate(each) for each in answer["products"])


def _candidate(ranked: Ranked) -> Candidate:
    """Read the reason, `pair: 120 orders with mat`, as the evidence that it tells."""
    kind, _, rest = ranked["reason"].partition(": ")
    support = int(rest.partition(" ")[0])
    relation = cast("Relation", kind if kind in get_args(Relation) else "pair")
    reliable = support >= RELIABLE_SUPPORT and relation != "popular"
    return Candidate(
        product_id=ranked["product"],
        score=ranked["score"],
        support=support,
        relation=relation,
        reliable=reliable,
    )


def _event(shop: str, product: str, at: datetime, found: tuple[Candidate, ...]) -> ComplementsUpdated:
    version = int(day_of(at))
    return ComplementsUpdated(
        id=event_id("weekly", shop, product, version),
        source=_SOURCE,
        time=at,
        shopid=shop,
        data=Complements(product_id=product, version=version, candidates=found),
    )
