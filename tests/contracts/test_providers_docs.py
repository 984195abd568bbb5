"""docs/providers.md and its example say what the software takes."""

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from services.dispatcher.delivery import SCHEMA, Delivery, read_delivery, schema
from services.dispatcher.providers.config import ProviderConfig
from shared.events import Channel
from tests.support.mailing import HERE

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "providers.example.yaml"
PAGE = (DOCS / "providers.md").read_text()
_COMMON = set(ProviderConfig.model_fields) | {"kind"}
_ROWS = re.findall(r"^\| `(\w+)` \| (?:e-mail|SMS|push|all)[^|]*\| ([^|]+) \|", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def example() -> Delivery:
    return read_delivery(EXAMPLE)


def test_the_example_is_read_and_its_providers_can_be_made(example: Delivery) -> None:
    made = example.make(HERE)
    assert [each.name for each in example.route(Channel.EMAIL, made)] == ["mail-1", "mail-2", "mail-4"]
    assert [each.name for each in example.route(Channel.SMS, made)] == ["sms-1"]
    assert example.shop("skincare").sender(Channel.EMAIL) == "offers@lumen.example"


def test_the_published_schema_is_the_models_own() -> None:
    assert SCHEMA.read_text() == schema(), "write it with: python -m services.dispatcher.delivery"


def test_the_example_passes_the_published_schema() -> None:
    document = json.loads(SCHEMA.read_text())
    Draft202012Validator(document).validate(yaml.safe_load(EXAMPLE.read_text()))


def test_no_secret_stands_in_the_example() -> None:
    entries = yaml.safe_load(EXAMPLE.read_text())["providers"]
    secrets = [entry[name] for entry in entries for name in ("key", "callback_key", "token") if name in entry]
    assert secrets
    assert all(set(secret) <= {"file", "env"} for secret in secrets)


def test_the_table_names_every_field_of_the_kinds_in_the_example(example: Delivery) -> None:
    told = {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in _ROWS}
    for config in example.providers:
        if config.kind in told:
            assert told[config.kind] == set(type(config).model_fields) - _COMMON, config.kind
    assert set(told) >= {"smtp", "sendgrid", "mailgun", "postmark", "resend"}
