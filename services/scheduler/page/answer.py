"""What a thank-you page is told: one offer, or that there is none."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import orjson

from services.scheduler.page.tokens import Tokens

NEUTRAL = "no_offer"
"""All that a page learns of why there is none: the reasons tell of customers."""


class Nothing(StrEnum):
    """Why nothing was decided. Where a rule said no, its own name is the reason instead."""

    NO_STEP = "no_step"
    ANSWERED = "answered"
    EXPIRED = "expired"
    PAUSED = "paused"
    STALE_STATE = "stale_state"
    STARTING = "starting"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Made:
    """An offer: `text` is its JSON as it was first answered."""

    message_id: UUID
    text: str
    expires_at: datetime
    accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An offer, or the reason why there is none."""

    offer: Made | None
    reason: str = ""

    def body(self, tokens: Tokens, *, trusted: bool) -> bytes:
        """Return it as JSON, with the token that accepts it; the reason is for the shop's own servers."""
        if self.offer is None:
            return orjson.dumps({"offer": None, "reason": self.reason if trusted else NEUTRAL})
        token = tokens.make(self.offer.message_id, self.offer.expires_at)
        said = orjson.loads(self.offer.text) | {"token": token, "accepted_at": self.offer.accepted_at}
        return orjson.dumps({"offer": said})
