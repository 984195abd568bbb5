"""Whose an event is: guests under a salted hash, orders under the customer who first had them."""

from collections.abc import Mapping

from shared import ids
from shared.events import (
    Channel,
    Consent,
    Customer,
    CustomerRecorded,
    Event,
    GuestContact,
    InboundOrderRecorded,
    ProductRecorded,
    ReturnRecorded,
    ShipmentRecorded,
)
from shared.ids import CustomerId, OrderId, ShopId, guest_id

OrderKey = tuple[ShopId, OrderId]

_OF_AN_ORDER = (InboundOrderRecorded, ShipmentRecorded, ReturnRecorded)


def named_customer(event: Event, salt: bytes) -> CustomerId | None:
    """The customer that the event itself names, by id or as a guest. A product is nobody's, whatever it says."""
    if isinstance(event, ProductRecorded):
        return None
    if event.customerid is not None:
        return CustomerId(event.customerid)
    if isinstance(event, InboundOrderRecorded) and event.data.guest:
        return guest_id(salt, event.shopid, event.data.guest.email)
    return None


def order_of(event: Event) -> OrderKey | None:
    """The order that an order, shipment or return is about."""
    return (ShopId(event.shopid), OrderId(event.data.order_id)) if isinstance(event, _OF_AN_ORDER) else None


def customer_of(event: Event, owners: Mapping[OrderKey, CustomerId], salt: bytes) -> CustomerId | None:
    """Whose the event is: its order's owner before anyone whom the event names. None: nobody knows yet."""
    order = order_of(event)
    owner = owners.get(order) if order else None
    return owner or named_customer(event, salt)


def must_wait(event: Event, customer: CustomerId | None) -> bool:
    """Whether the event has to wait for its order to say whose it is; a product is nobody's."""
    return customer is None and not isinstance(event, ProductRecorded)


def profile_in(event: Event, customer: CustomerId | None, salt: bytes) -> CustomerRecorded | None:
    """The guest's profile that an order brings along, if the order is this guest's.

    Whoever had the order first keeps it: a contact that comes with it later must not become that one's profile.
    """
    if not isinstance(event, InboundOrderRecorded) or event.customerid is not None:
        return None
    guest = named_customer(event, salt)
    if guest is None or event.data.guest is None or guest != customer:
        return None
    return guest_profile(event, event.data.guest, guest)


def with_guest_id(event: Event, salt: bytes) -> Event:
    """A customer's profile with, among their former ids, the one under which their e-mail ordered as a guest."""
    if not isinstance(event, CustomerRecorded) or event.data.guest or event.data.email is None:
        return event
    guest = guest_id(salt, event.shopid, event.data.email)
    if guest == event.customerid or guest in event.data.formerly:
        return event
    data = event.data.model_copy(update={"formerly": (*event.data.formerly, guest)})
    return event.model_copy(update={"data": data})


def guest_profile(event: InboundOrderRecorded, contact: GuestContact, customer: str) -> CustomerRecorded:
    """The guest's contact as the customer record that takes it out of the order.

    Its version is the event's time in milliseconds: the contact of the latest event wins.
    """
    consent = Consent(granted=contact.email_consent, changed_at=event.data.placed_at, source="guest checkout")
    profile = Customer(
        version=max(int(event.time.timestamp() * 1000), 1),
        email=contact.email.strip(),
        first_name=contact.first_name,
        locale=contact.locale,
        time_zone=contact.time_zone,
        country=event.data.country,
        region=event.data.region,
        consent={Channel.EMAIL: consent},
        guest=True,
    )
    return CustomerRecorded(
        id=ids.event_id("guest", event.shopid, event.source, event.id),
        source=event.source,
        time=event.time,
        shopid=event.shopid,
        customerid=customer,
        correlationid=event.correlationid or event.id,
        data=profile,
    )
