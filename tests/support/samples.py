"""One good event of each type, made to measure. Times are business time; ids are stable, so tests repeat."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared import events, ids
from shared.events import Channel, EngagementKind, Event, OrderStatus, Outcome, Reason, ReturnStatus, Verdict

if TYPE_CHECKING:
    from shared.events.envelope import Data

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SHOP = "skincare"
CUSTOMER = "c-1"


def _envelope(kind: str, subject: str, at: datetime, shop: str, customer: str | None) -> dict[str, Any]:
    return {
        "id": ids.event_id(kind, shop, subject, at.isoformat()),
        "source": "/tests",
        "time": at,
        "shopid": shop,
        "customerid": customer,
    }


def order(  # noqa: PLR0913  tests name only what they are about
    order_id: str = "o-1",
    *,
    shop: str = SHOP,
    customer: str = CUSTOMER,
    placed_at: datetime = START,
    total: str = "40.00",
    currency: str = "USD",
    version: int = 1,
    status: OrderStatus = OrderStatus.PLACED,
    test: bool = False,
    history: bool = False,
) -> events.OrderRecorded:
    """One order of two units of one product."""
    line = events.Line(product_id="cleanser", quantity=2, unit_price=Decimal(total) / 2, category="skin")
    data = events.Order(
        order_id=order_id,
        version=version,
        placed_at=placed_at,
        status=status,
        test=test,
        history=history,
        currency=currency,
        total=Decimal(total),
        lines=(line,),
    )
    return events.OrderRecorded(
        **_envelope("order", f"{order_id}/{version}", placed_at, shop, customer), data=data
    )


def returned(  # noqa: PLR0913  as above
    return_id: str = "r-1",
    order_id: str = "o-1",
    *,
    shop: str = SHOP,
    customer: str = CUSTOMER,
    at: datetime = START + timedelta(days=1),
    refund: str | None = None,
    quantity: int = 1,
    version: int = 1,
    status: ReturnStatus = ReturnStatus.REFUNDED,
) -> events.ReturnRecorded:
    """Send back `quantity` units of what `order` bought."""
    data = events.Return(
        return_id=return_id,
        order_id=order_id,
        version=version,
        status=status,
        occurred_at=at,
        lines=(events.ReturnLine(product_id="cleanser", quantity=quantity),),
        refund=None if refund is None else Decimal(refund),
    )
    return events.ReturnRecorded(
        **_envelope("return", f"{return_id}/{version}", at, shop, customer), data=data
    )


def occurrence(
    step: str, *, shop: str = SHOP, customer: str = CUSTOMER, order_id: str = "o-1", number: int = 0
) -> UUID:
    """Id of an occurrence, and of the message that may come of it."""
    return ids.message_id(
        shop, "routine", ids.enrolment_id(shop, "routine", customer, order_id), step, number
    )


def decision(  # noqa: PLR0913  as above
    step: str = "pair",
    verdict: Verdict = Verdict.SEND,
    reason: Reason | None = None,
    *,
    shop: str = SHOP,
    customer: str = CUSTOMER,
    order_id: str = "o-1",
    attempt: int = 1,
    at: datetime = START + timedelta(minutes=45),
    channel: Channel = Channel.EMAIL,
) -> events.DecisionRecorded:
    """One attempt at a step, with two rules and, for a send, an offer."""
    message = occurrence(step, shop=shop, customer=customer, order_id=order_id)
    said = {Verdict.DEFER: Outcome.DEFER, Verdict.SKIP: Outcome.DROP, Verdict.GHOST: Outcome.WITHHOLD}
    until = at + timedelta(hours=9) if verdict is Verdict.DEFER else None
    rules = (
        events.RuleOutcome(
            rule=Reason.RETURNED, outcome=Outcome.PASS, inputs={"returned": False, "orders": []}
        ),
        events.RuleOutcome(
            rule=reason or Reason.NO_CONSENT,
            outcome=said.get(verdict, Outcome.PASS),
            inputs={"seen": 2, "most": 3},
            until=until,
        ),
    )
    toner = events.Candidate(product_id="toner", score=0.31, support=140, relation="pair", reliable=True)
    incentive = events.Incentive(kind="percent", value=Decimal(10), expires_at=at + timedelta(hours=48))
    data = events.Decision(
        decision_id=ids.decision_id(message, attempt),
        message_id=message,
        journey="routine",
        journey_version="3",
        enrolment_id=ids.enrolment_id(shop, "routine", customer, order_id),
        order_id=order_id,
        step=step,
        occurrence=0,
        channel=channel,
        attempt=attempt,
        due_at=START + timedelta(minutes=45),
        decided_at=at,
        verdict=verdict,
        reason=reason,
        rules=rules,
        candidates=(toner,),
        positions={"orders": 7},
        complements_version=4,
        next_at=until,
        offer=events.Offer(products=(toner,), incentive=incentive) if verdict is Verdict.SEND else None,
        variant="ten-percent",
    )
    return events.DecisionRecorded(
        **_envelope("decision", str(data.decision_id), at, shop, customer), data=data
    )


def engagement(  # noqa: PLR0913  as above
    message: UUID | None,
    kind: EngagementKind = EngagementKind.ACCEPTED,
    *,
    shop: str = SHOP,
    customer: str = CUSTOMER,
    at: datetime = START + timedelta(minutes=46),
    channel: Channel = Channel.EMAIL,
    reference: str | None = "ref-1",
) -> events.EngagementRecorded:
    """One thing that happened to a message."""
    data = events.Engagement(
        kind=kind,
        channel=channel,
        occurred_at=at,
        message_id=None if message is None else str(message),
        reason="address_dead" if kind is EngagementKind.REJECTED else None,
        provider="smtp",
        provider_reference=reference,
    )
    return events.EngagementRecorded(
        **_envelope("engagement", f"{message}/{kind}/{reference}", at, shop, customer), data=data
    )


def key_of(event: Event) -> bytes:
    """The record key of a customer's event."""
    return ids.partition_key(event.shopid, event.customerid or "")


