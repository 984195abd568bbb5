"""Ranks for queries of the past, each from what happened before its moment.

Orders, returns and queries of a shop run by in time order. An answer depends on nothing else: renewals of the solved
weights are due at fixed counts of orders, and none that an answer needs is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TypedDict

import numpy as np

from services.recommender.domain.learner import Learner, Purchase, contenders, next_renewal
from services.recommender.domain.ranking import RELIABLE_SUPPORT
from services.recommender.domain.relevance import (
    Because,
    Scores,
    Weights,
    best,
    hint,
    score_complement,
    score_next,
    why_complement,
    why_next,
)
from services.recommender.queries import Query, day_of

SAME_CATEGORY = 10.0
PROGRESS_STEP = 200


@dataclass(frozen=True)
class Product:
    """What a catalogue says of a product; None is unknown. `since`: the day of the sale that told, if a sale did."""

    category: str | None = None
    price: float | None = None
    stock: float | None = None
    since: float = -inf


@dataclass(frozen=True)
class CameBack:
    """Units of a product that a customer sent back on a day."""

    day: float
    customer: str
    product: str
    quantity: float


@dataclass
class Shop:
    """A shop's past, all oldest first. `prices` pairs the day of a sale with the unit price, by product."""

    orders: list[Purchase] = field(default_factory=list)
    returns: list[CameBack] = field(default_factory=list)
    prices: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)


class Ranked(TypedDict):
    """One product of an answer. A score orders the products of its answer and compares with no other's."""

    product: str
    score: float
    reason: str


class Answer(TypedDict):
    """What a query gets: at most k products, best first; fewer where the shop had sold fewer."""

    id: str
    products: list[Ranked]


def answer_all(
    shops: Mapping[str | None, Shop],
    queries: Sequence[Query],
    k: int,
    progress: Callable[[int], None] = lambda _orders: None,
) -> Iterator[Answer]:
    """Yield answers in the order of the queries.

    A shop under None is that of a file without a column `shop`: it answers for any. `progress` is told every so often how
    many orders were taken since.
    """
    answers: dict[int, Answer] = {}
    for name, shop in shops.items():
        mine = [(number, query) for number, query in enumerate(queries) if name in (None, query.shop)]
        answers.update(_answer(shop, sorted(mine, key=lambda item: item[1].at), k, progress))
    for number, query in enumerate(queries):
        yield answers.get(number, Answer(id=query.id, products=[]))


def _answer(
    shop: Shop, queries: Sequence[tuple[int, Query]], k: int, progress: Callable[[int], None]
) -> Iterator[tuple[int, Answer]]:
    past = _Past(shop, progress)
    for number, query in queries:
        past.advance(day_of(query.at))
        yield number, Answer(id=query.id, products=_rank(shop, past.learner, query, k))


class _Past:
    """A shop's orders and returns up to a moment that only moves on."""

    def __init__(self, shop: Shop, progress: Callable[[int], None]) -> None:
        self.learner = Learner(contenders(shop.orders))
        self._shop, self._progress = shop, progress
        self._taken = self._returned = self._told = 0
        self._due = 1

    def advance(self, day: float) -> None:
        """Take all that happened before `day`, and nothing of that very moment."""
        orders = self._shop.orders
        while self._taken < len(orders) and orders[self._taken].day < day:
            self._take_back(orders[self._taken].day)
            self.learner.learn(orders[self._taken])
            self._taken += 1
            if self._taken == self._due:
                self._due = next_renewal(self._taken)
                if self._due > len(orders) or orders[self._due - 1].day >= day:
                    self.learner.renew()
            if self._taken - self._told >= PROGRESS_STEP:
                self._progress(self._taken - self._told)
                self._told = self._taken
        self._take_back(day)

    def _take_back(self, until: float) -> None:
        returns = self._shop.returns
        while self._returned < len(returns) and returns[self._returned].day < until:
            item = returns[self._returned]
            self.learner.take_back(item.customer, item.product, item.quantity)
            self._returned += 1


def _rank(shop: Shop, learner: Learner, query: Query, k: int) -> list[Ranked]:
    if not learner.counts.orders:
        return []
    day = day_of(query.at)
    basket = [learner.slots[product] for product in dict.fromkeys(query.basket) if product in learner.slots]
    given = set(query.basket)
    if query.task == "next":
        weights = learner.weights(customers=True)
        scores = score_next(learner.counts, weights, query.customer, basket, day)
        given |= learner.owned_by(query.customer)
    else:
        weights = learner.weights(baskets=len(basket) != 1)
        scores = score_complement(learner.counts, weights, basket, day)
    scores = scores + _fallback(shop, learner, query, day)
    excluded = {learner.slots[product] for product in given if product in learner.slots}
    excluded.update(np.flatnonzero(learner.counts.bought <= 0).tolist())
    excluded.update(_refused(shop, learner, query, day))
    found = best(scores, len(scores) if query.diverse else k, sorted(excluded))
    found = (_diverse(shop, learner, found, day) if query.diverse else found)[:k]
    owned = [*basket, *(slot for slot in learner.counts.owned_by(query.customer) if slot not in basket)]
    return [
        Ranked(
            product=learner.products[slot],
            score=round(float(scores[slot]), 9),
            reason=_reason(learner, weights, query, basket if query.task == "complement" else owned, slot),
        )
        for slot in found
    ]


def _fallback(shop: Shop, learner: Learner, query: Query, day: float) -> Scores:
    """Popularity, more for the categories of the basket: it decides where nothing else speaks."""
    scores = hint(learner.counts, day)
    wanted = {_category(shop, product, day) for product in query.basket} - {None}
    if not wanted:
        return scores
    alike = [_category(shop, product, day) in wanted for product in learner.products]
    return np.where(alike, SAME_CATEGORY * scores, scores)


def _refused(shop: Shop, learner: Learner, query: Query, day: float) -> Iterator[int]:
    if query.price_below is None and not query.in_stock:
        return
    for slot, product in enumerate(learner.products):
        if query.price_below is not None:
            price = _price(shop, product, day)
            if price is None or price >= query.price_below:
                yield slot
        known = shop.products.get(product)
        if query.in_stock and known and known.stock is not None and known.stock <= 0:
            yield slot


def _price(shop: Shop, product: str, day: float) -> float | None:
    sold = [price for moment, price in shop.prices.get(product, ()) if moment < day]
    known = shop.products.get(product)
    return sold[-1] if sold else known.price if known else None


def _category(shop: Shop, product: str, day: float) -> str | None:
    known = shop.products.get(product)
    return known.category if known and known.since < day else None


def _diverse(shop: Shop, learner: Learner, slots: Sequence[int], day: float) -> list[int]:
    """First the best of each category, then the second of each, and so on; an unknown category is its own."""
    seen: dict[str | int, int] = {}
    rounds = []
    for slot in slots:
        category = _category(shop, learner.products[slot], day) or slot
        rounds.append(seen.get(category, 0))
        seen[category] = rounds[-1] + 1
    return [slot for _, slot in sorted(zip(rounds, slots, strict=True), key=lambda item: item[0])]


def _reason(learner: Learner, weights: Weights, query: Query, given: Sequence[int], slot: int) -> str:
    why = why_complement if query.task == "complement" else why_next
    because: Because = why(learner.counts, weights, given, slot)
    if because.other is None:
        return f"popular: {because.support} orders"
    few = f", under {RELIABLE_SUPPORT}" if because.support < RELIABLE_SUPPORT else ""
    other = learner.products[because.other]
    held = "orders" if because.kind == "pair" else "customers"
    return f"{because.kind}: {because.support} {held} with {other}{few}"
