"""HTTP: `POST /v1/events` takes events, `GET /v1/status` tells what became of them.

A 202 means that Kafka has every event of the request. Any other status means: send it again, whole, when the
fault is mended or after Retry-After; ids make that safe.
"""

from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus

import asyncpg
import orjson
import structlog
from aiohttp import web
from prometheus_client import Counter

from services.ingest import store
from services.ingest.cloudevents import Fault, Refused, Turned, events_of, limit_of, refused
from services.ingest.domain.checks import Checks
from services.ingest.domain.normalize import inbound_key_of
from services.ingest.openapi import document
from services.ingest.publisher import Busy, Gate, KafkaAway
from shared import metrics
from shared.clock import Clock
from shared.errors import EventError, Refusal
from shared.events import MAX_RECORD_BYTES, Event
from shared.kafka.outbox import Outgoing
from shared.topics import INBOUND_OF_TYPE

log = structlog.get_logger()

_BUSY = Fault(
    0, Turned.TOO_MANY_IN_FLIGHT, "", "more events await Kafka than the limit allows; none was taken"
)
_AWAY = Fault(
    0, Turned.KAFKA_UNAVAILABLE, "", "Kafka has not acknowledged in time; send the same again, same ids"
)
_NO_DATABASE = Fault(
    0, Turned.POSTGRESQL_UNAVAILABLE, "", "the counts are not to be had now; events are still taken"
)


class Api:
    """The routes. Events are checked as the pipeline checks them, so that clients hear of faults at once."""

    def __init__(self, gate: Gate, checks: Checks, clock: Clock, pool: asyncpg.Pool) -> None:
        self._gate = gate
        self._checks = checks
        self._clock = clock
        self._pool = pool

    def routes(self) -> list[web.RouteDef]:
        """What the service's HTTP server is to serve."""
        return [
            web.post("/v1/events", self.post_events),
            web.get("/v1/status", self.get_status),
            web.get("/openapi.json", self.get_openapi),
        ]

    async def post_events(self, request: web.Request) -> web.Response:
        """202 when Kafka has all; 400, 403, 413, 415, 422 with each fault; 429, 503 with Retry-After."""
        try:
            events = events_of(request.content_type, request.headers, await _body(request))
            await self.take(events)
        except Refused as answer:
            return _refusal(answer)
        return _json(HTTPStatus.ACCEPTED, {"accepted": len(events)})

    async def get_status(self, _: web.Request) -> web.Response:
        """Counts since this process started, and what waits now."""
        try:
            parked, lag = await store.count_parked(self._pool), await store.lag(self._pool)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return _refusal(Refused(HTTPStatus.SERVICE_UNAVAILABLE, _NO_DATABASE, retry_after=2))
        status = {
            "accepted": _by_topic(metrics.EVENTS_ACCEPTED),
            "duplicates": sum(_by_topic(metrics.EVENTS_DUPLICATE).values()),
            "superseded": sum(_by_topic(metrics.EVENTS_SUPERSEDED).values()),
            "dead_letters": _by_topic(metrics.DEAD_LETTERS),
            "parked": parked,
            "lag": lag,
            "in_flight": self._gate.in_flight,
        }
        return _json(HTTPStatus.OK, status)

    async def get_openapi(self, _: web.Request) -> web.Response:
        """This API's OpenAPI document."""
        return _json(HTTPStatus.OK, document())

    async def take(self, events: Sequence[Event]) -> None:
        """Check events and put them on their inbound topics. Raises Refused with every fault."""
        await self._take(self._checked(events))

    def _checked(self, events: Sequence[Event]) -> list[Outgoing]:
        """The inbound records of the events. Raises Refused with the faults of all that fail a check."""
        now = self._clock.business()
        errors: list[tuple[int, EventError]] = []
        outgoing = []
        for index, event in enumerate(events):
            try:
                self._checks.check(event, now)
                outgoing.append(_inbound(event))
            except EventError as error:
                errors.append((index, error))
        if errors:
            raise refused(errors)
        return outgoing

    async def _take(self, outgoing: list[Outgoing]) -> None:
        try:
            await self._gate.take(outgoing)
        except Busy:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, _BUSY, retry_after=1) from None
        except KafkaAway:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _AWAY, retry_after=2) from None


async def _body(request: web.Request) -> bytes:
    limit = limit_of(request.content_type)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                Fault(0, Refusal.TOO_LARGE, "", f"the body may have {limit} bytes"),
            )
    return bytes(body)


def _inbound(event: Event) -> Outgoing:
    value = event.encode()
    if len(value) > MAX_RECORD_BYTES:
        raise EventError(Refusal.TOO_LARGE, f"{len(value)} bytes; the limit is {MAX_RECORD_BYTES}")
    return Outgoing(INBOUND_OF_TYPE[event.type].name, inbound_key_of(event), value)


def _refusal(answer: Refused) -> web.Response:
    for reason in {fault.reason for fault in answer.faults}:
        metrics.HTTP_REFUSED.labels(reason).inc()
    log.info(
        "request_refused", status=answer.status, reasons=sorted({fault.reason for fault in answer.faults})
    )
    response = _json(answer.status, {"errors": [asdict(fault) for fault in answer.faults]})
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def _json(status: int, content: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")


def _by_topic(counter: Counter) -> dict[str, int]:
    counts: dict[str, int] = {}
    for metric in counter.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                topic = sample.labels["topic"]
                counts[topic] = counts.get(topic, 0) + int(sample.value)
    return counts
