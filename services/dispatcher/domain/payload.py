"""What a shop's own server is told of a message: all that it needs to write one, and nothing of how to reach the person."""

from collections.abc import Mapping
from typing import Any

from shared.events import MessageRequested

_SHOWN = (
    "shop_name",
    "order_id",
    "purchase",
    "products",
    "incentive",
    "add_more",
    "early_access_until",
    "answers",
    "guide",
)


def payload(event: MessageRequested, context: Mapping[str, Any], links: Mapping[str, Any]) -> dict[str, Any]:
    """The body as JSON values; the same message gives the same. `context` is the message's own, with links of ours."""
    message = event.data
    return {
        "type": "message.requested",
        "timestamp": message.created_at.isoformat(),
        "data": {
            "message_id": str(message.message_id),
            "shop": event.shopid,
            "customer_id": event.customerid,
            "journey": message.journey,
            "step": message.step,
            "template": message.template,
            "locale": message.locale,
            "valid_until": message.valid_until.isoformat(),
            **{name: context.get(name) for name in _SHOWN},
            **links,
        },
    }
