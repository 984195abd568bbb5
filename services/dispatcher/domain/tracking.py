"""Which addresses in a message's context become links of ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

MakeLink = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class ShortLink:
    """One link of a text, to be kept before the text is handed over. It ends at `expires_at` (business time)."""

    code: str
    url: str
    target: str
    message_id: UUID
    shop: str
    customer: str
    channel: str
    expires_at: datetime


def tracked(context: Mapping[str, Any], link: MakeLink, image: MakeLink) -> dict[str, Any]:
    """The context with every product's and the guide's address passed through `link`, pictures through `image`.

    An address for which there is no link of ours is left out, and so is what would have shown it.
    """
    guide = context.get("guide")
    products = context.get("products") or ()
    return {
        **context,
        "products": [_tracked(product, link, image) for product in products],
        "guide": _tracked(guide, link, image) if guide else guide,
    }


def first_address(context: Mapping[str, Any], is_good: Callable[[str], bool]) -> str | None:
    """The address that a message with one link leads to: the guide's, else the first product's that is good."""
    items = [context.get("guide"), *(context.get("products") or ())]
    found = (str(item["url"]) for item in items if item and item.get("url"))
    return next((url for url in found if is_good(url)), None)


def _tracked(item: Mapping[str, Any], link: MakeLink, image: MakeLink) -> dict[str, Any]:
    makers = {"url": link, "image_url": image}
    return {
        name: makers[name](str(value)) if value and name in makers else value for name, value in item.items()
    }
