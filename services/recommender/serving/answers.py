"""An answer as JSON: what is said of each product, and, where it is asked for, what speaks for it."""

from collections.abc import Mapping
from typing import Any

from services.recommender.domain.shelf import Shelf
from services.recommender.domain.wish import Answer, Gap, LeftOut, Pick, Wish
from services.recommender.serving.question import Question

_HELD_BACK = {LeftOut.LOW_MARGIN: "held_back"}
"""What pages are told instead: a shop's margins are nobody else's business."""


def body_of(question: Question, wish: Wish, shelf: Shelf, answer: Answer, *, trusted: bool) -> dict[str, Any]:
    """Say all of an answer. `trusted`: it goes to the shop's own server."""
    body: dict[str, Any] = {
        "shop": question.shop,
        "strategy": question.strategy,
        "basket": wish.basket,
        "products": [_product(shelf, pick, explain=question.explain) for pick in answer.picks],
    }
    if answer.bundle is not None:
        made = answer.bundle
        body["bundle"] = {"products": made.products, "price": made.price, "currency": made.currency}
    if question.explain:
        told = {} if trusted else _HELD_BACK
        body["left_out"] = {product: told.get(reason, reason) for product, reason in answer.left_out.items()}
    return body


def _product(shelf: Shelf, pick: Pick, *, explain: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "product": pick.product,
        "score": pick.score,
        "support": pick.support,
        "relation": pick.relation,
        "reliable": pick.reliable,
        "because": pick.because,
    }
    if pick.gap is not None:
        shown["gap"] = _gap(pick.gap)
    if pick.reorder_at is not None:
        shown["reorder_at"] = pick.reorder_at
    listing = shelf.listings.get(pick.product)
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
        shown["evidence"] = [_evidence(shelf, voice, pick) for voice in pick.voices]
    return shown


def _evidence(shelf: Shelf, voice: str, pick: Pick) -> dict[str, Any]:
    one = shelf.evidence(voice, pick.product)
    said: dict[str, Any] = {
        "with": voice,
        "score": one.score,
        "support": one.support,
        "relation": one.relation,
        "reliable": one.reliable,
    }
    return said if one.gap is None else said | {"gap": _gap(one.gap)}


def _gap(gap: Gap) -> dict[str, Any]:
    """Quartiles and mean in days, of those who bought within `within_days`: `share` of all, `support` seen."""
    return gap._asdict()


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
