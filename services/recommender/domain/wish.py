"""What is asked of the recommendation API, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from shared.events.affinity import Relation
from shared.events.catalog import SeasonName


class Strategy(StrEnum):
    """What kind of product is sought."""

    CROSS_SELL = "cross_sell"
    UPSELL = "upsell"
    BUNDLE = "bundle"
    REPLENISH = "replenish"
    SAME_BRAND = "same_brand"
    SEASONAL = "seasonal"


class LeftOut(StrEnum):
    """Why a product that would have come up is not shown."""

    IN_BASKET = "in_basket"
    EXCLUDED = "excluded"
    OWNED = "owned"
    RETURNED = "returned"
    BANNED = "banned"
    NOT_IN_CATALOGUE = "not_in_catalogue"
    OUT_OF_STOCK = "out_of_stock"
    LOW_STOCK = "low_stock"
    LOW_MARGIN = "low_margin"
    PRICE_UNKNOWN = "price_unknown"
    OTHER_CURRENCY = "other_currency"
    TOO_DEAR = "too_dear"
    TOO_SIMILAR = "too_similar"


_SEASONS: tuple[SeasonName, ...] = ("winter", "spring", "summer", "autumn")


def season_of(moment: datetime) -> SeasonName:
    """The northern season of a moment, by its month: winter from December to February."""
    return _SEASONS[moment.month % 12 // 3]


class Gap(NamedTuple):
    """When people buy next, as `shared.events.Timing` says it; a tuple, as a shop has tens of thousands."""

    support: int
    share: float
    days: tuple[float, float, float]
    mean_days: float
    within_days: int


class Neighbour(NamedTuple):
    """What is known of a product beside another; a tuple, as a shop has ten of them a product."""

    product: str
    score: float
    support: int
    relation: Relation
    reliable: bool
    gap: Gap | None = None


class Owned(NamedTuple):
    """A product that a customer has: when they last bought it, and when they are likely to need it again."""

    last_at: datetime
    reorder_at: datetime | None


@dataclass(frozen=True, slots=True)
class Customer:
    """What a customer has, latest purchase first, and what they sent back."""

    owned: Mapping[str, Owned]
    returned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: at most `k` products to go with `basket`, or, if that is empty, next for `customer`.

    None of `exclude`, of what the customer has (replenishing apart) or sent back. `max_price` and `under` (exclusive) are
    in `currency`; without one they are compared with each product's price in the product's own. `min_stock` are units,
    `min_margin` a share of the price; both hold where the catalogue says. `diverse`: not the same thing thrice.
    """

    basket: tuple[str, ...]
    k: int
    exclude: frozenset[str] = frozenset()
    max_price: Decimal | None = None
    currency: str | None = None
    strategy: Strategy = Strategy.CROSS_SELL
    customer: Customer | None = None
    under: Decimal | None = None
    season: SeasonName = "winter"
    min_stock: int = 0
    min_margin: float = 0.0
    diverse: bool = True

    @property
    def bounded(self) -> bool:
        """Whether a product must have a price, and not too high a one."""
        return self.max_price is not None or self.under is not None


@dataclass(frozen=True, slots=True)
class Pick:
    """A product to show. Support, score and relation are those of its best evidence, which is with `because`.

    A product that fills a place left open has `because` None, and as score its share of what is bought of late in its
    category or in the shop. `voices` are the products that speak for it, loudest first. `reorder_at`: when the customer
    is likely to need it again.
    """

    product: str
    score: float
    support: int
    relation: Relation
    reliable: bool
    because: str | None
    gap: Gap | None = None
    reorder_at: datetime | None = None
    voices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """Products sold together, and what they cost together; None where a price is unknown or currencies differ."""

    products: tuple[str, ...]
    price: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Products to show, best first, and why others that came up on the way are not among them."""

    picks: tuple[Pick, ...]
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    bundle: Bundle | None = None
