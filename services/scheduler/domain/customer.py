"""One customer as a set of facts. Facts merge by id and version, so order and repetition of events do not matter."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.events import (
    Channel,
    Customer,
    CustomerRecorded,
    Decision,
    Engagement,
    EngagementKind,
    EngagementRecorded,
    Event,
    Order,
    OrderRecorded,
    OrderStatus,
    Return,
    ReturnRecorded,
    ReturnStatus,
    Shipment,
    ShipmentRecorded,
    ShipmentStatus,
    Verdict,
)
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

    `deliveries` holds each order's first confirmed delivery; `returns` is by return id. Returns and deliveries may be
    there before their order. `owned_before` and `returned_before` are what `fold` kept of old orders.
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


Versioned = TypeVar("Versioned", OrderFacts, ReturnFacts, Customer)
Key = TypeVar("Key")
Value = TypeVar("Value")


def _newer(old: Versioned | None, new: Versioned) -> Versioned:
    """The higher version; of two different facts with one version, the greater JSON text, whichever came first."""
    if old is None or new.version > old.version:
        return new
    if new.version < old.version or new == old:
        return old
    return max(old, new, key=lambda fact: fact.model_dump_json())


def _with(facts: Mapping[Key, Value], key: Key, value: Value) -> dict[Key, Value]:
    return {**facts, key: value}


def apply(state: CustomerState, event: Event) -> CustomerState:
    """The state after `event`; commutative and idempotent. Events of other types change nothing.

    Raises ValueError if the event is about another customer.
    """
    if (event.shopid, event.customerid) != (state.shop, state.customer_id):
        message = f"event {event.id} is about another customer"
        raise ValueError(message)
    match event:
        case OrderRecorded(data=order):
            return _apply_order(state, order)
        case ShipmentRecorded(data=shipment):
            return _apply_shipment(state, shipment)
        case ReturnRecorded(data=returned):
            return _apply_return(state, returned)
        case CustomerRecorded(data=profile):
            return state.model_copy(update={"profile": _newer(state.profile, profile)})
        case EngagementRecorded(data=engagement):
            return _apply_engagement(state, engagement)
    return state


def _apply_order(state: CustomerState, order: Order) -> CustomerState:
    products: dict[str, int] = {}
    for line in sorted(order.lines, key=lambda line: line.product_id):
        products[line.product_id] = products.get(line.product_id, 0) + line.quantity
    categories = {line.product_id: line.category for line in sorted(order.lines, key=str) if line.category}
    fact = OrderFacts(
        version=order.version,
        placed_at=order.placed_at,
        status=order.status,
        test=order.test,
        history=order.history,
        currency=order.currency,
        total=order.total,
        country=order.country,
        region=order.region,
        products=products,
        categories={} if order.history else categories,
    )
    merged = _newer(state.orders.get(order.order_id), fact)
    return state.model_copy(update={"orders": _with(state.orders, order.order_id, merged)})


def _apply_shipment(state: CustomerState, shipment: Shipment) -> CustomerState:
    if shipment.status is not ShipmentStatus.DELIVERED:
        return state
    first = min(state.deliveries.get(shipment.order_id, shipment.occurred_at), shipment.occurred_at)
    return state.model_copy(update={"deliveries": _with(state.deliveries, shipment.order_id, first)})


def _apply_return(state: CustomerState, returned: Return) -> CustomerState:
    products: dict[str, int] = {}
    for line in sorted(returned.lines, key=lambda line: line.product_id):
        products[line.product_id] = products.get(line.product_id, 0) + line.quantity
    fact = ReturnFacts(
        version=returned.version,
        order_id=returned.order_id,
        status=returned.status,
        occurred_at=returned.occurred_at,
        products=products,
    )
    merged = _newer(state.returns.get(returned.return_id), fact)
    return state.model_copy(update={"returns": _with(state.returns, returned.return_id, merged)})


def _apply_engagement(state: CustomerState, engagement: Engagement) -> CustomerState:
    moment, channel = engagement.occurred_at, engagement.channel
    match engagement.kind:
        case EngagementKind.ANSWERED if engagement.answer:
            new = Answer(occurred_at=moment, answer=engagement.answer)
            answer = max(state.answer or new, new, key=lambda a: (a.occurred_at, a.answer))
            return state.model_copy(update={"answer": answer})
        case EngagementKind.COMPLAINED:
            return state.model_copy(update={"complained_at": min(state.complained_at or moment, moment)})
        case EngagementKind.UNSUBSCRIBED:
            last = max(state.unsubscribed.get(channel, moment), moment)
            return state.model_copy(update={"unsubscribed": _with(state.unsubscribed, channel, last)})
        case EngagementKind.BOUNCED:
            last = max(state.bounced.get(channel, moment), moment)
            return state.model_copy(update={"bounced": _with(state.bounced, channel, last)})
    return state


def record(state: CustomerState, decision: Decision) -> CustomerState:
    """The state with the decision's verdict as a fact. A final verdict stays; of defers the latest attempt counts."""
    known = state.verdicts.get(decision.message_id)
    if known is not None and (known.final or known.attempt >= decision.attempt):
        return state
    offered = decision.offer.products if decision.offer else ()
    fact = VerdictFacts(
        journey=decision.journey,
        enrolment_id=decision.enrolment_id,
        order_id=decision.order_id,
        step=decision.step,
        occurrence=decision.occurrence,
        channel=decision.channel,
        verdict=decision.verdict,
        decided_at=decision.decided_at,
        attempt=decision.attempt,
        next_at=decision.next_at,
        products=tuple(candidate.product_id for candidate in offered),
    )
    return state.model_copy(update={"verdicts": _with(state.verdicts, decision.message_id, fact)})
