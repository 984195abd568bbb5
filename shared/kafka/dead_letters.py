"""Dead letters: the refused record's own key and value, with the reason and its origin in headers.

A dead letter can be sent again as it is: redrive reads `orderwake-origin-topic` and puts the value back there. So
whoever drops what it has seen before must forget an event of which it makes a dead letter.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from shared import metrics
from shared.errors import EventError
from shared.kafka.records import Record
from shared.topics import DEAD_LETTER_LIMIT_BYTES

log = structlog.get_logger()

_HEADROOM_BYTES = 50_000


class Producer(Protocol):
    """The part of a producer that dead letters need."""

    async def send(  # noqa: D102
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[object]: ...


def headers_of(record: Record, error: EventError, service: str) -> list[tuple[str, bytes]]:
    """What a dead letter says of itself: reason, field path, detail, origin, and who refused it."""
    said = {
        "orderwake-reason": error.reason,
        "orderwake-path": error.path,
        "orderwake-detail": error.detail,
        "orderwake-origin-topic": record.topic,
        "orderwake-origin-partition": str(record.partition),
        "orderwake-origin-offset": str(record.offset),
        "orderwake-refused-by": service,
    }
    return [*((name, text.encode()) for name, text in said.items()), *record.headers]


async def write(producer: Producer, refused: Sequence[tuple[Record, EventError]], service: str) -> None:
    """Write dead letters and wait until the broker has them all."""
    waiting = []
    for record, error in refused:
        value = record.value or b""
        headers = headers_of(record, error, service)
        if len(value) > DEAD_LETTER_LIMIT_BYTES - _HEADROOM_BYTES:
            value = value[: DEAD_LETTER_LIMIT_BYTES - _HEADROOM_BYTES]
            headers.append(("orderwake-truncated-from-bytes", str(len(record.value or b"")).encode()))
        waiting.append(
            await producer.send(f"{record.topic}.dead-letters", value, record.key, headers=headers)
        )
        metrics.DEAD_LETTERS.labels(record.topic, error.reason).inc()
        log.warning(
            "refused",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=error.reason,
            path=error.path,
        )
    if waiting:
        await asyncio.gather(*waiting)
