"""The API as an OpenAPI 3.1 document, made from the models that the API decodes with."""

from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from services.ingest.cloudevents import BATCH, BATCH_BYTES, BATCH_EVENTS, SINGLE, Turned
from shared.errors import Refusal
from shared.events import MAX_RECORD_BYTES
from shared.topics import INBOUND_OF_TYPE

_REFUSALS = {
    "400": "The body is not JSON, or not an array where one is due.",
    "403": "Events of this shop are not taken here.",
    "413": f"Over {MAX_RECORD_BYTES} bytes for one event, or {BATCH_BYTES} bytes or {BATCH_EVENTS} events for a batch.",
    "415": "Another media type.",
    "422": "Events with faults: each with its index, and nothing was taken.",
    "429": "Too many events await Kafka; nothing was taken. Send the same again after Retry-After seconds.",
    "503": "Kafka has not acknowledged in time. Send the same again, with the same ids, after Retry-After seconds.",
}
_RETRIED = ("429", "503")


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    kinds = [topic.types[0] for topic in INBOUND_OF_TYPE.values()]
    made, definitions = models_json_schema(
        [(kind, "validation") for kind in kinds], ref_template="#/components/schemas/{model}"
    )
    event = {"oneOf": [made[(kind, "validation")] for kind in kinds]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Orderwake ingest", "version": "1.0.0"},
        "paths": {"/v1/events": {"post": _post_events()}, "/v1/status": {"get": _get_status()}},
        "components": {"schemas": definitions["$defs"] | {"Event": event, "Refused": _refused()}},
    }


def _post_events() -> dict[str, Any]:
    event = {"$ref": "#/components/schemas/Event"}
    batch = {"type": "array", "maxItems": BATCH_EVENTS, "items": event}
    content = {media: {"schema": event} for media in sorted(SINGLE)} | {BATCH: {"schema": batch}}
    return {
        "operationId": "postEvents",
        "summary": "Take CloudEvents: one, or a batch that is taken whole or not at all.",
        "requestBody": {"required": True, "content": content},
        "responses": {
            "202": _accepted(),
            **{status: _refusal(status, said) for status, said in _REFUSALS.items()},
        },
    }


def _get_status() -> dict[str, Any]:
    schema = {"type": "object", "required": ["accepted", "duplicates", "dead_letters", "parked", "lag"]}
    said = "Counts since the process started, and what waits now."
    return {
        "operationId": "getStatus",
        "summary": "What became of events.",
        "responses": {"200": _json(said, schema), "503": _refusal("503", "PostgreSQL does not answer.")},
    }


def _accepted() -> dict[str, Any]:
    schema = {"type": "object", "required": ["accepted"], "properties": {"accepted": {"type": "integer"}}}
    return _json("Kafka has acknowledged every event.", schema)


def _refusal(status: str, said: str) -> dict[str, Any]:
    answer = _json(said, {"$ref": "#/components/schemas/Refused"})
    if status in _RETRIED:
        answer["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
    return answer


def _json(said: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": said, "content": {"application/json": {"schema": schema}}}


def _refused() -> dict[str, Any]:
    fault = {
        "type": "object",
        "required": ["index", "reason", "path", "detail"],
        "properties": {
            "index": {"type": "integer", "description": "Place in the batch; 0 for a single event."},
            "reason": {"enum": [*map(str, Refusal), *map(str, Turned)]},
            "path": {"type": "string", "description": "The field's place, as data.lines.0.unit_price."},
            "detail": {"type": "string"},
        },
    }
    errors = {"type": "array", "minItems": 1, "items": fault}
    return {"type": "object", "required": ["errors"], "properties": {"errors": errors}}
