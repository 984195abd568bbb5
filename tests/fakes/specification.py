"""Checks requests against a published OpenAPI document."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from aiohttp import web
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"
"""Where published specifications and samples lie, beside the repository; it may be absent."""


class Specification:
    """A document; the server that it names stands in for our own address."""

    def __init__(self, path: Path) -> None:
        text = path.read_text()
        document = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
        trusting = Config(
            spec_validator_cls=None,  # type: ignore[arg-type]  # its code takes None: documents are the providers' to check
            additional_properties_default_policy="forbid",
        )
        self._openapi = OpenAPI.from_dict(document, config=trusting)
        self._document = document
        server = urlsplit(str(document["servers"][0]["url"]))
        self._server = f"{server.scheme}://{server.netloc}"

    def unknown(self, path: str, fields: Iterable[str]) -> list[str]:
        """Fields of a form posted to a path (empty: no form) that are not named; the validator passes over them."""
        if not path:
            return []
        operation = self._document["paths"][path]["post"]
        schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
        name = schema.get("$ref", "").rpartition("/")[2]
        known = (self._document["components"]["schemas"][name] if name else schema)["properties"]
        return [f"unknown field {field}" for field in fields if field not in known]

    def violations(self, request: web.Request, body: bytes) -> list[str]:
        """What is wrong with a request, in the validator's words.

        Members that the document does not name are wrong at the top of a body, where they are misspelt; below
        it many objects are free.
        """
        return [
            f"{type(error).__name__}: {error.__cause__ or error}"
            for error in self._openapi.iter_request_errors(_Adapter(request, body, self._server))
            if not _free(error)
        ]


def _free(error: Exception) -> bool:
    """Whether an error is no more than members of inner objects that nobody named."""
    found = getattr(error.__cause__, "schema_errors", ())
    return bool(found) and all(each.message.startswith("Additional") and each.path for each in found)


class _Adapter:
    """A request as openapi-core wants it."""

    def __init__(self, request: web.Request, body: bytes, server: str) -> None:
        self.host_url = server
        self.path = request.path
        self.method = request.method.lower()
        self.body = body
        self.content_type = request.content_type
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(request.query.items()), header=Headers(dict(request.headers)), path={}
        )


@cache
def specification(path: Path) -> Specification:
    """A document, read once."""
    return Specification(path)
