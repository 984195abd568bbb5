"""What the recommender says to itself and to the others. Counts are integers per time bucket."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.events.envelope import IDENTIFIER, Data, Event, Identifier


class Origin(Data):
    """The source record that caused a delta: the second stage's watermark stands on it."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]


class BasketDelta(Data):
    """What one order's change adds to one product's counts in one bucket.

    `orders` is how many baskets with the product were gained (may be negative), `pairs` the same for each product
    that shared the basket. `bucket` is the number of 28-day spans between 1970-01-01 and the order.
    """

    origin: Origin
    product_id: Annotated[str, IDENTIFIER]
    bucket: int
    orders: int
    pairs: dict[str, int]


class BasketDeltaEmitted(Event):
    """One basket changed what a product's counts should be."""

    # Only we write these, several for each order, with ids as text and times in UTC: nothing needs a validator in Python.
    time: AwareDatetime
    type: Literal["orderwake.basket-delta.emitted.v1"] = "orderwake.basket-delta.emitted.v1"
    data: BasketDelta


class PairCounts(Data):
    """A product's counts over all buckets, pruned to its most frequent neighbours."""

    product_id: Identifier
    orders: int
    pairs: dict[str, int]


class PairCountsUpdated(Event):
    """A product's counts changed."""

    type: Literal["orderwake.pair-counts.updated.v1"] = "orderwake.pair-counts.updated.v1"
    data: PairCounts


class Candidate(Data):
    """A product proposed to go with another, best first.

    `support` is the number of baskets with both; `score` the shrunken share of this product's buyers; `relation` says
    where it comes from: "pair", or "category" (back-off) or "popular" from the counts; "journey" (a category that the
    journey names), "replenishment", "upgrade" or "brand" from the scheduler. `reliable` from 100 supporting baskets on.
    """

    product_id: Identifier
    score: float
    support: int
    relation: Literal["pair", "category", "popular", "journey", "replenishment", "upgrade", "brand"]
    reliable: bool = False


class Complements(Data):
    """What goes with a product, from counts at `version` (a number that rises with each publication)."""

    product_id: Identifier
    version: int
    candidates: tuple[Candidate, ...]


class ComplementsUpdated(Event):
    """What goes with a product has materially changed."""

    type: Literal["orderwake.complements.updated.v1"] = "orderwake.complements.updated.v1"
    data: Complements
