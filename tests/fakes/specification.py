"""Checks requests against a published OpenAPI document."""

import json
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from aiohttp import web
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

CONTRACTS = Path(__file__).parents[3] / "shared" / "contracts"
"""Where published specifications and samples lie, beside the repository; it may be absent."""


class Specification:
    """A document; the server that it names stands in for our own address."""

    def __init__(self, path: Path) -> None:
        text = path.read_text()
        document = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
        self._openapi = OpenAPI.from_dict(document)
        server = urlsplit(str(document["servers"][0]["url"]))
        self._server = f"{server.scheme}://{server.netloc}"

    def violations(self, request: web.Request, body: bytes) -> list[str]:
        """What is wrong with a request, in the validator's words."""
        return [
            f"{type(error).__name__}: {error.__cause__ or error}"
            for error in self._openapi.iter_request_errors(_Adapter(request, body, self._server))
        ]


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
