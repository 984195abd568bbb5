"""Orders, shipments and returns. Each event carries the whole state of its thing, so merging is by id and version.

Readers that meet two states with one version take the more cautious one: a cancelled order before a placed one.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shared.events.envelope import Amount, Currency, Data, Event, Identifier, Moment, Text, Version


class OrderStatus(StrEnum):
    """What became of an order. `disputed`: the customer asked their bank for the money back."""

    PLACED = "placed"
    CANCELLED = "cancelled"
    VOIDED = "voided"
    DISPUTED = "disputed"


class Line(Data):
    """One product of an order; `unit_price` in the order's currency, before tax and after discount."""

    product_id: Identifier
    quantity: Annotated[int, Field(ge=1, le=100_000)]
    unit_price: Amount
    currency: Currency | None = None
    category: Text | None = None


def _one_or_more(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    if not lines:
        message = "an order has at least one line"
        raise ValueError(message)
    return lines


class Order(Data):
    """An order as it is now.

    `version` rises with every change (default 1). `history` orders teach and count as owned, but start no journey.
    `country` and `region` (ISO 3166) are where it ships to; contact data never is here.
    """

    order_id: Identifier
    version: Version = 1
    placed_at: Moment
    status: OrderStatus = OrderStatus.PLACED
    status_at: Moment | None = None
    test: bool = False
    history: bool = False
    currency: Currency
    total: Amount
    lines: Annotated[tuple[Line, ...], AfterValidator(_one_or_more)]
    country: Text | None = None
    region: Text | None = None

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        if any(line.currency not in (None, self.currency) for line in self.lines):
            message = "mixed_currency: every line must be in the order's currency"
            raise ValueError(message)
        return self


class OrderRecorded(Event):
    """An order was placed or changed: its whole state, the highest version wins."""

    type: Literal["orderwake.order.recorded.v1"] = "orderwake.order.recorded.v1"
    data: Order


class GuestContact(Data):
    """How a guest may be reached. Only on inbound topics: ingest moves it to `customers` under a salted hash."""

    email: Annotated[str, Field(pattern=r"^[^@\s\x00]+@[^@\s\x00]+$", max_length=320)]
    first_name: Text | None = None
    locale: Text = "en-US"
    time_zone: Text | None = None
    email_consent: bool = False


class InboundOrder(Order):
    """An order as a shop sends it: a guest's contact may come with it instead of a customer id."""

    guest: GuestContact | None = None


class InboundOrderRecorded(Event):
    """An order from a shop, before ingest."""

    type: Literal["orderwake.order.recorded.v1"] = "orderwake.order.recorded.v1"
    data: InboundOrder


class ShipmentStatus(StrEnum):
    """Where a shipment is."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    FAILED = "failed"
    SENT_BACK = "sent_back"


class Shipment(Data):
    """A shipment of an order. Statuses may arrive in any order; the first confirmed delivery is what counts."""

    shipment_id: Identifier
    order_id: Identifier
    status: ShipmentStatus
    occurred_at: Moment


class ShipmentRecorded(Event):
    """A shipment changed its status."""

    type: Literal["orderwake.shipment.recorded.v1"] = "orderwake.shipment.recorded.v1"
    data: Shipment


class ReturnStatus(StrEnum):
    """What became of a return. Rejected ones are as if they had never been."""

    REQUESTED = "requested"
    RECEIVED = "received"
    REFUNDED = "refunded"
    REJECTED = "rejected"


class ReturnLine(Data):
    """How many of a product came back."""

    product_id: Identifier
    quantity: Annotated[int, Field(ge=1, le=100_000)]


class Return(Data):
    """A return of (a part of) an order, as it is now; the highest version wins. `refund` in the order's currency."""

    return_id: Identifier
    order_id: Identifier
    version: Version = 1
    status: ReturnStatus
    occurred_at: Moment
    lines: tuple[ReturnLine, ...]
    refund: Amount | None = None


class ReturnRecorded(Event):
    """A return was opened or changed."""

    type: Literal["orderwake.return.recorded.v1"] = "orderwake.return.recorded.v1"
    data: Return
