"""A request as a fake reads it, and the answers that fakes give."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from aiohttp import web


@dataclass(frozen=True)
class Ask:
    """What was asked, read to its end."""

    request: web.Request
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, empty if it is absent."""
        return self.request.headers.get(name, "")

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        """The fields of a form, url-encoded or multipart, in order."""
        if self.request.content_type == "multipart/form-data":
            return [
                (str(part.get_param("name", header="content-disposition")), _text(part))
                for part in self._parts()
            ]
        return parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True)

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of a form by name; the last of several."""
        return dict(self.fields)

    @property
    def basic(self) -> tuple[str, str]:
        """User and password of HTTP basic authentication; empty if there are none."""
        scheme, _, told = self.header("Authorization").partition(" ")
        try:
            user, _, password = base64.b64decode(told if scheme == "Basic" else "").decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password

    def _parts(self) -> list[Message]:
        head = f"Content-Type: {self.header('Content-Type')}\r\n\r\n".encode()
        parts = message_from_bytes(head + self.body).get_payload()
        return [part for part in parts if isinstance(part, Message)] if isinstance(parts, list) else []


@dataclass(frozen=True)
class Refusal:
    """An answer that takes nothing. `body` is sent as JSON unless it is text."""

    status: int
    body: Mapping[str, Any] | str = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The answer, made anew for every request."""
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


@dataclass(frozen=True)
class Accepted:
    """What is kept of an accepted message, and the answer.

    `entry` is the log's line: `reference` (the provider's id), `to`, `k` (the correlation value that came with
    it, else empty), and what the provider needs for its call-backs. None: the message was accepted before.
    """

    response: web.Response
    entry: dict[str, Any] | None


def correlation(values: Mapping[str, Any]) -> str:
    """The value that is a UUID: what was sent along to come back, whatever its name."""
    return next((str(value) for value in values.values() if _is_uuid(str(value))), "")


def _is_uuid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _text(part: Message) -> str:
    content = part.get_payload(decode=True)
    return content.decode() if isinstance(content, bytes) else ""
