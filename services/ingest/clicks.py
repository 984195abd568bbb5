"""The links in messages: unsubscribe (RFC 8058) and the answers to a satisfaction check.

A GET never changes anything, since mail scanners fetch every link they see: it shows a page with one button. For an
answer the page presses its button by itself, so that people click once. A POST of an unsubscribe link needs neither
cookie nor body, as mail programs' own button sends it.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from aiohttp import web

from services.ingest.cloudevents import Refused
from shared import ids
from shared.clock import Clock
from shared.events import Channel, Engagement, EngagementKind, EngagementRecorded, Event
from shared.links import Clicked, Links

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>
body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 28rem; margin: 15vh auto 0; padding: 0 1.5rem; color: #222 }}
button {{ font: inherit; padding: .7rem 1.4rem; border: 0; border-radius: .5rem; background: #234; color: #fff }}
</style></head><body><h1>{title}</h1><p>{text}</p>{form}</body></html>"""
_FORM = '<form method="post"><button>{button}</button></form>'
_BY_ITSELF = "<script>document.forms[0].submit()</script>"


class Clicks:
    """Routes of the links that `shared.links` makes. `take` puts events on their way or raises Refused."""

    def __init__(
        self, take: Callable[[Sequence[Event]], Awaitable[None]], links: Links, clock: Clock
    ) -> None:
        self._take = take
        self._links = links
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What the service's HTTP server is to serve."""
        return [
            web.get("/{place:[ua]}/{token}", self.show),
            web.post("/{place:[ua]}/{token}", self.act),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """A page with one button; nothing is changed."""
        clicked = self._links.read(request.match_info["token"])
        if clicked is None:
            return _unknown_link()
        if clicked.action == "unsubscribe":
            form = _FORM.format(button="Unsubscribe")
            return _page(
                HTTPStatus.OK, "Unsubscribe?", "You will get no more offers from this shop this way.", form
            )
        form = _FORM.format(button="Send my answer") + _BY_ITSELF
        return _page(HTTPStatus.OK, "Thank you", "Your answer is on its way.", form)

    async def act(self, request: web.Request) -> web.Response:
        """Record the click; 200 when Kafka has it, 503 with Retry-After when it cannot be recorded now."""
        clicked = self._links.read(request.match_info["token"])
        if clicked is None:
            return _unknown_link()
        try:
            await self._take([self._event(clicked)])
        except Refused as answer:
            again = _page(
                HTTPStatus.SERVICE_UNAVAILABLE, "Please try again", "This could not be saved just now."
            )
            again.headers["Retry-After"] = str(answer.retry_after or 2)
            return again
        if clicked.action == "unsubscribe":
            return _page(
                HTTPStatus.OK, "You are unsubscribed", "You will get no more offers from this shop this way."
            )
        return _page(HTTPStatus.OK, "Thank you", "We have your answer.")

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


def _unknown_link() -> web.Response:
    return _page(HTTPStatus.NOT_FOUND, "This link does not work", "It is not complete, or not one of ours.")


def _page(status: HTTPStatus, title: str, text: str, form: str = "") -> web.Response:
    body = _PAGE.format(title=title, text=text, form=form)
    return web.Response(
        status=status, text=body, content_type="text/html", headers={"Cache-Control": "no-store"}
    )
