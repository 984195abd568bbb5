"""Rows and listings for tests of the ranking."""

from collections.abc import Mapping
from decimal import Decimal

from services.recommender.domain.shop import Listed, ShopCounts
from shared.events import PairCounts, Timing


def listed(category: str | None = None, price: str | None = None, currency: str = "USD") -> Listed:
    """Give what a catalogue says of a product."""
    return Listed(category, Decimal(price) if price else None, currency if price else None)


def row(  # noqa: PLR0913  a row's fields
    product: str,
    orders: int,
    pairs: Mapping[str, int],
    *,
    buyers: int = 0,
    follows: Mapping[str, int] | None = None,
    timing: Mapping[str, Timing] | None = None,
    repurchase: Timing | None = None,
) -> PairCounts:
    """Give a row where nothing has faded yet and each later purchase counts whole."""
    return PairCounts(
        product_id=product,
        orders=orders,
        pairs=dict(pairs),
        bought=float(orders),
        together={other: float(number) for other, number in pairs.items()},
        buyers=buyers or orders,
        follows={other: (number, float(number)) for other, number in (follows or {}).items()},
        exposure=float(orders),
        timing=dict(timing or {}),
        repurchase=repurchase,
    )


def put(counts: ShopCounts, product: str, orders: int, pairs: Mapping[str, int], **more: object) -> None:
    """Put a row into a shop."""
    counts.put(row(product, orders, pairs, **more))  # type: ignore[arg-type]  # as `row` takes them
