"""The written contracts: up to date, valid by their own standards, and true of the events that travel."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from shared import contracts, topics
from shared.events import Event
from shared.topics import CANONICAL, CANONICAL_OF, DERIVED, INBOUND, Key
from tests.support import samples

FOLDER = Path(__file__).parents[2] / "docs" / "contracts"
SCHEMAS = contracts.schemas()
ASYNCAPI: dict[str, Any] = contracts.asyncapi()


def schema_of(event: Event) -> str:
    canonical = {kind for topic in CANONICAL + DERIVED for kind in topic.types}
    return contracts.schema_name(type(event), inbound=type(event) not in canonical)


def errors(schema: str, value: object) -> list[str]:
    validator = Draft202012Validator(SCHEMAS[schema], format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def resolve(reference: str) -> Any:  # noqa: ANN401  whatever stands there
    """What a `#/a/b` reference of the AsyncAPI document points at."""
    found: Any = ASYNCAPI
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def test_the_folder_holds_what_the_models_say_and_no_orphan() -> None:
    assert contracts.differing(FOLDER, contracts.documents()) == []


def test_a_change_a_missing_file_and_an_orphan_are_each_noticed(tmp_path: Path) -> None:
    made = contracts.documents()
    contracts.write(tmp_path, made)
    changed, missing, *_ = made
    (tmp_path / changed).write_text("{}")
    (tmp_path / missing).unlink()
    (tmp_path / "orderwake.gone.v1.schema.json").write_text("{}")
    assert contracts.differing(tmp_path, made) == sorted([changed, missing, "orderwake.gone.v1.schema.json"])
    contracts.write(tmp_path, made)
    assert contracts.differing(tmp_path, made) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_json_schema_2020_12_with_an_id_of_its_own(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"urn:orderwake:schema:{name.removesuffix('.schema.json')}"


@pytest.mark.parametrize("event", samples.every(), ids=lambda event: type(event).__name__)
def test_what_we_write_is_what_the_schema_says(event: Event) -> None:
    assert errors(schema_of(event), json.loads(event.encode())) == []


def test_every_schema_has_a_sample() -> None:
    assert {schema_of(event) for event in samples.every()} == SCHEMAS.keys()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("type",), "orderwake.order.recorded.v2"),
        (("shopid",), "Not A Shop"),
        (("time",), "yesterday"),
        (("specversion",), "0.3"),
        (("data", "total"), "-1.00"),
        (("data", "total"), -1),
        (("data", "currency"), "dollars"),
        (("data", "order_id"), "with|bar"),
        (("data", "lines", 0, "quantity"), 0),
        (("data", "status"), "lost"),
    ],
)
def test_the_schema_refuses_what_the_model_refuses(path: tuple[str | int, ...], value: object) -> None:
    order: Any = json.loads(samples.order().encode())
    place = order
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert errors("orderwake.order.recorded.v1.schema.json", order)


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "time", "shopid", "data"])
def test_the_schema_asks_for_every_attribute_that_the_envelope_needs(missing: str) -> None:
    order = json.loads(samples.order().encode())
    del order[missing]
    assert errors("orderwake.order.recorded.v1.schema.json", order)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    inside = [reference for reference in references(ASYNCAPI) if reference.startswith("#/")]
    assert all(resolve(reference) is not None for reference in inside)
    outside = {
        reference.removeprefix("./") for reference in references(ASYNCAPI) if not reference.startswith("#/")
    }
    assert outside == SCHEMAS.keys()


def test_the_asyncapi_document_reads_back_from_yaml_as_it_was_made() -> None:
    assert yaml.safe_load((FOLDER / "asyncapi.yaml").read_text()) == ASYNCAPI


def test_every_topic_is_a_channel_with_its_dead_letters_and_every_operation_is_on_one() -> None:
    addresses = Counter(channel["address"] for channel in ASYNCAPI["channels"].values())
    assert addresses == Counter(name for topic in topics.ALL for name in (topic.name, topic.dead_letters))
    for operation in ASYNCAPI["operations"].values():
        channel = resolve(operation["channel"]["$ref"])
        assert operation["action"] in ("send", "receive")
        assert [resolve(message["$ref"]) for message in operation["messages"]] == list(
            channel["messages"].values()
        )


def test_every_topic_is_written_and_read() -> None:
    assert [topic.name for topic in topics.ALL if not topic.written_by] == []
    assert [topic.name for topic in topics.ALL if not topic.read_by] == []


def test_every_event_type_has_one_home() -> None:
    homes = Counter(kind.type_name() for topic in CANONICAL + DERIVED for kind in topic.types)
    assert set(homes.values()) == {1}
    assert all(topic.types[0].type_name() in homes for topic in INBOUND)


def test_an_inbound_topic_takes_the_type_of_its_canonical_topic() -> None:
    for inbound, canonical in CANONICAL_OF.items():
        assert [kind.type_name() for kind in inbound.types] == [kind.type_name() for kind in canonical.types]
        assert inbound.key is Key.ANY


def test_contact_data_is_described_on_customers_and_messages_and_inbound_only() -> None:
    personal = ("email", "phone", "recipient", "first_name")
    holders = {
        name
        for name, schema in SCHEMAS.items()
        for part in schema["$defs"].values()
        if any(field in part.get("properties", {}) for field in personal)
    }
    assert holders == {
        "orderwake.customer.recorded.v1.schema.json",
        "orderwake.message.requested.v1.schema.json",
        "orderwake.order.recorded.v1.inbound.schema.json",
    }
