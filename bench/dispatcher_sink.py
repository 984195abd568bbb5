"""A far end that speaks as much of SendGrid's API as a sender needs: each request is read whole and answered 202.

    python -m bench.dispatcher_sink

Says its port as its first line. `GET /taken` tells how many it has taken. It checks nothing, so that it is not what is measured.
"""

import asyncio
import signal
import sys
from typing import cast

import uvloop

_END, _LENGTH = b"\r\n\r\n", b"content-length:"
_ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\nServer: sink\r\nContent-Length: 0\r\nX-Message-Id: %022d\r\n"
    b"X-RateLimit-Limit: 600\r\nX-RateLimit-Remaining: 599\r\n\r\n"
)


class Sink(asyncio.Protocol):
    """One connection; requests come one after the other."""

    taken = 0

    def __init__(self) -> None:
        self._got = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        """Answer when a request is whole."""
        self._got += data
        while (head := self._got.find(_END)) >= 0:
            end = head + len(_END) + _body_length(self._got[:head])
            if len(self._got) < end:
                return
            asked = bytes(self._got[:4])
            del self._got[:end]
            self._answer(asked)

    def _answer(self, asked: bytes) -> None:
        if self._transport is None:
            return
        if asked == b"GET ":
            told = str(Sink.taken).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))
            return
        Sink.taken += 1
        self._transport.write(_ACCEPTED % Sink.taken)


def _body_length(head: bytearray) -> int:
    lower = bytes(head).lower()
    at = lower.find(_LENGTH)
    return int(lower[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def _serve() -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
