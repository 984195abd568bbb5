"""One click: the first is told to everybody whom it concerns, any other gets the same answer."""

from datetime import datetime
from http import HTTPStatus
from uuid import UUID

import asyncpg

from services.scheduler.deciding import SOURCE
from services.scheduler.page import store
from services.scheduler.page.delivery import Delivery
from services.scheduler.page.question import Fault, Refused, Told
from services.scheduler.page.store import Held
from services.scheduler.page.tokens import Tokens
from services.scheduler.page.webhook import accepted
from shared import ids
from shared.clock import Clock
from shared.events import Channel, Engagement, EngagementKind, EngagementRecorded
from shared.kafka import outbox
from shared.kafka.outbox import Outgoing
from shared.topics import ENGAGEMENT

_TOKEN = Told(Fault.WRONG_TOKEN, "token", "send the token that came with this offer")
_UNKNOWN = Told(Fault.UNKNOWN_OFFER, "", "there is no such offer")
_EXPIRED = Told(Fault.EXPIRED, "", "the offer has ended")


class Acceptances:
    """Accepts offers for whoever holds their token."""

    def __init__(self, pool: asyncpg.Pool, tokens: Tokens, delivery: Delivery, clock: Clock) -> None:
        self._pool = pool
        self._tokens = tokens
        self._delivery = delivery
        self._clock = clock

    async def accept(self, offer: UUID, token: str) -> datetime:
        """Accept an offer, or find it accepted; returns when that was, in business time.

        Raises Refused: 403 without the offer's token, 404 if there is no such offer, 410 once it has ended.
        """
        if not self._tokens.opens(token, offer):
            raise Refused(HTTPStatus.FORBIDDEN, _TOKEN)
        now = self._clock.business()
        async with self._pool.acquire() as connection, connection.transaction():
            held = await store.lock_offer(connection, offer)
            if held is not None and held.accepted_at is not None:
                return held.accepted_at
            if self._tokens.expired(token, now) or (held is not None and held.expires_at <= now):
                raise Refused(HTTPStatus.GONE, _EXPIRED)
            if held is None:
                raise Refused(HTTPStatus.NOT_FOUND, _UNKNOWN)
            await store.accept(connection, offer, now)
            await outbox.put(connection, [_told(held, offer, now)])
            if held.shop_id in self._delivery.addresses:
                body = accepted(held, now)
                await store.put_webhook(
                    connection, webhook_id(offer), held.shop_id, body, self._clock.machine()
                )
        self._delivery.wake()
        return now


def webhook_id(offer: UUID) -> str:
    """The id under which a shop is told of an acceptance, in every attempt."""
    return f"msg_{ids.event_id('offer_accepted', offer)}"


def _told(held: Held, offer: UUID, now: datetime) -> Outgoing:
    event = EngagementRecorded(
        id=ids.event_id("offer_accepted", offer),
        source=SOURCE,
        time=now,
        shopid=held.shop_id,
        customerid=held.customer_id,
        correlationid=held.order_id,
        data=Engagement(
            kind=EngagementKind.OFFER_ACCEPTED, channel=Channel.PAGE, occurred_at=now, message_id=str(offer)
        ),
    )
    return Outgoing(ENGAGEMENT.name, ids.partition_key(held.shop_id, held.customer_id), event.encode())
