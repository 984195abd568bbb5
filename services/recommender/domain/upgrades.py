"""What owners of a product move up to: a dearer one of its category that they first bought later."""

from services.recommender.domain.ranking import RELIABLE_SUPPORT, SHRINKAGE
from services.recommender.domain.shop import Listed, ShopCounts
from shared.events import Candidate

UPGRADE_SUPPORT = 3
"""Customers who must have moved up: fewer may be chance."""


def upgrades(counts: ShopCounts, product: str) -> list[Candidate]:
    """Rank the upgrades of `product` by the shrunken share of its buyers who moved up.

    An upgrade costs more in the same currency; at least UPGRADE_SUPPORT customers bought it for the first time later than
    `product`, and more of them than the other way round. Support are these customers.
    """
    row, listed = counts.rows.get(product), counts.listing(product)
    found = [
        upgrade_of(counts, product, other)
        for other, support in (row.follows.items() if row else ())
        if other != product
        and support >= UPGRADE_SUPPORT
        and is_dearer(counts.listing(other), listed)
        and support > counts.followed(other, product)
    ]
    return sorted(found, key=lambda one: (-one.score, one.product_id))


def upgrade_of(counts: ShopCounts, product: str, other: str) -> Candidate:
    """Say how many owners of `product` bought `other` later, whether or not it is dearer."""
    row = counts.rows.get(product)
    support = row.follows.get(other, 0) if row else 0
    buyers = max(row.buyers, support) if row else 0
    return Candidate(
        product_id=other,
        score=round(support / (buyers + SHRINKAGE), 6),
        support=support,
        relation="upgrade",
        reliable=support >= RELIABLE_SUPPORT,
        gap=row.timing.get(other) if row else None,
    )


def is_dearer(one: Listed, other: Listed) -> bool:
    """Whether `one` is of the same category as `other`, priced in the same currency, and costs more."""
    return (
        one.category is not None
        and one.category == other.category
        and one.price is not None
        and other.price is not None
        and one.currency == other.currency
        and one.price > other.price
    )
