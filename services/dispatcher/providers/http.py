"""One HTTP client for all providers: which failure means that nothing was sent, and which leaves it open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from yarl import URL

from services.dispatcher.providers.base import Answer, Fault
from services.dispatcher.providers.outward import PrivateAddress

Resolver = Callable[[], AbstractResolver]

LONGEST_RETRY_AFTER = 86_400.0
LARGEST_REPLY = 2 * 1024 * 1024
"""Bytes that are read of a reply: browsers' push services and shops' servers are what strangers say they are."""

_KEPT_SECONDS = (
    15.0  # less than servers keep idle connections: a request on one that just closed would be *unknown*
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body, if it is a JSON object; else nothing."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    def retry_after(self) -> float | None:
        """Seconds that the provider asked to wait (RFC 9110, delay-seconds), a day at most."""
        asked = self.headers.get("Retry-After", "")
        if not asked.isascii() or not asked.isdecimal():
            return None
        return min(float(asked), LONGEST_RETRY_AFTER)


class HttpLine:
    """Kept connections to one provider. `word` begins the reasons of its failures, e.g. `sendgrid_timeout`."""

    def __init__(
        self, word: str, timeout_seconds: float, connections: int = 100, resolver: Resolver | None = None
    ) -> None:
        self._word = word
        self._resolver = resolver
        self._timeout = aiohttp.ClientTimeout(
            total=1.5 * timeout_seconds, sock_connect=timeout_seconds, sock_read=timeout_seconds
        )
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the session; its connections wait for the first request."""
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            keepalive_timeout=_KEPT_SECONDS,
            resolver=self._resolver() if self._resolver else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        data: Any = None,  # noqa: ANN401  whatever aiohttp takes as a body
        params: Mapping[str, str] | None = None,
    ) -> Reply | Answer:
        """The reply, or what its absence means: not taken if nothing was sent, else unknown. Redirects are not followed."""
        if self._session is None:
            message = "start() comes before the first request"
            raise RuntimeError(message)
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=data,
                params=params,
                allow_redirects=False,
            ) as response:
                return Reply(response.status, response.headers, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
            if isinstance(getattr(fault, "os_error", None), PrivateAddress):
                return Answer.of(Fault.PERMANENT, f"{self._word}_private_address")
            return Answer.of(Fault.PASSING, f"{self._word}_unreachable")
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            lost = "timeout" if isinstance(fault, TimeoutError) else "connection_lost"
            return Answer.of(Fault.OPEN, f"{self._word}_{lost}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body up to LARGEST_REPLY; what is longer is no answer of a provider's, and not believed: its status is."""
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > LARGEST_REPLY:
            response.close()
            return b""
    return bytes(found)
