"""Requests to events, and errors to answers."""

import json
from typing import Any

import pytest

from services.ingest.cloudevents import BATCH, BATCH_EVENTS, Refused, events_of, limit_of
from shared.errors import Refusal
from tests.support.ingest import a_shipment, an_order, raw

SINGLE = "application/cloudevents+json"


def _binary(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    headers = {f"ce-{name}": str(value) for name, value in event.items() if name != "data"}
    return headers, json.dumps(event["data"]).encode()


@pytest.mark.parametrize("content_type", [SINGLE, "application/json"])
def test_one_event_comes_in_structured_mode(content_type: str) -> None:
    (event,) = events_of(content_type, {}, raw(an_order("shop")))
    assert event.data.order_id == "o1"


def test_many_come_as_a_batch_of_any_types() -> None:
    events = events_of(BATCH, {}, raw([an_order("shop"), a_shipment("shop")]))
    assert [event.type for event in events] == [
        "orderwake.order.recorded.v1",
        "orderwake.shipment.recorded.v1",
    ]


def test_one_event_comes_in_binary_mode_with_percent_encoded_headers() -> None:
    headers, body = _binary(an_order("shop", 2**60 + 1) | {"source": "/caf%C3%A9"})
    (event,) = events_of("application/json", headers, body)
    assert (event.source, event.data.order_id) == ("/café", str(2**60 + 1))


def test_a_batch_names_every_bad_event_with_its_index() -> None:
    good, bad = an_order("shop"), an_order("shop", lines=[])
    with pytest.raises(Refused) as caught:
        events_of(BATCH, {}, raw([good, bad, good, bad]))
    assert caught.value.status == 422
    assert [(fault.index, fault.path) for fault in caught.value.faults] == [
        (1, "data.lines"),
        (3, "data.lines"),
    ]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "reason"),
    [
        (SINGLE, b"{", 400, Refusal.BAD_JSON),
        (BATCH, b"[{]", 400, Refusal.BAD_JSON),
        (BATCH, b"{}", 400, Refusal.BAD_ENVELOPE),
        (BATCH, b"[1]", 422, Refusal.BAD_ENVELOPE),
        (BATCH, b"[NaN]", 400, Refusal.BAD_JSON),
        (BATCH, raw([{}] * (BATCH_EVENTS + 1)), 413, Refusal.TOO_LARGE),
        (SINGLE, b"[]", 422, Refusal.BAD_ENVELOPE),
        (SINGLE, b"", 400, Refusal.BAD_JSON),
        (SINGLE, b'"\xff"', 400, Refusal.BAD_JSON),
    ],
)
def test_a_body_that_holds_no_event_is_refused(
    content_type: str, body: bytes, status: int, reason: Refusal
) -> None:
    with pytest.raises(Refused) as caught:
        events_of(content_type, {}, body)
    assert (caught.value.status, caught.value.faults[0].reason) == (status, reason)


def test_an_answer_never_repeats_what_was_sent() -> None:
    with pytest.raises(Refused) as caught:
        events_of(SINGLE, {}, raw(an_order("shop", customer=None, guest={"email": "ada-example.com"})))
    assert "ada" not in repr(caught.value.faults)


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/xml"])
def test_other_media_types_are_not_read(content_type: str) -> None:
    with pytest.raises(Refused) as caught:
        limit_of(content_type)
    assert caught.value.status == 415
