"""Messages, customers and engagement as the dispatcher reads them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.events import (
    Channel,
    Consent,
    Customer,
    CustomerRecorded,
    Engagement,
    EngagementKind,
    EngagementRecorded,
    Event,
    Message,
    MessageRequested,
)
from shared.ids import partition_key
from shared.kafka.records import Admitted, Record
from shared.topics import CUSTOMERS, ENGAGEMENT, MESSAGES

START = datetime(2026, 3, 2, 9, tzinfo=UTC)

CONTEXT: dict[str, Any] = {
    "first_name": "Ana",
    "shop_name": "Dewy & Co",
    "order_id": "sk-1001",
    "purchase": ["Gentle Oat Cleanser"],
    "products": [
        {
            "product_id": "sk-toner",
            "name": "Rose Water Toner",
            "price": "24.00",
            "currency": "USD",
            "url": "https://dewy.example.com/p/rose-water-toner",
            "image_url": None,
            "why": "Restores the balance after cleansing.",
        }
    ],
    "incentive": {
        "kind": "percent",
        "value": "10",
        "currency": None,
        "code": "ROUTINE10",
        "text": "10% off",
        "expires_text": "Thursday 5 March, 11:59 pm",
    },
    "add_more": "$12.00",
    "early_access_until": None,
    "answers": [],
    "guide": None,
}


def message(number: int, channel: Channel = Channel.EMAIL, **changes: Any) -> MessageRequested:  # noqa: ANN401  any field
    """One message to customer `c<number>`, valid for a day from START."""
    email = channel is Channel.EMAIL
    fields: dict[str, Any] = {
        "message_id": uuid4(),
        "decision_id": uuid4(),
        "channel": channel,
        "recipient": f"someone{number}@example.com" if email else f"+155501{number:05d}",
        "journey": "skincare",
        "step": "pair",
        "template": "skincare/complete-your-routine" if email else "skincare/expires-tonight",
        "locale": "en-US",
        "time_zone": "Europe/London",
        "context": CONTEXT,
        "created_at": START,
        "valid_until": START + timedelta(days=1),
    }
    return MessageRequested(
        id=str(uuid4()),
        source="/tests",
        time=START,
        shopid="skincare",
        customerid=f"c{number}",
        data=Message(**(fields | changes)),
    )


def customer(
    number: int, version: int = 1, *, granted: bool = True, at: datetime = START
) -> CustomerRecorded:
    """The whole state of customer `c<number>`, with the same consent on both channels."""
    consent = {channel: Consent(granted=granted, changed_at=at) for channel in Channel}
    return CustomerRecorded(
        id=str(uuid4()),
        source="/tests",
        time=at,
        shopid="skincare",
        customerid=f"c{number}",
        data=Customer(version=version, consent=consent),
    )


def engagement(
    number: int, kind: EngagementKind, at: datetime, message_id: UUID | None = None
) -> EngagementRecorded:
    """Something that customer `c<number>` did about e-mail."""
    return EngagementRecorded(
        id=str(uuid4()),
        source="/tests",
        time=at,
        shopid="skincare",
        customerid=f"c{number}",
        data=Engagement(
            kind=kind,
            channel=Channel.EMAIL,
            occurred_at=at,
            message_id=str(message_id) if message_id else None,
        ),
    )


def admitted(event: Event) -> Admitted:
    """The event as a record that passed the guard."""
    topics = {MessageRequested: MESSAGES, CustomerRecorded: CUSTOMERS, EngagementRecorded: ENGAGEMENT}
    key = partition_key(event.shopid, str(event.customerid))
    return Admitted(Record(topics[type(event)].name, 0, 0, key, event.encode()), event)
