"""What the recommender says to itself and to the others. Counts are integers per time bucket; decay is for readers."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.events.envelope import Data, Event, Identifier, Moment

Gaps = dict[str, int]
"""How many by gap: the key is the lower edge, in days, of a bin of `services.recommender.domain.gaps`."""


class Origin(Data):
    """The source records that caused a delta: all of a partition up to `offset` that came since the delta before.

    The second stage's watermark stands on it.
    """

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]


class Tally(Data):
    """What is counted of one product in one bucket of 28 days. In a delta numbers may be below zero; absent is zero.

    Of this bucket's baskets:
    `orders` baskets with the product; `pairs` of these, those with each other product; `days` baskets by day (days since
    1970-01-01); `again` baskets whose customer bought the product once more, by the gap to that next time.
    Of this bucket's first purchases by a customer (none in the year, or the 100 orders, before):
    `buyers` how many; `newly` by day, those by customers who had ordered before; `follows` by gap and other product, those
    customers who bought the other for the first time that much later, within half a year and eight orders; `later` by gap,
    their orders in that span, whatever they held; `left` by gap, those whose eighth order after came that much later, so
    that no more is seen of them.
    """

    orders: int = 0
    pairs: dict[str, int] = {}  # noqa: RUF012  pydantic copies defaults
    days: dict[str, int] = {}  # noqa: RUF012  as above
    again: Gaps = {}  # noqa: RUF012  as above
    buyers: int = 0
    newly: dict[str, int] = {}  # noqa: RUF012  as above
    follows: dict[str, dict[str, int]] = {}  # noqa: RUF012  as above
    later: Gaps = {}  # noqa: RUF012  as above
    left: Gaps = {}  # noqa: RUF012  as above


class BasketDelta(Data):
    """What a run of orders and returns of one shop changes: by product and by bucket.

    `bucket` is the number of 28-day spans between 1970-01-01 and the purchase. A product is in one record per origin at most.
    """

    origin: Origin
    counts: dict[str, dict[str, Tally]]


class BasketDeltaEmitted(Event):
    """Orders and returns changed what the counts of some products should be."""

    # Only we write these, with ids as text and times in UTC: nothing needs a validator in Python.
    time: AwareDatetime
    type: Literal["orderwake.basket-delta.emitted.v2"] = "orderwake.basket-delta.emitted.v2"
    data: BasketDelta


class Timing(Data):
    """When people buy next, of those who bought. Who has not bought yet counts: shares are corrected for censoring.

    `support` people were seen to buy; `share` of all (0 to 1) do so within `within_days`: half a year (a repurchase: 50
    weeks), or as far as buyers have been observed. `days` are the quartiles of the gap, 25, 50 and 75 %, and `mean_days` its
    mean, among those who do.
    """

    support: int
    share: float
    days: tuple[float, float, float]
    mean_days: float
    within_days: int = 182


class PairCounts(Data):
    """A product's counts over all buckets, pruned to its most frequent neighbours.

    `bucket` is the newest one counted. What is faded counts an older purchase less, by the half-lives of
    `services.recommender.domain.rows`, as of the end of `bucket`: `bought` are the orders, `together` the pairs, `follows`
    [first purchases of the other later, the same faded], `exposure` is the faded number of orders that could have held such.
    `recent` and `newly` are by day, of the last weeks. `timing` is there for followers with enough support, `repurchase` for
    products bought again.
    """

    product_id: Identifier
    orders: int
    pairs: dict[str, int]
    bucket: int = 0
    bought: float = 0.0
    together: dict[str, float] = {}  # noqa: RUF012  pydantic copies defaults
    buyers: int = 0
    follows: dict[str, tuple[int, float]] = {}  # noqa: RUF012  as above
    exposure: float = 0.0
    recent: dict[str, int] = {}  # noqa: RUF012  as above
    newly: dict[str, int] = {}  # noqa: RUF012  as above
    timing: dict[str, Timing] = {}  # noqa: RUF012  as above
    repurchase: Timing | None = None


class PairCountsUpdated(Event):
    """A product's counts changed."""

    type: Literal["orderwake.pair-counts.updated.v1"] = "orderwake.pair-counts.updated.v1"
    data: PairCounts


