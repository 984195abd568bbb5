"""Requests held against botocore's models: its own validator, and besides the enums, patterns and sizes it skips."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator


class AwsModel:
    """One operation of a service, as AWS publishes it."""

    def __init__(self, service: str, operation: str) -> None:
        published = ServiceModel(Loader().load_service_model(service, "service-2"), service)
        self._shape = published.operation_model(operation).input_shape
        self.version = str(published.api_version)

    def violations(self, told: Mapping[str, Any]) -> list[str]:
        """What is wrong with a JSON body."""
        try:
            params = _decoded(told, self._shape)
        except binascii.Error as fault:
            return [f"a blob is not base64: {fault}"]
        report = ParamValidator().validate(params, self._shape)
        wrong = report.generate_report().splitlines() if report.has_errors() else []
        return [*wrong, *_beyond(params, self._shape, "input")]

    def from_query(self, fields: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
        """The input that a form of the query protocol carries, and the fields that belong to none of it."""
        left = dict(fields)
        found = _unflattened(left, self._shape, "")
        return found or {}, sorted(left)


@cache
def model(service: str, operation: str) -> AwsModel:
    """An operation, read once."""
    return AwsModel(service, operation)


def decoded_blob(text: str) -> bytes:
    """A blob as JSON carries it. Raises binascii.Error if it is not base64."""
    return base64.b64decode(text, validate=True)


def _decoded(value: Any, shape: Any) -> Any:  # noqa: ANN401  botocore ships no types
    """JSON with its blobs as bytes."""
    if shape.type_name == "blob" and isinstance(value, str):
        return decoded_blob(value)
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return {
            name: _decoded(each, shape.members[name]) if name in shape.members else each
            for name, each in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_decoded(each, shape.member) for each in value]
    return value


def _beyond(value: Any, shape: Any, at: str) -> Iterator[str]:  # noqa: ANN401  botocore ships no types
    """What breaks an enum, a pattern or a greatest size."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, each in value.items():
            if name in shape.members:
                yield from _beyond(each, shape.members[name], f"{at}.{name}")
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for name, each in value.items():
            yield from _beyond(name, shape.key, f"{at} key")
            yield from _beyond(each, shape.value, f"{at}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for number, each in enumerate(value):
            yield from _beyond(each, shape.member, f"{at}[{number}]")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _text_beyond(value, shape, at)
    elif shape.type_name == "integer" and isinstance(value, int) and value > shape.metadata.get("max", value):
        yield f"{at}: {value} is more than {shape.metadata['max']}"


def _text_beyond(value: str, shape: Any, at: str) -> Iterator[str]:  # noqa: ANN401  botocore ships no types
    known = shape.metadata.get("enum")
    if known and value not in known:
        yield f"{at}: {value!r} is none of {', '.join(known)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value, re.DOTALL):
        yield f"{at}: {value!r} does not match {pattern}"
    if len(value) > shape.metadata.get("max", len(value)):
        yield f"{at}: {len(value)} characters are more than {shape.metadata['max']}"


def _unflattened(left: dict[str, str], shape: Any, prefix: str) -> Any:  # noqa: ANN401  botocore ships no types
    """Take a value out of a form; None if nothing of it is there. Lists are not needed by the operations here."""
    if shape.type_name == "structure":
        found = {
            name: _unflattened(left, member, f"{prefix}.{name}" if prefix else name)
            for name, member in shape.members.items()
        }
        return {name: value for name, value in found.items() if value is not None} or None
    if shape.type_name == "map":
        return _map(left, shape, prefix)
    value = left.pop(prefix, None)
    return value.encode() if value is not None and shape.type_name == "blob" else value


def _map(left: dict[str, str], shape: Any, prefix: str) -> dict[str, Any] | None:  # noqa: ANN401  botocore ships no types
    key = shape.key.serialization.get("name", "key")
    value = shape.value.serialization.get("name", "value")
    found = {}
    for number in range(1, 1 + len(left)):
        name = left.pop(f"{prefix}.entry.{number}.{key}", None)
        if name is None:
            break
        found[name] = _unflattened(left, shape.value, f"{prefix}.entry.{number}.{value}")
    return found or None
