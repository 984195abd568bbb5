"""Binary mode on Kafka."""

import json

import pytest

from shared.errors import EventError, Refusal
from shared.kafka.binary import structured
from shared.kafka.records import Record

HEADERS = [("ce_specversion", b"1.0"), ("ce_id", b"e1"), ("ce_source", '/caf"é'.encode()), ("other", b"x")]


def test_attributes_come_from_headers_and_numbers_stay_as_they_were_written() -> None:
    record = structured(Record("inbound.orders", 0, 0, None, b'{"total": 19.990000000000000001}', HEADERS))
    value = record.value or b""
    assert b"19.990000000000000001" in value
    event = json.loads(value)
    assert {name: event[name] for name in event if name != "data"} == {
        "specversion": "1.0",
        "id": "e1",
        "source": '/caf"é',
    }


def test_a_record_in_structured_mode_stays_as_it_is() -> None:
    record = Record("inbound.orders", 0, 0, None, b"{}", [("other", b"x")])
    assert structured(record) is record


@pytest.mark.parametrize("value", [b"{", b'1, "shopid": "another"', b"\xff"])
def test_a_value_that_is_not_one_json_value_is_refused(value: bytes) -> None:
    with pytest.raises(EventError) as caught:
        structured(Record("inbound.orders", 0, 0, None, value, HEADERS))
    assert (caught.value.reason, caught.value.path) == (Refusal.BAD_JSON, "data")
