"""HTTP for thank-you pages: an order in, one offer out; one click; and the script that does both."""

from dataclasses import asdict
from datetime import datetime
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from uuid import UUID

import orjson
from aiohttp import web

from services.scheduler.page.answer import Answer
from services.scheduler.page.doors import KEY_HEADER, PROOF_HEADER, Doors, Sent
from services.scheduler.page.question import Fault, Refused, Told, acceptance_of, question_of
from services.scheduler.page.tokens import Tokens
from shared import metrics
from shared.clock import Clock
from shared.events import Order
from shared.faults import PASSING

_PREFLIGHT_SECONDS = 86_400
_SCRIPT_SECONDS = 3600
_LARGEST = 64 * 1024
_TOO_LARGE = Told(Fault.TOO_LARGE, "", f"over {_LARGEST} bytes")
_UNKNOWN = Told(Fault.UNKNOWN_OFFER, "", "there is no such offer")
_AWAY = Told(Fault.UNAVAILABLE, "", "this could not be saved just now; send it again")


class Offering(Protocol):
    """Makes offers."""

    async def ask(self, shop: str, customer: str, order: Order) -> Answer:
        """Return the offer for an order, or why there is none; never raises for a reason of ours."""


class Accepting(Protocol):
    """Accepts them."""

    async def accept(self, offer: UUID, token: str) -> datetime:
        """Return when the offer was accepted. Raises Refused."""


class Script:
    """The storefront's script. Its address of a version never changes what it says."""

    def __init__(self, text: str) -> None:
        lines = (line.strip() for line in text.splitlines())
        self.body = "\n".join(line for line in lines if line and not line.startswith("//")).encode()
        self.version = blake2b(self.body, digest_size=6).hexdigest()

    def answer(self, request: web.Request) -> web.Response:
        """200 with the script, 304 when the browser has it; 404 for another version than ours."""
        version = request.match_info.get("version")
        if version not in (None, self.version):
            return web.Response(status=HTTPStatus.NOT_FOUND, headers={"Cache-Control": "no-store"})
        lasts = f"max-age={_SCRIPT_SECONDS}" if version is None else "max-age=31536000, immutable"
        headers = {
            "Cache-Control": f"public, {lasts}",
            "Access-Control-Allow-Origin": "*",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
        }
        if any(one.value in (self.version, "*") for one in request.if_none_match or ()):
            response = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        else:
            response = web.Response(
                body=self.body, content_type="text/javascript", charset="utf-8", headers=headers
            )
        response.etag = self.version
        return response


def own_script() -> Script:
    """Return the script as shipped."""
    return Script(Path(__file__).with_name("thank_you.js").read_text())


class Api:
    """The routes. `origins` are the web origins whose pages may ask ("*": any)."""

    def __init__(  # noqa: PLR0913, PLR0917  what the routes stand on
        self,
        offers: Offering,
        acceptances: Accepting,
        doors: Doors,
        tokens: Tokens,
        origins: frozenset[str],
        guest_salt: bytes,
        clock: Clock,
    ) -> None:
        self._offers = offers
        self._acceptances = acceptances
        self._doors = doors
        self._tokens = tokens
        self._origins = origins
        self._salt = guest_salt
        self._clock = clock
        self._script = own_script()

    def routes(self) -> list[web.RouteDef]:
        """What the process's HTTP server is to serve."""
        return [
            web.post("/v1/offers/thank-you", self.post_thank_you),
            web.options("/v1/offers/thank-you", self.preflight),
            web.post("/v1/offers/{offer}/accept", self.post_accept),
            web.options("/v1/offers/{offer}/accept", self.preflight),
            web.get("/v1/thank-you.js", self.get_script),
            web.get("/v1/thank-you.{version:[0-9a-f]{12}}.js", self.get_script),
        ]

    async def post_thank_you(self, request: web.Request) -> web.Response:
        """200 with the offer, or with null and the reason; 400, 403, 413, 422 with faults."""
        started = self._clock.monotonic()
        try:
            body = await _body(request)
            question = question_of(body)
            entry = self._doors.enter(question.shop, _sent(request), body)
            customer = question.customer(entry.shop, self._salt)
            order = question.order(self._clock.business())
            answer = await self._offers.ask(entry.shop, customer, order)
            metrics.PAGE_ANSWERS.labels("offer" if answer.offer else answer.reason).inc()
            response = _json(HTTPStatus.OK, answer.body(self._tokens, trusted=entry.trusted))
        except Refused as refused:
            response = _refusal(refused)
        metrics.PAGE_SECONDS.observe(self._clock.monotonic() - started)
        return self._shared(request, response)

    async def post_accept(self, request: web.Request) -> web.Response:
        """200 when the offer is accepted, by this click or an earlier one; 403, 404, 410, 422; 503 to try again."""
        try:
            acceptance = acceptance_of(await _body(request))
            offer = _offer_id(request.match_info["offer"])
            accepted_at = await self._acceptances.accept(offer, acceptance.token)
            said = {"accepted": True, "offer": offer, "accepted_at": accepted_at}
            response = _json(HTTPStatus.OK, orjson.dumps(said))
        except Refused as refused:
            response = _refusal(refused)
        except PASSING:
            response = _refusal(Refused(HTTPStatus.SERVICE_UNAVAILABLE, _AWAY))
            response.headers["Retry-After"] = "1"
        return self._shared(request, response)

    async def preflight(self, request: web.Request) -> web.Response:
        """Say to a browser which pages may ask, and with which headers."""
        response = self._shared(request, web.Response(status=HTTPStatus.NO_CONTENT))
        if "Access-Control-Allow-Origin" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = "POST"
            response.headers["Access-Control-Allow-Headers"] = f"Content-Type, {KEY_HEADER}, {PROOF_HEADER}"
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
        return response

    async def get_script(self, request: web.Request) -> web.Response:
        """The script for storefronts."""
        return self._script.answer(request)

    def _shared(self, request: web.Request, response: web.Response) -> web.Response:
        """Add the headers for browsers of other origins, and against caches."""
        response.headers["Cache-Control"] = "no-store"
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin is not None and not self._origins.isdisjoint((origin, "*")):
            response.headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin
        return response


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > _LARGEST:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
    body = await request.read()
    if len(body) > _LARGEST:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
    return body


def _sent(request: web.Request) -> Sent:
    query, headers = request.query, request.headers
    proof = headers.get(PROOF_HEADER) or query.get("proof", "")
    return Sent(headers.get(KEY_HEADER), query.get("key", ""), proof)


def _offer_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Refused(HTTPStatus.NOT_FOUND, _UNKNOWN) from None


def _refusal(refused: Refused) -> web.Response:
    for reason in {fault.reason for fault in refused.faults}:
        metrics.HTTP_REFUSED.labels(reason).inc()
    return _json(refused.status, orjson.dumps({"errors": [asdict(fault) for fault in refused.faults]}))


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")
