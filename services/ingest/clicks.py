"""The links in messages: unsubscribe (RFC 8058), the answers to a satisfaction check, and the way to a product.

A GET of an unsubscribe or answer link never changes anything, since mail scanners fetch every link they see: it shows a
page with one button. For an answer the page presses its button by itself, so that people click once. A POST of an
unsubscribe link needs neither cookie nor body, as mail programs' own button sends it.

A link to a product notes the click and leads on; who says that they only look ahead (HEAD, prefetch) is led on unnoted.
Nobody waits for the note longer than a second: who clicked wants to see the product.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from aiohttp import web

from services.ingest.cloudevents import Refused
from shared import ids, metrics
from shared.clock import Clock
from shared.events import Channel, Engagement, EngagementKind, EngagementRecorded, Event
from shared.links import Clicked, Followed, Links
from shared.pages import language_of, looks_ahead, page

log = structlog.get_logger()

NOTE_SECONDS = 1.0


class Clicks:
    """Routes of the links that `shared.links` makes. `take` puts events on their way or raises Refused."""

    def __init__(
        self, take: Callable[[Sequence[Event]], Awaitable[None]], links: Links, clock: Clock
    ) -> None:
        self._take = take
        self._links = links
        self._clock = clock
        self._noting: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """What the service's HTTP server is to serve."""
        return [
            web.get("/{place:[ua]}/{token}", self.show),
            web.post("/{place:[ua]}/{token}", self.act),
            web.get("/r/{token}", self.follow),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """A page with one button; nothing is changed."""
        clicked = self._links.read(request.match_info["token"])
        if clicked is None:
            return page("unknown", _language(request))
        language = _language(request, clicked.language)
        if clicked.action == "unsubscribe":
            return page("unsubscribe", language)
        return page("answer", language, by_itself=True)

    async def act(self, request: web.Request) -> web.Response:
        """Record the click; 200 when Kafka has it, 503 with Retry-After when it cannot be recorded now."""
        clicked = self._links.read(request.match_info["token"])
        if clicked is None:
            return page("unknown", _language(request))
        language = _language(request, clicked.language)
        try:
            await self._take([self._event(clicked)])
        except Refused as answer:
            again = page("busy", language)
            again.headers["Retry-After"] = str(answer.retry_after or 2)
            return again
        return page("unsubscribed" if clicked.action == "unsubscribe" else "answered", language)

    async def follow(self, request: web.Request) -> web.Response:
        """302 to the target, noted as a click, or as an opening where it is a picture; 404 and 410 lead nowhere."""
        followed = self._links.followed(request.match_info["token"])
        if followed is None:
            metrics.LINKS_FOLLOWED.labels("unknown").inc()
            return page("unknown", _language(request))
        if self._clock.business() > followed.expires_at:
            metrics.LINKS_FOLLOWED.labels("expired").inc()
            return page("expired", _language(request))
        if looks_ahead(request):
            metrics.LINKS_FOLLOWED.labels("looked_ahead").inc()
        else:
            await self._note(followed)
        return web.Response(
            status=HTTPStatus.FOUND,
            headers={
                "Location": followed.target,
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
            },
        )

    async def _note(self, followed: Followed) -> None:
        task = asyncio.create_task(self._put(self._following(followed)))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)
        await asyncio.wait({task}, timeout=NOTE_SECONDS)

    async def _put(self, event: EngagementRecorded) -> None:
        try:
            await self._take([event])
        except Refused as answer:
            metrics.LINKS_FOLLOWED.labels("not_noted").inc()
            log.warning("click_not_noted", status=answer.status)
        else:
            metrics.LINKS_FOLLOWED.labels(event.data.kind).inc()

    def _following(self, followed: Followed) -> EngagementRecorded:
        """One event a message and link, however often it is followed."""
        kind = EngagementKind.OPENED if followed.image else EngagementKind.CLICKED
        sent, now = followed.sent, self._clock.business()
        about = () if followed.image else (followed.target,)
        return EngagementRecorded(
            id=ids.event_id("link", kind, sent.message_id, *about),
            source="links",
            time=now,
            shopid=sent.shop,
            customerid=sent.customer,
            data=Engagement(
                kind=kind,
                channel=Channel(sent.channel),
                occurred_at=now,
                message_id=str(sent.message_id),
            ),
        )

    def _event(self, clicked: Clicked) -> Event:
        unsubscribes = clicked.action == "unsubscribe"
        now = self._clock.business()
        return EngagementRecorded(
            id=ids.event_id("click", clicked.action, clicked.message_id, now.isoformat()),
            source="links",
            time=now,
            shopid=clicked.shop,
            customerid=clicked.customer,
            data=Engagement(
                kind=EngagementKind.UNSUBSCRIBED if unsubscribes else EngagementKind.ANSWERED,
                channel=Channel(clicked.channel),
                occurred_at=now,
                message_id=clicked.message_id,
                answer=None if unsubscribes else clicked.action,
            ),
        )


def _language(request: web.Request, locale: str = "") -> str:
    return language_of(locale, request.headers.get("Accept-Language", ""))
