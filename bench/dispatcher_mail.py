"""The benchmark's messages: the worked shops' e-mails in turn, each with as many products as makes it 20 kB."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from services.dispatcher.compose import Composer
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import Parcel
from services.dispatcher.providers.smtp import serialise
from shared.events import CustomerRecorded, MessageRequested
from tests.support.messages import CONTEXT, customer, message

TEMPLATES = (
    "skincare/complete-your-routine",
    "skincare/your-routine",
    "fitness/kettlebell-bundle",
    "fitness/gear-guide",
    "home-goods/care-and-styling",
    "home-goods/brand-story",
)
CUSTOMERS = 2000
WANTED_BYTES = 20_000
_MOST_PRODUCTS = 24
_WHY = "Restores what cleansing takes, keeps the barrier calm, and goes under everything you use after it."


def people(now: datetime) -> list[CustomerRecorded]:
    """Customers who agreed to hear from the shop."""
    return [customer(number, at=now - timedelta(days=30)) for number in range(CUSTOMERS)]


def messages(number: int, products: int, now: datetime) -> list[MessageRequested]:
    """So many messages, each of its own, valid for a day from now."""
    context = _context(products)
    return [_message(place, context, now) for place in range(number)]


def products_for(composer: Composer, now: datetime) -> tuple[int, int]:
    """How many products a mail needs to be 20 kB on the wire at the mean, and the mean bytes that this gives."""
    for products in range(1, _MOST_PRODUCTS):
        context = _context(products)
        sizes = list(_sizes(composer, [_message(place, context, now) for place in range(len(TEMPLATES))]))
        size = sum(sizes) // len(sizes)
        if size >= WANTED_BYTES:
            break
    return products, size


def claimed(found: Sequence[MessageRequested]) -> list[Claimed]:
    """The messages as the ledger would hand them out."""
    return [Claimed(each.data.message_id, each, 0, 0) for each in found]


def _sizes(composer: Composer, found: Sequence[MessageRequested]) -> Iterator[int]:
    for one in claimed(found):
        parcel = composer.parcel(one)
        if not isinstance(parcel, Parcel):
            message = f"{one.event.data.template}: {parcel}"
            raise TypeError(message)
        yield len(serialise(parcel, "offers@shop.example.com"))


def _context(products: int) -> dict[str, Any]:
    first = CONTEXT["products"][0]
    shown = [
        {**first, "product_id": f"p-{place}", "name": f"{first['name']} {place}", "why": _WHY}
        for place in range(products)
    ]
    return {**CONTEXT, "products": shown}


def _message(place: int, context: dict[str, Any], now: datetime) -> MessageRequested:
    return message(
        place % CUSTOMERS,
        message_id=uuid4(),
        template=TEMPLATES[place % len(TEMPLATES)],
        context=context,
        created_at=now,
        valid_until=now + timedelta(days=1),
    )
