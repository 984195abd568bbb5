"""Requests to events: CloudEvents over HTTP, structured, batch and binary (HTTP binding 1.0.2, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from pydantic_core import from_json

from shared.errors import EventError, OrderwakeError, Refusal
from shared.events import MAX_RECORD_BYTES, Event, decode, decode_object
from shared.topics import INBOUND_OF_TYPE

SINGLE = frozenset({"application/cloudevents+json", "application/json"})
BATCH = "application/cloudevents-batch+json"
BATCH_EVENTS = 1000
BATCH_BYTES = 4_000_000

_TYPES = tuple(topic.types[0] for topic in INBOUND_OF_TYPE.values())
_HEADER = "ce-"
_STATUS_OF = {Refusal.BAD_JSON: 400, Refusal.TOO_LARGE: 413, Refusal.WRONG_SHOP: 403}


class Turned(StrEnum):
    """Why a request was turned away though its events may be good."""

    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_MANY_IN_FLIGHT = "too_many_in_flight"
    KAFKA_UNAVAILABLE = "kafka_unavailable"
    POSTGRESQL_UNAVAILABLE = "postgresql_unavailable"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the event at `index` (0 for a single one), without its values."""

    index: int
    reason: Refusal | Turned
    path: str
    detail: str


class Refused(OrderwakeError):  # noqa: N818  it is an answer
    """A request not accepted: HTTP status, faults, and in how many seconds to try again, if that helps."""

    def __init__(self, status: int, *faults: Fault, retry_after: int | None = None) -> None:
        super().__init__(f"{status}: {', '.join(fault.reason for fault in faults)}")
        self.status = status
        self.faults = faults
        self.retry_after = retry_after


def limit_of(content_type: str) -> int:
    """How many bytes a body of this type may have. Raises Refused (415) for types that we do not read."""
    if content_type == BATCH:
        return BATCH_BYTES
    if content_type in SINGLE:
        return MAX_RECORD_BYTES
    detail = f"send {', '.join(sorted(SINGLE))} or {BATCH}"
    raise Refused(415, Fault(0, Turned.UNSUPPORTED_MEDIA_TYPE, "", detail))


def events_of(content_type: str, headers: Mapping[str, str], body: bytes) -> list[Event]:
    """The events of a request. Raises Refused with every fault of every event; nothing is accepted then."""
    if content_type == BATCH:
        return _each(_batch(body))
    try:
        if content_type == "application/json" and _header(headers, "specversion"):
            return [decode_object(_binary(headers, body), _TYPES)]
        return [decode(body, _TYPES)]
    except EventError as error:
        raise refused([(0, error)]) from None


def refused(errors: list[tuple[int, EventError]]) -> Refused:
    """The answer to events with errors: 400 not JSON, 413 too large, 403 all of a wrong shop, else 422."""
    statuses = {_STATUS_OF.get(error.reason, 422) for _, error in errors}
    status = statuses.pop() if len(statuses) == 1 else 422
    return Refused(status, *(Fault(index, error.reason, error.path, error.detail) for index, error in errors))


def _each(items: list[Any]) -> list[Event]:
    events: list[Event] = []
    errors: list[tuple[int, EventError]] = []
    for index, item in enumerate(items):
        try:
            events.append(decode_object(item, _TYPES))
        except EventError as error:
            errors.append((index, error))
    if errors:
        raise refused(errors)
    return events


def _batch(body: bytes) -> list[Any]:
    try:
        items = _parse(body)
    except EventError as error:
        raise refused([(0, error)]) from None
    if not isinstance(items, list):
        raise Refused(400, Fault(0, Refusal.BAD_ENVELOPE, "", "a batch is a JSON array of events"))
    if len(items) > BATCH_EVENTS:
        raise Refused(
            413, Fault(0, Refusal.TOO_LARGE, "", f"{len(items)} events; the limit is {BATCH_EVENTS}")
        )
    return items


def _binary(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    attributes = {
        name.lower().removeprefix(_HEADER): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_HEADER)
    }
    return attributes | {"data": _parse(body)}


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return headers.get(f"{_HEADER}{name}")


def _parse(body: bytes) -> Any:  # noqa: ANN401  JSON
    """As pydantic reads it, which keeps whole numbers of any length."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise EventError(Refusal.BAD_JSON, str(error)) from None
