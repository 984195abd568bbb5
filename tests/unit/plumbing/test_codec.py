"""Bytes become one typed event, or a reason with the field's path and never the value."""

import orjson
import pytest

from shared import topics
from shared.errors import EventError, Refusal
from shared.events import MAX_RECORD_BYTES, OrderRecorded, decode

TYPES = topics.ORDERS.types


def an_order(**changes: object) -> dict[str, object]:
    data = {
        "order_id": "o-1", "placed_at": "2026-03-02T10:00:00Z", "currency": "USD", "total": "12.50",
        "lines": [{"product_id": "p-1", "quantity": 1, "unit_price": "12.50"}],
    }  # fmt: skip
    event = {
        "specversion": "1.0", "id": "e-1", "source": "shop", "type": OrderRecorded.type_name(), "shopid": "skincare",
        "time": "2026-03-02T10:00:00Z", "customerid": "c-1",
    }  # fmt: skip
    return event | {"data": data | changes}


def refused(raw: bytes | None) -> EventError:
    with pytest.raises(EventError) as raised:
        decode(raw, TYPES)
    return raised.value


def test_what_is_encoded_decodes_to_the_same() -> None:
    event = decode(orjson.dumps(an_order()), TYPES)
    assert decode(event.encode(), TYPES) == event


def test_ids_beyond_two_to_the_53_keep_every_digit() -> None:
    event = decode(orjson.dumps(an_order(order_id=820982911946154508)), TYPES)
    assert event.data.order_id == "820982911946154508"


@pytest.mark.parametrize(
    ("raw", "reason", "path"),
    [
        (None, Refusal.NULL_VALUE, ""),
        (b"{", Refusal.BAD_JSON, ""),
        (b"[]", Refusal.BAD_ENVELOPE, ""),
        (b" " * (MAX_RECORD_BYTES + 1), Refusal.TOO_LARGE, ""),
        (orjson.dumps(an_order() | {"type": "orderwake.order.recorded.v9"}), Refusal.UNKNOWN_TYPE, "type"),
        (orjson.dumps({"type": "no.such.thing"}), Refusal.UNKNOWN_TYPE, "type"),
        (orjson.dumps(an_order() | {"shopid": "Not A Shop"}), Refusal.BAD_ENVELOPE, "shopid"),
        (orjson.dumps(an_order() | {"time": "2026-03-02T10:00:00"}), Refusal.BAD_ENVELOPE, "time"),
        (orjson.dumps(an_order(order_id=8.2e17)), Refusal.WRONG_SCHEMA, "data.order_id"),
        (orjson.dumps(an_order(total="-1")), Refusal.WRONG_SCHEMA, "data.total"),
        (orjson.dumps(an_order(placed_at="2026-03-02T10:00:00")), Refusal.WRONG_SCHEMA, "data.placed_at"),
        (orjson.dumps(an_order(lines=[])), Refusal.WRONG_SCHEMA, "data.lines"),
        (
            orjson.dumps(an_order(lines=[{"product_id": "p", "quantity": 1, "unit_price": "1", "currency": "EUR"}])),
            Refusal.MIXED_CURRENCY, "data",
        ),
    ],
)  # fmt: skip
def test_each_fault_has_its_reason_and_path(raw: bytes | None, reason: Refusal, path: str) -> None:
    error = refused(raw)
    assert (error.reason, error.path) == (reason, path)


def test_the_offending_value_is_not_in_the_error() -> None:
    error = refused(orjson.dumps(an_order(currency="someone@example.com")))
    assert "example.com" not in str(error)
