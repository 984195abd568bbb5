"""One customer as a set of facts, and what the rules ask of each."""

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

import msgspec

from shared.events import Channel, OrderStatus, ReturnStatus, Verdict


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of what a state holds: immutable, compared by value; defaults are not written. Times are UTC."""


class ConsentFacts(Facts, frozen=True):
    """What a customer allowed on a channel, with its proof."""

    granted: bool
    changed_at: datetime
    source: str = "unstated"


class Profile(Facts, frozen=True):
    """Contact, consent and place. `email`, `phone` and `push` (a browser's subscription, as JSON) are personal data."""

    version: int
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    locale: str = "en-US"
    time_zone: str | None = None
    country: str | None = None
    region: str | None = None
    consent: dict[Channel, ConsentFacts] = {}
    staff: bool = False
    guest: bool = False
    push: str | None = None


class OrderFacts(Facts, frozen=True):
    """What the rules ask of an order: quantities by product, and the categories of products that have one."""

    version: int
    placed_at: datetime
    currency: str
    total: Decimal
    products: dict[str, int]
    status: OrderStatus = OrderStatus.PLACED
    test: bool = False
    history: bool = False
    country: str | None = None
    region: str | None = None
    categories: dict[str, str] = {}

    @property
    def stands(self) -> bool:
        """Whether the customer has bought these products (before returns)."""
        return self.status is OrderStatus.PLACED and not self.test

    @property
    def enrols(self) -> bool:
        """Whether it begins journeys. Cancelled orders do, so that each step's skip is on record."""
        return not (self.test or self.history)


class ReturnFacts(Facts, frozen=True):
    """What came or comes back of an order. A rejected return counts for nothing."""

    version: int
    order_id: str
    status: ReturnStatus
    occurred_at: datetime
    products: dict[str, int]

    @property
    def stands(self) -> bool:
        """Whether the products are, or are to be, no longer the customer's."""
        return self.status is not ReturnStatus.REJECTED


class CartFacts(Facts, frozen=True):
    """A cart: as it last was without an order, and the order that it became."""

    idle_since: datetime | None = None
    currency: str = ""
    total: Decimal = Decimal(0)
    products: tuple[str, ...] = ()
    order_id: str | None = None


class Predictions(Facts, frozen=True):
    """When the customer is likely to need products again, as told at a time."""

    told_at: datetime
    reorder_at: dict[str, datetime] = {}


class Answer(Facts, frozen=True):
    """The latest one-click answer; at equal times the greater word wins, and so "unhappy" over "happy"."""

    occurred_at: datetime
    answer: str


class Response(Facts, frozen=True):
    """What became of a message, each the first time that it happened; of answers the latest."""

    opened_at: datetime | None = None
    clicked_at: datetime | None = None
    accepted_at: datetime | None = None
    bounced_at: datetime | None = None
    complained_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    answer: Answer | None = None

    @property
    def drew(self) -> bool:
        """Whether the customer took notice of the message."""
        return any((self.opened_at, self.clicked_at, self.accepted_at, self.answer))


NO_RESPONSE = Response()


class VerdictFacts(Facts, frozen=True):
    """The latest verdict on an occurrence of a step. `next_at` is set for a defer.

    What was offered: `products` with the `prices` quoted, and the `incentive` (kind and value), open until `offer_until`.
    """

    journey: str
    enrolment_id: UUID
    order_id: str
    step: str
    occurrence: int
    channel: Channel
    verdict: Verdict
    decided_at: datetime
    attempt: int
    products: tuple[str, ...] = ()
    next_at: datetime | None = None
    prices: dict[str, Decimal] = {}
    incentive: str | None = None
    offer_until: datetime | None = None

    @property
    def final(self) -> bool:
        """Whether the occurrence is settled."""
        return self.verdict is not Verdict.DEFER

    @property
    def counts(self) -> bool:
        """Whether caps and cool-downs count it: ghosts do, or held-out people would not be comparable."""
        return self.verdict is Verdict.SEND or self.verdict is Verdict.GHOST


class CustomerState(Facts, frozen=True):
    """Everything that decisions about one customer of one shop stand on.

    `deliveries` holds each order's first confirmed delivery; `returns` is by return id, `responses` by message id. Each may be
    there before what it is about. What `fold` kept of orders placed before `folded_until`: `owned_before`,
    `returned_before`, how many stood (`orders_before`), and what they came to, by currency.
    """

    shop: str
    customer_id: str
    profile: Profile | None = None
    orders: dict[str, OrderFacts] = {}
    deliveries: dict[str, datetime] = {}
    returns: dict[str, ReturnFacts] = {}
    carts: dict[str, CartFacts] = {}
    predictions: Predictions | None = None
    owned_before: tuple[str, ...] = ()
    returned_before: tuple[str, ...] = ()
    orders_before: int = 0
    spent_before: dict[str, Decimal] = {}
    folded_until: datetime | None = None
    answer: Answer | None = None
    complained_at: datetime | None = None
    unsubscribed: dict[Channel, datetime] = {}
    bounced: dict[Channel, datetime] = {}
    responses: dict[str, Response] = {}
    verdicts: dict[UUID, VerdictFacts] = {}

    def dump(self) -> str:
        """Compact JSON; `load` reads it back to an equal state."""
        return _ENCODER.encode(self).decode()

    @classmethod
    def load(cls, text: str) -> Self:
        """Return the state that `dump` wrote. Raises msgspec.ValidationError on anything else."""
        return _DECODER.decode(text)  # type: ignore[return-value]  # there are no subclasses


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(CustomerState)
