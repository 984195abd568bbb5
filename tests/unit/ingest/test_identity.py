"""Whose an event is."""

from datetime import timedelta

import pytest

from services.ingest.domain.identity import (
    customer_of,
    guest_profile,
    must_wait,
    named_customer,
    order_of,
    profile_in,
    with_guest_id,
)
from shared.events import (
    CartRecorded,
    Channel,
    Customer,
    CustomerRecorded,
    Event,
    InboundOrderRecorded,
    ProductRecorded,
    ReturnRecorded,
    ShipmentRecorded,
)
from shared.ids import CustomerId, OrderId, ShopId, guest_id
from tests.support.ingest import NOW, a_return, a_shipment, an_order, envelope

SALT = b"salt"
EMAIL = "Ada@Example.com"
GUEST = {"email": EMAIL, "first_name": "Ada", "time_zone": "Europe/London", "email_consent": True}
OWNERS = {(ShopId("shop"), OrderId("o1")): CustomerId("owner")}


def _guest_order(**attributes: str) -> InboundOrderRecorded:
    event = an_order("shop", customer=None, guest=GUEST, country="GB")
    return InboundOrderRecorded.model_validate(event | attributes)


def test_a_guest_has_one_id_however_the_address_is_written() -> None:
    assert guest_id(SALT, "shop", " ADA@example.com ") == guest_id(SALT, "shop", "ada@EXAMPLE.com")


@pytest.mark.parametrize(
    ("salt", "shop", "email"),
    [
        (b"other", "shop", "ada@example.com"),
        (SALT, "other", "ada@example.com"),
        (SALT, "shop", "bob@example.com"),
    ],
)
def test_a_guests_id_depends_on_salt_shop_and_address(salt: bytes, shop: str, email: str) -> None:
    assert guest_id(salt, shop, email) != guest_id(SALT, "shop", "ada@example.com")


def test_a_guests_id_tells_nothing_of_the_address() -> None:
    identifier = guest_id(SALT, "shop", "ada@example.com")
    assert identifier.startswith("g-")
    assert len(identifier) == 34
    assert "ada" not in identifier


def test_a_customer_id_wins_over_a_guests_contact() -> None:
    assert named_customer(_guest_order(customerid="c1"), SALT) == "c1"


@pytest.mark.parametrize(
    "event",
    [
        InboundOrderRecorded.model_validate(an_order("shop")),
        ShipmentRecorded.model_validate(a_shipment("shop", customer="c1")),
        ReturnRecorded.model_validate(a_return("shop")),
    ],
)
def test_what_belongs_to_an_order_is_its_owners(event: Event) -> None:
    assert order_of(event) == ("shop", "o1")
    assert customer_of(event, OWNERS, SALT) == "owner"


def test_a_cart_stays_its_customers_even_when_its_order_is_anothers() -> None:
    data = {
        "cart_id": "k1",
        "updated_at": NOW,
        "currency": "USD",
        "total": 1,
        "products": [],
        "order_id": "o1",
    }
    cart = CartRecorded.model_validate(envelope("shop", "cart", data, customerid="c1"))
    assert customer_of(cart, OWNERS, SALT) == "c1"


def test_only_what_needs_a_customer_waits_for_one() -> None:
    shipment = ShipmentRecorded.model_validate(a_shipment("shop"))
    product = {"product_id": "p1", "updated_at": NOW, "name": "Mat"}
    assert must_wait(shipment, customer_of(shipment, {}, SALT))
    assert not must_wait(ProductRecorded.model_validate(envelope("shop", "product", product)), None)


def test_an_order_brings_the_profile_of_its_own_guest_only() -> None:
    event = _guest_order()
    guest = guest_id(SALT, "shop", EMAIL)
    profile = profile_in(event, guest, SALT)
    assert profile is not None
    assert profile.customerid == guest
    for other in ("c-1", guest_id(SALT, "shop", "bob@example.com"), None):
        assert profile_in(event, CustomerId(other) if other else None, SALT) is None
    assert profile_in(_guest_order(customerid="c-1"), CustomerId("c-1"), SALT) is None


def test_a_guests_contact_becomes_a_profile_with_the_consent_given_at_the_checkout() -> None:
    event = _guest_order()
    assert event.data.guest
    profile = guest_profile(event, event.data.guest, "g-1")
    assert (profile.customerid, profile.data.email, profile.data.guest) == ("g-1", "Ada@Example.com", True)
    assert (profile.data.time_zone, profile.data.country) == ("Europe/London", "GB")
    consent = profile.data.consent[Channel.EMAIL]
    assert (consent.granted, consent.changed_at) == (True, event.data.placed_at)
    assert profile.correlationid == event.id


def test_the_profile_of_a_later_event_has_a_higher_version_and_of_the_same_event_the_same_id() -> None:
    event = _guest_order()
    later = event.model_copy(update={"time": event.time + timedelta(seconds=1), "id": "later"})
    assert event.data.guest
    first, again, second = (guest_profile(one, event.data.guest, "g-1") for one in (event, event, later))
    assert first == again
    assert second.data.version > first.data.version
    assert second.id != first.id


def _profile(customer: str, email: str | None, **said: object) -> CustomerRecorded:
    data = Customer.model_validate({"version": 1, "email": email, **said})
    return CustomerRecorded(id="p1", source="/shop", time=NOW, shopid="shop", customerid=customer, data=data)


def test_a_customer_was_formerly_the_guest_with_their_address() -> None:
    found = with_guest_id(_profile("ada", EMAIL, formerly=("old",)), SALT)
    assert found.data.formerly == ("old", guest_id(SALT, "shop", EMAIL))
    assert with_guest_id(found, SALT) == found


@pytest.mark.parametrize(
    "event",
    [
        _profile("ada", None),
        _profile(guest_id(SALT, "shop", EMAIL), EMAIL),
        _profile("g-1", EMAIL, guest=True),
        _guest_order(),
    ],
)
def test_nobody_else_was_formerly_a_guest(event: Event) -> None:
    assert with_guest_id(event, SALT) == event
