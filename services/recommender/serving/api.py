"""HTTP: `GET /v1/recommendations` answers from memory; `GET /v1/status` tells what there is to answer from."""

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from services.recommender.domain.serving import Answer, Pick, recommend
from services.recommender.domain.shelf import Shelf
from services.recommender.serving.keys import Keys
from services.recommender.serving.question import Fault, Question, Reason, Refused, question_of
from services.recommender.serving.shelves import Shelves
from shared import metrics
from shared.clock import Clock

KEY_HEADER = "X-Orderwake-Key"
FRESH_SECONDS = 30
_PREFLIGHT_SECONDS = 86_400

_NO_ENTRY = Fault(
    Reason.WRONG_API_KEY, "key", f"this key does not open this shop; send it as {KEY_HEADER} or as key"
)
_NO_SHOP = Fault(Reason.UNKNOWN_SHOP, "shop", "nothing is known of this shop yet")
_READING = Fault(Reason.NOT_CAUGHT_UP, "", "still reading what goes with what; ask again")


class Api:
    """The routes. `origins` are the web origins whose pages may ask ("*": any)."""

    def __init__(self, shelves: Shelves, keys: Keys, origins: frozenset[str], clock: Clock) -> None:
        self._shelves = shelves
        self._keys = keys
        self._origins = origins
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
        try:
            response = self._answer(request)
        except Refused as answer:
            response = _refusal(answer)
        response.headers.update(self._sharing(request))
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
        """How many shops, products and lists of complements are in memory."""
        shelves = self._shelves.by_shop.values()
        known = {
            "shops": len(shelves),
            "products": sum(map(len, shelves)),
            "complements": sum(len(shelf.complements) for shelf in shelves),
        }
        return _json(HTTPStatus.OK, orjson.dumps(known))

    def _answer(self, request: web.Request) -> web.Response:
        question = question_of(request.query)
        if not self._keys.open(question.shop, request.headers.get(KEY_HEADER, question.key)):
            raise Refused(HTTPStatus.FORBIDDEN, _NO_ENTRY)
        if not self._shelves.follower.caught_up:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _READING, retry_after=1)
        shelf = self._shelves.by_shop.get(question.shop)
        if shelf is None:
            raise Refused(HTTPStatus.NOT_FOUND, _NO_SHOP)
        wish = question.wish()
        answer = recommend(shelf, wish)
        body = orjson.dumps(_body(question, wish.basket, shelf, answer), default=str)
        tag = blake2b(body, digest_size=12).hexdigest()
        if _has(request, tag):
            metrics.RECOMMENDATIONS.labels("not_modified").inc()
            response = web.Response(status=HTTPStatus.NOT_MODIFIED)
        else:
            metrics.RECOMMENDATIONS.labels("full" if len(answer.picks) == wish.k else "short").inc()
            response = _json(HTTPStatus.OK, body)
        response.etag = tag
        response.headers["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
        return response

    def _sharing(self, request: web.Request) -> dict[str, str]:
        """Headers for caches and for browsers of other origins. Caches must not serve one key's answer to another."""
        headers = {"Vary": f"Origin, {KEY_HEADER}"}
        origin = request.headers.get("Origin")
        if origin is not None and not self._origins.isdisjoint((origin, "*")):
            headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin
            headers["Access-Control-Expose-Headers"] = "ETag, Retry-After"
        return headers


def _has(request: web.Request, tag: str) -> bool:
    return any(one.value in (tag, "*") for one in request.if_none_match or ())


def _body(question: Question, basket: tuple[str, ...], shelf: Shelf, answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = {
        "shop": question.shop,
        "basket": basket,
        "products": [_product(shelf, pick, explain=question.explain) for pick in answer.picks],
    }
    if question.explain:
        body["left_out"] = answer.left_out
    return body


def _product(shelf: Shelf, pick: Pick, *, explain: bool) -> dict[str, Any]:
    listing = shelf.listings.get(pick.product)
    shown: dict[str, Any] = {
        "product": pick.product,
        "score": pick.score,
        "support": pick.support,
        "relation": pick.relation,
        "reliable": pick.reliable,
        "because": pick.because,
    }
    if listing is not None:
        shown["name"] = listing.name
        shown |= _told(
            {
                "price": listing.price,
                "currency": listing.currency,
                "url": listing.url,
                "image_url": listing.image_url,
            }
        )
    if explain:
        shown["evidence"] = [
            {"with": product, "score": one.score, "support": one.support, "relation": one.relation}
            for product, one in pick.evidence
        ]
    return shown


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


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