def shipment() -> events.ShipmentRecorded:
    """Deliver the order."""
    data = events.Shipment(
        shipment_id="s-1",
        order_id="o-1",
        status=events.ShipmentStatus.DELIVERED,
        occurred_at=START + timedelta(days=2),
    )
    return events.ShipmentRecorded(
        **_envelope("shipment", "s-1", data.occurred_at, SHOP, CUSTOMER), data=data
    )


def customer() -> events.CustomerRecorded:
    """Somebody with both channels, one of them with consent."""
    data = events.Customer(
        version=3,
        email="ada@example.com",
        phone="+15555550101",
        first_name="Ada",
        time_zone="America/Chicago",
        country="US",
        region="IL",
        consent={Channel.EMAIL: events.Consent(granted=True, changed_at=START, source="checkout")},
    )
    return events.CustomerRecorded(**_envelope("customer", CUSTOMER, START, SHOP, CUSTOMER), data=data)


def cart() -> events.CartRecorded:
    """Fill a cart."""
    data = events.Cart(
        cart_id="k-1",
        updated_at=START,
        currency="USD",
        total=Decimal("9.90"),
        products=("toner",),
        order_id=None,
    )
    return events.CartRecorded(**_envelope("cart", "k-1", START, SHOP, CUSTOMER), data=data)


def product() -> events.ProductRecorded:
    """Add a product to the catalogue."""
    data = events.Product(
        product_id="toner",
        updated_at=START,
        name="Toner",
        category="skin",
        price=Decimal("9.90"),
        currency="USD",
        url="https://shop.example.com/toner",
    )
    return events.ProductRecorded(**_envelope("product", "toner", START, SHOP, None), data=data)


def inbound_order() -> events.InboundOrderRecorded:
    """Send a guest's order, as a shop does."""
    guest = events.GuestContact(email="guest@example.com", email_consent=True)
    data = events.InboundOrder(**order().data.model_dump(), guest=guest)
    return events.InboundOrderRecorded(**_envelope("order", "inbound", START, SHOP, None), data=data)


def _derived() -> tuple[Event, ...]:
    toner = events.Candidate(product_id="toner", score=0.31, support=140, relation="pair", reliable=True)
    tally = events.Tally(orders=1, pairs={"toner": 1}, days={"20535": 1}, buyers=1)
    delta = events.BasketDelta(
        origin=events.Origin(topic="orders", partition=0, offset=4), counts={"cleanser": {"733": tally}}
    )
    kept = events.KeptOrder(version=1, minute=29_000_000, teaches=True, products={"toner": 1})
    has = events.CustomerProducts(products={"cleanser": events.Has(last_at=START, times=2)})
    made: list[tuple[type[Event], Data, str | None]] = [
        (events.BasketDeltaEmitted, delta, None),
        (
            events.PairCountsUpdated,
            events.PairCounts(product_id="cleanser", orders=9, pairs={"toner": 4}),
            None,
        ),
        (
            events.ComplementsUpdated,
            events.Complements(product_id="cleanser", version=4, candidates=(toner,)),
            None,
        ),
        (events.CustomerJoined, events.Joined(customer_id=CUSTOMER), "g-1"),
        (events.HistoryMoved, events.History(orders={"o-1": kept}, returns={}, moves=1), CUSTOMER),
        (events.CustomerProductsUpdated, has, CUSTOMER),
    ]
    return tuple(
        kind(**_envelope(kind.type_name(), "cleanser", START, SHOP, customer), data=data)
        for kind, data, customer in made
    )


def message() -> events.MessageRequested:
    """Ask for an e-mail."""
    decided = decision().data
    data = events.Message(
        message_id=decided.message_id,
        decision_id=decided.decision_id,
        channel=Channel.EMAIL,
        recipient="ada@example.com",
        journey="routine",
        step="pair",
        template="pair",
        locale="en-US",
        context={"first_name": "Ada", "products": [{"name": "Toner"}]},
        created_at=START,
        valid_until=START + timedelta(days=1),
    )
    return events.MessageRequested(**_envelope("message", "pair", START, SHOP, CUSTOMER), data=data)


def control() -> events.ControlSet:
    """Pause a channel."""
    data = events.Control(
        action="pause", channel=Channel.SMS, set_at=START, set_by="an operator", why="a drill"
    )
    return events.ControlSet(**_envelope("control", "sms", START, SHOP, None), data=data)


def hand_over() -> events.HandOverRequested:
    """Hand a customer on to those who win people back."""
    decided = decision().data
    data = events.HandOver(
        message_id=decided.message_id,
        decision_id=decided.decision_id,
        kind="win_back",
        journey="routine",
        step="silent",
        order_id="o-1",
        products=("cleanser",),
        why="Nothing was noticed.",
        decided_at=START,
    )
    return events.HandOverRequested(**_envelope("hand-over", "silent", START, SHOP, CUSTOMER), data=data)


def every() -> tuple[Event, ...]:
    """One event of each model that travels."""
    told = engagement(occurrence("pair"))
    skipped = decision("sms", Verdict.SKIP, Reason.CAPPED)
    return (
        order(),
        inbound_order(),
        shipment(),
        returned(),
        customer(),
        cart(),
        product(),
        told,
        decision(),
        skipped,
        message(),
        hand_over(),
        control(),
        *_derived(),
    )
