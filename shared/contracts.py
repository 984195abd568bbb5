"""The contracts as documents: a JSON Schema per event type and one AsyncAPI document, made from the models.

`python -m shared.contracts` writes them into docs/contracts, with `--check` it only says whether they are up
to date. Standards: JSON Schema 2020-12, AsyncAPI 3.0.0 with the Kafka bindings 0.5.0, CloudEvents 1.0 in
structured JSON mode.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from shared import topics
from shared.errors import Refusal
from shared.events import Event
from shared.kafka.admin import declared
from shared.settings import Settings
from shared.topics import Key, Topic

FOLDER = Path("docs/contracts")
VERSION = "1.0.0"
BINDING = "0.5.0"
CONTENT_TYPE = "application/cloudevents+json"
SCHEMA_FORMAT = "application/schema+json;version=2020-12"
_ALWAYS = ("specversion", "id", "source", "type", "time", "shopid", "data")
_KEYS = {
    Key.ANY: "Any key: ingest re-keys by customer.",
    Key.CUSTOMER: "shop|customer, partitioned by murmur2: one customer's events of one shop are in order.",
    Key.PRODUCT: "shop|product, partitioned by murmur2.",
    Key.SCOPE: "shop|journey|channel|action, each * for all of them; then |guard if a guard threw it.",
}


class _Generator(GenerateJsonSchema):
    """Money as what travels: a number, or better a text, that is never negative and keeps its digits."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Both forms with the same limits; pydantic's own text form would let a sign pass."""
        places = schema.get("decimal_places") or 6
        digits = schema.get("max_digits") or 18
        text = rf"^[0-9]{{1,{digits}}}(\.[0-9]{{1,{places}}})?$"
        return {"anyOf": [{"type": "string", "pattern": text}, {"type": "number", "minimum": 0}]}


def schema_name(kind: type[Event], *, inbound: bool) -> str:
    """File name of the schema of an event type; an inbound model that differs from ours has its own."""
    return f"{kind.type_name()}{'.inbound' if inbound else ''}.schema.json"


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by file name."""
    found = {}
    for topic in topics.ALL:
        for kind in topic.types:
            name = _schema_of(topic, kind)
            found[name] = _schema(kind, name)
    return dict(sorted(found.items()))


def _schema_of(topic: Topic, kind: type[Event]) -> str:
    canonical = topics.CANONICAL_OF.get(topic)
    return schema_name(kind, inbound=canonical is not None and kind not in canonical.types)


def _schema(kind: type[Event], name: str) -> dict[str, Any]:
    made = kind.model_json_schema(mode="validation", schema_generator=_Generator)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:orderwake:schema:{name.removesuffix('.schema.json')}",
        "title": made.pop("title"),
        "description": made.pop("description"),
    }
    return head | made | {"required": list(_ALWAYS)}


def asyncapi() -> dict[str, Any]:
    """All topics as channels, their messages, and who sends and receives them."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Orderwake",
            "version": VERSION,
            "description": (
                "Topics of Orderwake. Records are CloudEvents 1.0 in structured JSON mode; upstream "
                "teams write to inbound.* only. Refused records go to <topic>.dead-letters, with reasons in "
                "their headers."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages()},
    }


def _identifier(topic: Topic) -> str:
    return topic.name.replace(".", "-")


def _message_identifier(topic: Topic, kind: type[Event]) -> str:
    return _schema_of(topic, kind).removesuffix(".schema.json")


def _channels() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for topic in topics.ALL:
        names = [_message_identifier(topic, kind) for kind in topic.types]
        found[_identifier(topic)] = {
            "address": topic.name,
            "description": topic.sentence,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            "bindings": {"kafka": _binding(topic.name)},
            "x-key": topic.key.value,
            "x-key-description": _KEYS[topic.key],
        }
        found[f"{_identifier(topic)}-dead-letters"] = _dead_letters(topic)
    return found


