"""HTTP: `GET /v1/recommendations` answers from memory; `GET /v1/status` tells what there is to answer from."""

from dataclasses import asdict
from decimal import Decimal
from hashlib import blake2b
from http import HTTPStatus

import orjson
from aiohttp import web

from services.recommender.domain.serving import recommend
from services.recommender.domain.shelf import Shelf
from services.recommender.domain.wish import Customer, season_of
from services.recommender.serving.answers import body_of
from services.recommender.serving.keys import Doors
from services.recommender.serving.question import (
    PRIVATE,
    Fault,
    Question,
    Reason,
    Refused,
    Standing,
    question_of,
)
from services.recommender.serving.shelves import Shelves
from shared import metrics
from shared.clock import Clock
from shared.settings import Settings

KEY_HEADER = "X-Orderwake-Key"
FRESH_SECONDS = 30
_PREFLIGHT_SECONDS = 86_400

_NO_ENTRY = Fault(
    Reason.WRONG_API_KEY, "key", f"this key does not open this shop; send it as {KEY_HEADER} or as key"
)
_SECRET_KEY = (
    f"only the shop's own servers may ask this: send a key of ORDERWAKE_RECOMMENDATION_SECRET_KEYS as {KEY_HEADER}; "
    "a page sends the products of the last order as basket instead"
)
_IN_THE_OPEN = Fault(
    Reason.WRONG_API_KEY,
    "key",
    f"a secret key must not stand in a URL: send it as {KEY_HEADER}, and make a new one",
)
_NO_SHOP = Fault(Reason.UNKNOWN_SHOP, "shop", "nothing is known of this shop yet")
_READING = Fault(Reason.NOT_CAUGHT_UP, "", "still reading what goes with what; ask again")
_NOBODY = Customer({})


class Api:
    """The routes. `origins` are the web origins whose pages may ask ("*": any)."""

    def __init__(
        self, shelves: Shelves, doors: Doors, origins: frozenset[str], settings: Settings, clock: Clock
    ) -> None:
        self._shelves = shelves
        self._doors = doors
        self._origins = origins
        self._settings = settings
        self._price_share = Decimal(str(settings.recommendation_price_share))
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What the process's HTTP server is to serve."""
        return [
            web.get("/v1/recommendations", self.get_recommendations),
            web.options("/v1/recommendations", self.preflight),
            web.get("/v1/status", self.get_status),
        ]

    async def get_recommendations(self, request: web.Request) -> web.Response:
        """200 with products, 304 when they are those of the ETag given; 400, 403, 404 with faults; 503 at first."""
        started = self._clock.monotonic()
        private = False
        try:
            question = question_of(request.query)
            private = question.private
            response = self._answer(request, question)
        except Refused as answer:
            response = _refusal(answer)
        response.headers.update(self._sharing(request, private=private))
        metrics.RECOMMENDATION_SECONDS.observe(self._clock.monotonic() - started)
        return response

    async def preflight(self, request: web.Request) -> web.Response:
        """Say to a browser which pages may ask, and with which headers."""
        headers = self._sharing(request)
        if "Access-Control-Allow-Origin" in headers:
            headers["Access-Control-Allow-Methods"] = "GET, HEAD"
            headers["Access-Control-Allow-Headers"] = f"{KEY_HEADER}, If-None-Match"
            headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)

    async def get_status(self, _: web.Request) -> web.Response:
        """How much is in memory, and which version of the relations is in force."""
        shelves = self._shelves.by_shop.values()
        known = {
            "shops": len(shelves),
            "products": sum(map(len, shelves)),
            "complements": sum(len(shelf.around) for shelf in shelves),
            "customers": sum(len(shelf.customers) for shelf in shelves),
            "relations_version": self._shelves.relations.version,
        }
        return _json(HTTPStatus.OK, orjson.dumps(known))

    def _answer(self, request: web.Request, question: Question) -> web.Response:
        trusted = self._check_key(request, question)
        shelf = self._shelf(question)
        customer = shelf.customers.get(question.customer, _NOBODY) if question.customer is not None else None
        wish = question.wish(self._standing(), customer)
        answer = recommend(shelf, wish)
        body = orjson.dumps(body_of(question, wish, shelf, answer, trusted=trusted), default=str)
        tag = None if question.private else blake2b(body, digest_size=12).hexdigest()
        if tag is not None and _has(request, tag):
            metrics.RECOMMENDATIONS.labels("not_modified").inc()
            response = web.Response(status=HTTPStatus.NOT_MODIFIED)
        else:
            metrics.RECOMMENDATIONS.labels("full" if len(answer.picks) == wish.k else "short").inc()
            response = _json(HTTPStatus.OK, body)
        if tag is None:
            response.headers["Cache-Control"] = "private, no-store"
        else:
            response.etag = tag
            response.headers["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
        return response

    def _check_key(self, request: web.Request, question: Question) -> bool:
        """Whether it is the shop's own server that asks. Raises Refused where the key does not open what is asked."""
        sent = request.headers.get(KEY_HEADER)
        if question.key and self._doors.server(question.shop, question.key):
            raise Refused(HTTPStatus.FORBIDDEN, _IN_THE_OPEN)
        trusted = sent is not None and self._doors.server(question.shop, sent)
        if not trusted and not self._doors.page(question.shop, question.key if sent is None else sent):
            raise Refused(HTTPStatus.FORBIDDEN, _NO_ENTRY)
        if question.private and not trusted:
            faults = (
                Fault(Reason.SECRET_KEY_NEEDED, name, _SECRET_KEY)
                for name in PRIVATE
                if getattr(question, name) is not None
            )
            raise Refused(HTTPStatus.FORBIDDEN, *faults)
        return trusted

    def _shelf(self, question: Question) -> Shelf:
        if not self._shelves.ready():
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _READING, retry_after=1)
        shelf = self._shelves.by_shop.get(question.shop)
        if shelf is None:
            raise Refused(HTTPStatus.NOT_FOUND, _NO_SHOP)
        return shelf

    def _standing(self) -> Standing:
        return Standing(
            price_share=self._price_share,
            min_stock=self._settings.recommendation_min_stock,
            min_margin=self._settings.recommendation_min_margin,
            season=season_of(self._clock.business()),
        )

    def _sharing(self, request: web.Request, *, private: bool = False) -> dict[str, str]:
        """Headers for caches and for browsers of other origins. Caches must not serve one key's answer to another.

        No page is to read what is for the shop's own servers.
        """
        headers = {"Vary": f"Origin, {KEY_HEADER}"}
        origin = request.headers.get("Origin")
        if origin is not None and not private and not self._origins.isdisjoint((origin, "*")):
            headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin
            headers["Access-Control-Expose-Headers"] = "ETag, Retry-After"
        return headers


def _has(request: web.Request, tag: str) -> bool:
    return any(one.value in (tag, "*") for one in request.if_none_match or ())


def _refusal(answer: Refused) -> web.Response:
    for reason in {fault.reason for fault in answer.faults}:
        metrics.HTTP_REFUSED.labels(reason).inc()
    response = _json(answer.status, orjson.dumps({"errors": [asdict(fault) for fault in answer.faults]}))
    response.headers["Cache-Control"] = "no-store"
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")
