"""Puts events on their way: the past straight onto `inbound.*`, the live week through the HTTP API and Kafka alike."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

from shared.errors import OrderwakeError
from shared.events import Event
from shared.topics import INBOUND_OF_TYPE

_CHUNK = 500
_BATCH_TYPE = "application/cloudevents-batch+json"
_PATIENCE_SECONDS = 60


class NotAcceptedError(OrderwakeError):
    """Ingest refused what the generator made, or never answered."""


async def produce(
    producer: AIOKafkaProducer, events: Iterable[Event], progress: Callable[[int], None]
) -> int:
    """Write events onto their inbound topics, acknowledged; calls `progress(n)` a chunk. Returns how many."""
    count = 0
    remaining = iter(events)
    while chunk := list(islice(remaining, _CHUNK)):
        sent = [
            await producer.send(INBOUND_OF_TYPE[event.type].name, event.encode(), _key(event))
            for event in chunk
        ]
        await asyncio.gather(*sent)
        count += len(chunk)
        progress(len(chunk))
    return count


def _key(event: Event) -> bytes:
    return f"{event.shopid}|{event.customerid or event.data.model_dump().get('order_id', event.id)}".encode()


async def post(session: aiohttp.ClientSession, url: str, events: Sequence[Event]) -> None:
    """Post a batch to /v1/events; waits and tries again on 429, 503 and a lost connection, as any client should."""
    body = orjson.dumps([event.model_dump(mode="json", exclude_none=True) for event in events])
    end = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while asyncio.get_running_loop().time() < end:
        pause = await _try(session, url, body)
        if pause is None:
            return
        await asyncio.sleep(pause)
    message = f"ingest took no events for {_PATIENCE_SECONDS} s"
    raise NotAcceptedError(message)


async def _try(session: aiohttp.ClientSession, url: str, body: bytes) -> float | None:
    """Seconds to wait before the next try; None when Kafka has the events."""
    try:
        async with session.post(url, data=body, headers={"Content-Type": _BATCH_TYPE}) as answer:
            if answer.status == 202:  # noqa: PLR2004  HTTP's own number
                return None
            if answer.status not in (429, 503):
                message = f"ingest answered {answer.status}: {await answer.text()}"
                raise NotAcceptedError(message)
            return float(answer.headers.get("Retry-After", "1"))
    except aiohttp.ClientConnectionError:
        return 1.0
