"""An order and a return as the first stage keeps them, and the products that they leave with the customer.

Moments are whole minutes since 1970-01-01 UTC.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict
from zlib import crc32

from services.recommender.domain.lean import LeanLine, LeanOrder
from services.recommender.domain.timeline import MINUTES_A_DAY
from shared.events import Line, Order, OrderStatus, Return, ReturnLine, ReturnStatus

ACCEPT_DAYS = 400
BASKET_LIMIT = 100
TAKES_BACK = frozenset({ReturnStatus.RECEIVED, ReturnStatus.REFUNDED})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bought(TypedDict):
    """An order as the customer's record keeps it. `teaches` is false for cancelled, voided and test orders.

    `new` is what was new to the customer in it, while it teaches.
    """

    version: int
    minute: int
    teaches: bool
    products: dict[str, int]
    new: list[str]


class CameBack(TypedDict):
    """A return as the customer's record keeps it. `takes_back` is false until the goods are back."""

    version: int
    minute: int
    takes_back: bool
    products: dict[str, int]


def minute_of(moment: datetime) -> int:
    """Whole minutes between 1970-01-01 and the moment."""
    return int((moment - _EPOCH).total_seconds()) // 60


def moment_of(minute: int) -> str:
    """ISO 8601 of whole minutes since 1970-01-01."""
    return (_EPOCH + timedelta(minutes=minute)).isoformat()


def taught_by(order: Bought | None, returns: Mapping[str, CameBack]) -> list[str]:
    """Distinct products, sorted, that an order with these returns teaches.

    A product counts while at least one unit of it was neither received back nor refunded; a return that is only requested
    takes nothing away, a rejected one never does, nor one from beyond the horizon. Beyond BASKET_LIMIT products, which
    would cost their square, those with the lowest CRC-32 of their id stay: a choice that depends on nothing but the basket.
    """
    if order is None or not order["teaches"]:
        return []
    products = sorted(kept_of(order, returns))
    if len(products) > BASKET_LIMIT:
        products = sorted(
            sorted(products, key=lambda product: (crc32(product.encode()), product))[:BASKET_LIMIT]
        )
    return products


def kept_of(order: Bought, returns: Mapping[str, CameBack]) -> list[str]:
    """Products of an order of which at least one unit was not taken back."""
    if not returns:
        return list(order["products"])
    kept = dict(order["products"])
    for item in returns.values():
        if item["takes_back"] and not is_late(order, item):
            for product, quantity in item["products"].items():
                kept[product] = kept.get(product, 0) - quantity
    return [product for product, quantity in kept.items() if quantity > 0]


def is_late(order: Bought, item: CameBack) -> bool:
    """Whether a return came so long after its order that it takes nothing back."""
    return item["minute"] - order["minute"] > ACCEPT_DAYS * MINUTES_A_DAY


def bought(order: Order | LeanOrder) -> Bought:
    """An order as records keep it."""
    return Bought(
        version=order.version,
        minute=minute_of(order.placed_at),
        teaches=order.status is OrderStatus.PLACED and not order.test,
        products=_quantities(order.lines),
        new=[],
    )


def came_back(item: Return) -> CameBack:
    """A return as records keep it."""
    return CameBack(
        version=item.version,
        minute=minute_of(item.occurred_at),
        takes_back=item.status in TAKES_BACK,
        products=_quantities(item.lines),
    )


def _quantities(lines: Sequence[Line | ReturnLine | LeanLine]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    return quantities


def order_precedence(order: Bought) -> tuple[int, bool, int, list[tuple[str, int]]]:
    """The higher version wins; of two with one version, the one that teaches less."""
    return order["version"], not order["teaches"], order["minute"], sorted(order["products"].items())


def return_precedence(item: CameBack) -> tuple[int, bool, list[tuple[str, int]]]:
    """The higher version wins; of two with one version, the one that takes back."""
    return item["version"], item["takes_back"], sorted(item["products"].items())
