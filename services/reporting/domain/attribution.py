"""Which message an order is credited to: the last touch before it, within a window, net of returns."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Sale:
    """An order that counts (placed, live, no test). `total` and `returned` are in `currency`, exact."""

    shop: str
    order_id: str
    customer_id: str
    placed_at: datetime
    currency: str
    total: Decimal
    returned: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        """What is left after returns, never below nothing."""
        return max(self.total - self.returned, Decimal(0))


@dataclass(frozen=True, slots=True)
class Touch:
    """A message that a provider accepted, at business time `accepted_at`."""

    shop: str
    customer_id: str
    message_id: str
    journey: str
    step: str
    channel: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Credit:
    """An order and the touch that it is credited to."""

    sale: Sale
    touch: Touch


@dataclass(frozen=True, slots=True)
class Takings:
    """Sums over credits of one currency; `gross` less `returned` is `net`."""

    orders: int
    gross: Decimal
    returned: Decimal
    net: Decimal


def attribute(sales: Iterable[Sale], touches: Iterable[Touch], window: timedelta) -> list[Credit]:
    """Credit each sale to its person's last touch strictly before it and at most `window` earlier.

    An order is credited once or not at all. Of touches at the same instant the greater message id is taken,
    so that the answer never depends on the order in which records were read.
    """
    by_person = _sorted_touches(touches)
    credits_ = []
    for sale in sales:
        own = by_person.get((sale.shop, sale.customer_id), ())
        index = bisect_left(own, sale.placed_at, key=lambda touch: touch.accepted_at) - 1
        if index >= 0 and sale.placed_at - own[index].accepted_at <= window:
            credits_.append(Credit(sale, own[index]))
    return credits_


def _sorted_touches(touches: Iterable[Touch]) -> Mapping[tuple[str, str], Sequence[Touch]]:
    by_person: dict[tuple[str, str], list[Touch]] = defaultdict(list)
    for touch in sorted(touches, key=lambda touch: (touch.accepted_at, touch.message_id)):
        by_person[touch.shop, touch.customer_id].append(touch)
    return by_person


def takings(sales: Iterable[Sale]) -> dict[str, Takings]:
    """Sums per currency; currencies are never added up."""
    found: dict[str, Takings] = {}
    for sale in sales:
        so_far = found.get(sale.currency, Takings(0, Decimal(0), Decimal(0), Decimal(0)))
        found[sale.currency] = Takings(
            so_far.orders + 1,
            so_far.gross + sale.total,
            so_far.returned + sale.total - sale.net,
            so_far.net + sale.net,
        )
    return dict(sorted(found.items()))


def worth_of_return(
    refund: Decimal | None, returned: Mapping[str, int], bought: Iterable[tuple[str, int, Decimal]]
) -> Decimal:
    """What a return took back: the stated refund, else the price of the units that came back.

    `returned` counts units per product; `bought` are the order's (product, quantity, unit price). Units that
    were never bought are worth nothing.
    """
    if refund is not None:
        return refund
    left = dict(returned)
    worth = Decimal(0)
    for product, quantity, price in bought:
        units = min(left.get(product, 0), quantity)
        left[product] = left.get(product, 0) - units
        worth += units * price
    return worth
