"""Requests that leave at fixed moments, over kept connections, by a client light enough not to be what is measured."""

import asyncio
import gc
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from shared.clock import SystemClock

CLOCK = SystemClock()
CONNECTIONS = 32
_LENGTH = b"content-length:"
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Taken:
    """Seconds of each request: from when it was due, from when it was written, and how late the client was with it."""

    since_due: Sequence[float]
    since_sent: Sequence[float]
    late: Sequence[float]
    elapsed: float


class _Connection(asyncio.Protocol):
    """One request at a time; `take` gets its answer's head and body whole."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._got = bytearray()
        self._due = self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so to the load, which fails if it was not finished."""
        self._load.lost(exc)

    def send(self, request: bytes, due: float) -> None:
        """Write a request."""
        self._due, self._sent = due, CLOCK.monotonic()
        if self._transport:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._got += data
        head = self._got.find(_END)
        if head >= 0 and len(self._got) >= head + len(_END) + _length(self._got[:head]):
            status = bytes(self._got[:12])
            self._got.clear()
            self._load.answered(self, status, self._due, self._sent)

    def close(self) -> None:
        """Close it."""
        if self._transport:
            self._transport.close()


def _length(head: bytearray) -> int:
    lowered = head.lower()
    start = lowered.index(_LENGTH) + len(_LENGTH)
    return int(lowered[start:].partition(b"\r\n")[0])


class _Load:
    def __init__(self, number: int) -> None:
        self.free: deque[_Connection] = deque()
        self.late: list[float] = []
        self.since_due: list[float] = []
        self.since_sent: list[float] = []
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._number = number
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self, request: bytes, due: float) -> None:
        self.late.append(CLOCK.monotonic() - due)
        if self.free:
            self.free.popleft().send(request, due)
        else:
            self._waiting.append((request, due))

    def answered(self, connection: _Connection, status: bytes, due: float, sent: float) -> None:
        now = CLOCK.monotonic()
        self.since_due.append(now - due)
        self.since_sent.append(now - sent)
        if not status.endswith(b" 200") and not self.done.done():
            self.done.set_exception(RuntimeError(f"the API answered {status.decode()}"))
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self.free.append(connection)
        if len(self.since_due) == self._number and not self.done.done():
            self.done.set_result(None)

    def lost(self, problem: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(problem or ConnectionError("the API closed a connection"))


async def drive(
    port: int, paths: Iterator[str], rate: int, seconds: float, headers: Mapping[str, str]
) -> Taken:
    """Send GET requests at a rate, whether or not earlier ones were answered. Raises RuntimeError on an answer but 200."""
    sent = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "bench", **headers}.items())
    requests = [f"GET {next(paths)} HTTP/1.1\r\n{sent}\r\n".encode() for _ in range(int(rate * seconds))]
    return await send(port, requests, rate)


def posted(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a POST request for `send`."""
    sent = {"Host": "bench", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def send(port: int, requests: Sequence[bytes], rate: int) -> Taken:
    """Send requests at a rate, as `drive` does."""
    loop = asyncio.get_running_loop()
    load = _Load(len(requests))
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port)
        load.free.append(connection)
    connections = list(load.free)
    gc.collect()
    gc.disable()
    started = CLOCK.monotonic()
    try:
        for place, request in enumerate(requests):
            due = started + place / rate
            if (early := due - CLOCK.monotonic()) > 0:
                await asyncio.sleep(early)
            load.ask(request, due)
        await load.done
    finally:
        gc.enable()
        for connection in connections:
            connection.close()
    return Taken(load.since_due, load.since_sent, load.late, CLOCK.monotonic() - started)