def _dead_letters(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.dead_letters,
        "description": f"What readers of {topic.name} refused, with its own key and value.",
        "messages": {"dead-letter": {"$ref": "#/components/messages/dead-letter"}},
        "bindings": {"kafka": _binding(topic.dead_letters)},
    }


@cache
def _configurations() -> dict[str, dict[str, str]]:
    return {topic.name: topic.config for topic in declared(Settings())}


def _binding(name: str) -> dict[str, Any]:
    config = _configurations()[name]
    sizes = {key: int(config[key]) for key in ("retention.ms", "max.message.bytes") if key in config}
    return {
        "topic": name,
        "topicConfiguration": {"cleanup.policy": [config["cleanup.policy"]]} | sizes,
        "bindingVersion": BINDING,
    }


def _operations() -> dict[str, Any]:
    found = {}
    for topic in topics.ALL:
        for action, services in (("send", topic.written_by), ("receive", topic.read_by)):
            for service in services:
                found[f"{service}-{action}s-{_identifier(topic)}"] = _operation(topic, action, service)
    return found


def _operation(topic: Topic, action: str, service: str) -> dict[str, Any]:
    channel = f"#/channels/{_identifier(topic)}"
    verb = "writes" if action == "send" else "reads"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": f"{service} {verb} {topic.name}",
        "tags": [{"name": service}],
        "messages": [
            {"$ref": f"{channel}/messages/{_message_identifier(topic, kind)}"} for kind in topic.types
        ],
    }


def _messages() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for topic in topics.ALL:
        for kind in topic.types:
            found[_message_identifier(topic, kind)] = {
                "name": kind.type_name(),
                "summary": (kind.__doc__ or "").strip().splitlines()[0],
                "contentType": CONTENT_TYPE,
                "payload": {
                    "schemaFormat": SCHEMA_FORMAT,
                    "schema": {"$ref": f"./{_schema_of(topic, kind)}"},
                },
            }
    return dict(sorted(found.items())) | {"dead-letter": _dead_letter_message()}


def _dead_letter_message() -> dict[str, Any]:
    said = {
        "orderwake-reason": {"type": "string", "enum": [reason.value for reason in Refusal]},
        "orderwake-path": {"type": "string", "description": "The field's place in the event, or empty."},
        "orderwake-detail": {"type": "string"},
        "orderwake-origin-topic": {"type": "string"},
        "orderwake-origin-partition": {"type": "string", "pattern": "^[0-9]+$"},
        "orderwake-origin-offset": {"type": "string", "pattern": "^[0-9]+$"},
        "orderwake-refused-by": {"type": "string"},
    }
    return {
        "name": "dead-letter",
        "summary": "The refused record's own key and value; redrive puts the value back where it came from.",
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "required": list(said), "properties": said},
    }


def documents() -> dict[str, str]:
    """Every document by file name, as it stands on disk."""
    found = {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()
    }
    head = "# Made by `make contracts` from shared/topics.py and shared/events: change those, not this.\n"
    body = yaml.safe_dump(asyncapi(), sort_keys=False, width=110, allow_unicode=True)
    return found | {"asyncapi.yaml": head + body}


def write(folder: Path, made: Mapping[str, str]) -> None:
    """Write the documents and remove schemas that are no longer made."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.schema.json"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)


def differing(folder: Path, made: Mapping[str, str]) -> list[str]:
    """Names of documents that are missing in the folder, differ from what is made, or are made no more."""
    there = {path.name: path.read_text() for path in folder.glob("*") if path.suffix in (".json", ".yaml")}
    return sorted(name for name in there.keys() | made.keys() if there.get(name) != made.get(name))


def main(arguments: Sequence[str]) -> int:
    """Write the documents; with `--check` write nothing and say which differ. Returns the exit code."""
    made = documents()
    if "--check" not in arguments:
        write(FOLDER, made)
        sys.stdout.write(f"{len(made)} documents in {FOLDER}\n")
        return 0
    wrong = differing(FOLDER, made)
    if wrong:
        sys.stdout.write(f"{FOLDER} is behind the models, run `make contracts`: {', '.join(wrong)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
