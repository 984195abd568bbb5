"""What a schema cannot say."""

from datetime import timedelta

import pytest

from services.ingest.domain.checks import Checks
from shared.errors import EventError, Refusal
from shared.events import (
    CustomerRecorded,
    EngagementRecorded,
    Event,
    InboundOrderRecorded,
    ReturnRecorded,
    ShipmentRecorded,
)
from tests.support.ingest import NOW, a_return, a_shipment, an_order, envelope

CHECKS = Checks(lambda shop: shop == "shop", timedelta(minutes=10))
OPENED = {"kind": "opened", "channel": "email", "occurred_at": "2026-03-02T09:00:00Z"}


@pytest.mark.parametrize(
    "event",
    [
        InboundOrderRecorded.model_validate(an_order("shop")),
        InboundOrderRecorded.model_validate(an_order("shop", customer=None, guest={"email": "a@b.example"})),
        ShipmentRecorded.model_validate(a_shipment("shop")),
        ReturnRecorded.model_validate(a_return("shop")),
        EngagementRecorded.model_validate(envelope("shop", "engagement", OPENED, customerid="c1")),
    ],
)
def test_good_events_pass(event: Event) -> None:
    CHECKS.check(event, NOW)


@pytest.mark.parametrize(
    ("event", "reason", "path"),
    [
        (InboundOrderRecorded.model_validate(an_order("other")), Refusal.WRONG_SHOP, "shopid"),
        (
            InboundOrderRecorded.model_validate(an_order("shop", customer=None)),
            Refusal.MISSING_CUSTOMER,
            "customerid",
        ),
        (
            CustomerRecorded.model_validate(envelope("shop", "customer", {"version": 1})),
            Refusal.MISSING_CUSTOMER,
            "customerid",
        ),
        (
            EngagementRecorded.model_validate(envelope("shop", "engagement", OPENED)),
            Refusal.MISSING_CUSTOMER,
            "customerid",
        ),
        (
            ShipmentRecorded.model_validate(a_shipment("shop", occurred_at="2026-03-03T00:00:00Z")),
            Refusal.FAR_FUTURE,
            "data.occurred_at",
        ),
        (
            InboundOrderRecorded.model_validate(an_order("shop", status_at="2026-03-03T00:00:00Z")),
            Refusal.FAR_FUTURE,
            "data.status_at",
        ),
    ],
)
def test_bad_events_are_refused_with_reason_and_path(event: Event, reason: Refusal, path: str) -> None:
    with pytest.raises(EventError) as caught:
        CHECKS.check(event, NOW)
    assert (caught.value.reason, caught.value.path) == (reason, path)


def test_the_future_begins_after_the_tolerance_of_business_time() -> None:
    event = InboundOrderRecorded.model_validate(an_order("shop"))
    CHECKS.check(event, event.time - timedelta(minutes=10))
    with pytest.raises(EventError):
        CHECKS.check(event, event.time - timedelta(minutes=10, seconds=1))
