"""One customer as a set of facts, and what the rules ask of each."""

from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.events import Channel, Customer, OrderStatus, ReturnStatus, Verdict
from shared.events.envelope import Moment


class Facts(BaseModel):
    """Base of what a state holds: immutable, compared by value."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class OrderFacts(Facts):
    """What the rules ask of an order: quantities by product, and the categories of products that have one."""

    version: int
    placed_at: Moment
    status: OrderStatus = OrderStatus.PLACED
    test: bool = False
    history: bool = False
    currency: str
    total: Decimal
    country: str | None = None
    region: str | None = None
    products: dict[str, int]
    categories: dict[str, str] = {}

    @property
    def stands(self) -> bool:
        """Whether the customer has bought these products (before returns)."""
        return self.status is OrderStatus.PLACED and not self.test

    @property
    def enrols(self) -> bool:
        """Whether it begins journeys. Cancelled orders do, so that each step's skip is on record."""
        return not (self.test or self.history)


class ReturnFacts(Facts):
    """What came or comes back of an order. A rejected return counts for nothing."""

    version: int
    order_id: str
    status: ReturnStatus
    occurred_at: Moment
    products: dict[str, int]

    @property
    def stands(self) -> bool:
        """Whether the products are, or are to be, no longer the customer's."""
        return self.status is not ReturnStatus.REJECTED


class Answer(Facts):
    """The latest one-click answer; at equal times "unhappy" wins."""

    occurred_at: Moment
    answer: str


class VerdictFacts(Facts):
    """The latest verdict on an occurrence of a step. `next_at` is set for a defer."""

    journey: str
    enrolment_id: UUID
    order_id: str
    step: str
    occurrence: int
    channel: Channel
    verdict: Verdict
    decided_at: Moment
    attempt: int
    products: tuple[str, ...] = ()
    next_at: Moment | None = None

    @property
    def final(self) -> bool:
        """Whether the occurrence is settled."""
        return self.verdict is not Verdict.DEFER

    @property
    def counts(self) -> bool:
        """Whether caps and cool-downs count it: ghosts do, or held-out people would not be comparable."""
        return self.verdict in (Verdict.SEND, Verdict.GHOST)


class CustomerState(Facts):
    """Everything that decisions about one customer of one shop stand on.

    `deliveries` holds each order's first confirmed delivery; `returns` is by return id. Both may be there
    before their order. `owned_before` and `returned_before` are what `fold` kept of old orders.
    """

    shop: str
    customer_id: str
    profile: Customer | None = None
    orders: dict[str, OrderFacts] = {}
    deliveries: dict[str, Moment] = {}
    returns: dict[str, ReturnFacts] = {}
    owned_before: tuple[str, ...] = ()
    returned_before: tuple[str, ...] = ()
    answer: Answer | None = None
    complained_at: Moment | None = None
    unsubscribed: dict[Channel, Moment] = {}
    bounced: dict[Channel, Moment] = {}
    verdicts: dict[UUID, VerdictFacts] = {}

    def dump(self) -> str:
        """Compact JSON; `CustomerState.model_validate_json` reads it back to an equal state."""
        return self.model_dump_json(exclude_defaults=True)
