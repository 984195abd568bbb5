"""How an event travels on."""

import orjson

from services.ingest.domain.normalize import canonical, inbound_key_of, key_of
from shared.events import (
    CustomerRecorded,
    InboundOrderRecorded,
    OrderRecorded,
    ProductRecorded,
    ShipmentRecorded,
)
from tests.support.ingest import NOW, a_shipment, an_order, envelope

GUEST = {"email": "ada@example.com"}


def test_a_canonical_order_holds_no_contact_data() -> None:
    event = an_order("shop", customer=None, guest=GUEST) | {"subject": "ada@example.com"}
    order = canonical(InboundOrderRecorded.model_validate(event), "g-1", NOW)
    assert isinstance(order, OrderRecorded)
    assert b"ada" not in order.encode()


def test_a_canonical_event_is_what_its_readers_decode() -> None:
    order = canonical(InboundOrderRecorded.model_validate(an_order("shop")), "c1", NOW)
    again = OrderRecorded.model_validate_json(order.encode())
    assert again.encode() == order.encode()
    assert (again.id, again.customerid, again.recordedat) == ("order-o1", "c1", NOW)


def test_fields_that_we_do_not_know_stay_behind() -> None:
    event = an_order("shop", secret_field="x") | {"traceparent": "y"}
    said = orjson.loads(canonical(InboundOrderRecorded.model_validate(event), "c1", NOW).encode())
    assert "secret_field" not in said["data"]
    assert "traceparent" not in said


def test_a_correlation_id_is_kept_and_else_is_the_orders() -> None:
    given = InboundOrderRecorded.model_validate(an_order("shop") | {"correlationid": "abc"})
    none = InboundOrderRecorded.model_validate(an_order("shop"))
    assert canonical(given, "c1", NOW).correlationid == "abc"
    assert canonical(none, "c1", NOW).correlationid == "o1"


def test_the_key_is_the_customer_and_for_the_catalogue_the_product() -> None:
    product = {"product_id": "p1", "updated_at": NOW, "name": "Mat"}
    shipment = ShipmentRecorded.model_validate(a_shipment("shop"))
    assert key_of(canonical(shipment, "c1", NOW)) == b"shop|c1"
    assert key_of(ProductRecorded.model_validate(envelope("shop", "product", product))) == b"shop|p1"


def test_news_of_one_thing_has_one_key_on_the_inbound_topic() -> None:
    assert inbound_key_of(InboundOrderRecorded.model_validate(an_order("shop"))) == b"shop|c1"
    assert inbound_key_of(ShipmentRecorded.model_validate(a_shipment("shop"))) == b"shop|o1"
    customer = envelope("shop", "customer", {"version": 1}, id="e1")
    assert inbound_key_of(CustomerRecorded.model_validate(customer)) == b"shop|e1"
