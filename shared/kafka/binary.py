"""Binary mode of CloudEvents on Kafka (Kafka protocol binding 1.0.2, section 3.2) turned into structured mode."""

from dataclasses import replace
from json import dumps

from pydantic_core import from_json

from shared.errors import EventError, Refusal
from shared.kafka.records import Record

_PREFIX = "ce_"


def structured(record: Record) -> Record:
    """The record itself, or for one in binary mode the same with the whole event as its value.

    Raises EventError if the value of a record in binary mode is not JSON. Numbers stay as they were written.
    """
    if not any(name == "ce_specversion" for name, _ in record.headers):
        return record
    attributes = {
        name.removeprefix(_PREFIX): value.decode(errors="replace")
        for name, value in record.headers
        if name.startswith(_PREFIX)
    }
    data = record.value or b"null"
    try:
        from_json(data)
    except ValueError as error:
        raise EventError(Refusal.BAD_JSON, str(error), "data") from None
    return replace(record, value=dumps(attributes).encode()[:-1] + b', "data": ' + data + b"}")
