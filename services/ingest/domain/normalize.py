"""How an event travels on: the canonical form, without what we do not know and without contact data."""

from datetime import datetime

from shared import ids
from shared.events import Event, InboundOrderRecorded, Order, OrderRecorded, ProductRecorded


def canonical(event: Event, customer: str | None, recorded_at: datetime) -> Event:
    """The event as it goes onto its canonical topic.

    Same id, source and type; customer and `recordedat` filled in; `correlationid`, where none came, is the id of the
    order that it is about, as on the decisions and messages that follow, or else the event's own. A guest's
    contact stays behind, and so does `subject`: free text, which could hold an address.
    """
    kind, data = type(event), event.data
    if isinstance(event, InboundOrderRecorded):
        kind, data = OrderRecorded, _without_contact(event.data)
    return kind.model_construct(
        type=event.type,
        id=event.id,
        source=event.source,
        time=event.time,
        shopid=event.shopid,
        customerid=customer,
        recordedat=recorded_at,
        correlationid=event.correlationid or getattr(event.data, "order_id", None) or event.id,
        data=data,
    )


def key_of(event: Event) -> bytes:
    """Kafka key of a canonical event: shop and customer, or shop and product for the catalogue."""
    if isinstance(event, ProductRecorded):
        return ids.partition_key(event.shopid, event.data.product_id)
    return ids.partition_key(event.shopid, str(event.customerid))


def inbound_key_of(event: Event) -> bytes:
    """Kafka key on an inbound topic: news about one thing, sent one after the other, stays in that order."""
    if isinstance(event, ProductRecorded):
        return key_of(event)
    about = event.customerid or getattr(event.data, "order_id", None) or event.id
    return ids.partition_key(event.shopid, about)


def _without_contact(order: Order) -> Order:
    return Order.model_construct(**{name: getattr(order, name) for name in Order.model_fields})