class KeptOrder(Data):
    """An order as the recommender keeps it: `minute` since 1970-01-01; units by product."""

    version: int
    minute: int
    teaches: bool
    products: dict[str, int]


class KeptReturn(Data):
    """A return as the recommender keeps it."""

    version: int
    minute: int
    takes_back: bool
    products: dict[str, int]


class Joined(Data):
    """The record's customer is, by now, known as `customer_id`, to whom their orders belong."""

    customer_id: Identifier


class CustomerJoined(Event):
    """Who ordered under one id, as a guest perhaps, is known under another."""

    type: Literal["orderwake.customer.joined.v1"] = "orderwake.customer.joined.v1"
    data: Joined


class History(Data):
    """Orders and returns (by order and return) from a former id. `moves` is how often they have been handed on."""

    orders: dict[str, KeptOrder]
    returns: dict[str, dict[str, KeptReturn]]
    moves: Annotated[int, Field(ge=1)]


class HistoryMoved(Event):
    """Orders and returns of a former id are now the record's customer's."""

    type: Literal["orderwake.history.moved.v1"] = "orderwake.history.moved.v1"
    data: History


class Has(Data):
    """A product that a customer has. `reorder_at`: when they are likely to need it again, where that can be told."""

    last_at: Moment
    times: int
    reorder_at: Moment | None = None


class CustomerProducts(Data):
    """What a customer bought and did not send back, of the last orders kept.

    `returned`: what they sent back, so that they have none of it left, of the same orders.
    """

    products: dict[str, Has]
    returned: tuple[Identifier, ...] = ()


class CustomerProductsUpdated(Event):
    """What a customer has, or when they are likely to need it again, changed."""

    type: Literal["orderwake.customer-products.updated.v1"] = "orderwake.customer-products.updated.v1"
    data: CustomerProducts


Relation = Literal[
    "pair",
    "sequence",
    "upgrade",
    "replenishment",
    "brand",
    "season",
    "bundle",
    "premium",
    "warranty",
    "refill",
    "pinned",
    "category",
    "popular",
    "journey",
]


class Candidate(Data):
    """A product proposed to go with another, best first.

    `support` is the number of baskets (sequence, upgrade: customers) with both; `score` the shrunken share of this
    product's buyers. `relation` says where it comes from: "pair", "sequence" (bought later), "upgrade" (later, same
    category, dearer) from the counts; "category" (back-off) or "popular"; "premium", "warranty", "refill", "pinned" from the
    shop's relations; "replenishment", "brand", "season", "bundle" from a strategy; "journey" (a category that the journey
    names). `reliable` from 100 supporting baskets on. `gap` is when people buy it after the product, where that is known.
    """

    product_id: Identifier
    score: float
    support: int
    relation: Relation
    reliable: bool = False
    gap: Timing | None = None


class Complements(Data):
    """What goes with a product, from counts at `version` (a number that rises with each publication).

    `upgrades` are dearer products of its category that its buyers bought later. `weights` say how much having the product
    speaks for others among several in a basket, and `later` the same for what customers buy another time; `repurchase` is
    when its buyers buy it again.
    """

    product_id: Identifier
    version: int
    candidates: tuple[Candidate, ...]
    upgrades: tuple[Candidate, ...] = ()
    weights: dict[str, float] = {}  # noqa: RUF012  pydantic copies defaults
    later: dict[str, float] = {}  # noqa: RUF012  as above
    repurchase: Timing | None = None


class ComplementsUpdated(Event):
    """What goes with a product has materially changed."""

    type: Literal["orderwake.complements.updated.v1"] = "orderwake.complements.updated.v1"
    data: Complements
