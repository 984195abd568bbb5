"""Bytes to typed events: one pass for a good record, and a named reason with the field's path for a bad one."""

from collections.abc import Sequence
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from shared.errors import EventError, Refusal
from shared.events.envelope import Event

MAX_RECORD_BYTES = 1_000_000


@cache
def _adapter(types: tuple[type[Event], ...]) -> TypeAdapter[Event]:
    one: Any = types[0]
    several: Any = Annotated[reduce(or_, types), Field(discriminator="type")]
    return TypeAdapter(one if len(types) == 1 else several)


def decode(raw: bytes | None, types: Sequence[type[Event]]) -> Event:
    """The event in `raw`, one of `types`. Raises EventError with reason and path; never with the value."""
    if raw is None:
        raise EventError(Refusal.NULL_VALUE, "the record has no value")
    if len(raw) > MAX_RECORD_BYTES:
        raise EventError(Refusal.TOO_LARGE, f"{len(raw)} bytes; the limit is {MAX_RECORD_BYTES}")
    try:
        return _adapter(tuple(types)).validate_json(raw)
    except ValidationError as error:
        raise refusal_of(error, types) from None


def decode_object(value: object, types: Sequence[type[Event]]) -> Event:
    """As `decode`, for a value that is parsed already (one of a CloudEvents batch)."""
    try:
        return _adapter(tuple(types)).validate_python(value)
    except ValidationError as error:
        raise refusal_of(error, types) from None


def refusal_of(error: ValidationError, types: Sequence[type[Event]]) -> EventError:
    """The first validation error as our reason, path and sentence, without the offending value."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = next((one for one in found if one["loc"][-1:] == ("type",)), found[0])
    names = {kind.type_name() for kind in types}
    path = ".".join(str(part) for part in first["loc"] if part not in names)
    if first["type"].startswith("union_tag"):
        path = "type"
    return EventError(_reason(first, path), first["msg"], path)


def _reason(first: Any, path: str) -> Refusal:  # noqa: ANN401  pydantic's ErrorDetails is a plain dict
    kind, sentence = first["type"], first["msg"]
    if kind == "json_invalid":
        return Refusal.BAD_JSON
    if kind.startswith("union_tag") or (path == "type" and kind == "literal_error"):
        return Refusal.UNKNOWN_TYPE
    if "mixed_currency" in sentence:
        return Refusal.MIXED_CURRENCY
    return Refusal.WRONG_SCHEMA if path.startswith("data") else Refusal.BAD_ENVELOPE
