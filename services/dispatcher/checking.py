"""The last check, in the transaction that writes who goes: consent, pauses, hours and providers as they are now."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from services.dispatcher import links
from services.dispatcher.domain.consent import Standing
from services.dispatcher.domain.hours import Window, window
from services.dispatcher.domain.policy import Held, Withheld, check, wait_while_held
from services.dispatcher.domain.states import Cause
from services.dispatcher.flow import Lot, Share, Wait
from services.dispatcher.ledger import Claimed, Going, Ledger, Move
from services.dispatcher.news import News
from services.dispatcher.people import Connection
from services.dispatcher.providers.base import Parcel
from shared import metrics
from shared.clock import Clock
from shared.events import Channel
from shared.law import ContactHours
from shared.settings import Settings
from shared.switches import Switch

Claim = tuple[Claimed, Parcel | Withheld]
Passed = tuple[Claimed, Parcel, Lot]
Finding = Passed | Withheld | Wait

LONGEST_WAIT = 3600.0
"""Business time may be moved: what waits for a moment of it is looked at again after an hour."""


class Checker:
    """Judges batches by the newest that this service has read."""

    def __init__(
        self,
        ledger: Ledger,
        news: News,
        clock: Clock,
        settings: Settings,
        switches: Callable[[], Iterable[Switch]],
    ) -> None:
        self._ledger = ledger
        self._news = news
        self._clock = clock
        self._least = timedelta(seconds=settings.sms_queueing_seconds)
        self._switches = switches
        self._law = ContactHours.load()

    async def check(
        self, connection: Connection, batch: Sequence[Claim], shares: Mapping[UUID, Share]
    ) -> list[Passed]:
        """Write who goes, waits or is refused; returns those who go."""
        fresh = await self._news.fresh(connection)  # first: what is read after it is no older than it says
        standings = await self._ledger.people.standings(connection, [one for one, _ in batch])
        switches, now, machine = list(self._switches()), self._clock.business(), self._clock.machine()
        held, refused, passed = [], [], []
        for one, parcel in batch:
            standing = standings.get(one.message_id, Standing())
            finding = (
                self._find(one, parcel, shares.get(one.message_id), standing, switches, now)
                if fresh
                else _wait(Held.NEWS_STALE, one)
            )
            channel = one.event.data.channel
            if isinstance(finding, Wait):
                next_try = machine + timedelta(seconds=finding.seconds)
                held.append(Move(one.message_id, finding.held, next_try=next_try))
                metrics.MESSAGES_HELD.labels(channel, finding.held).inc()
            elif isinstance(finding, Withheld):
                refused.append(Move(one.message_id, finding))
                metrics.SENDS.labels(channel, "withheld").inc()
            else:
                passed.append((finding, standing))
        await self._ledger.move(connection, Cause.PUT_BACK, held)
        await self._ledger.move(connection, Cause.REFUSED, refused)
        going = [Going(one, lot.provider.name, standing) for (one, _, lot), standing in passed]
        ours = await self._ledger.hand_over(connection, going)
        leaving = [each for each, _ in passed if each[0].message_id in ours]
        await links.keep(connection, [link for _, parcel, _ in leaving for link in parcel.links])
        return leaving

    def _find(  # noqa: PLR0913, PLR0917  all that bears on one message
        self,
        one: Claimed,
        parcel: Parcel | Withheld,
        share: Share | None,
        standing: Standing,
        switches: Sequence[Switch],
        now: datetime,
    ) -> Finding:
        message = one.event.data
        verdict = check(one.event.shopid, message, standing, switches, now)
        if isinstance(verdict, Held):
            return _wait(verdict, one)
        if verdict is not None:
            return verdict
        if isinstance(parcel, Withheld):
            return parcel
        if message.channel is Channel.SMS:
            hours = window(self._law, message, standing, now, self._least)
            if isinstance(hours, Withheld):
                return hours
            if hours.opens_at > now:
                return Wait(Held.QUIET_HOURS, min(self._clock.until(hours.opens_at), LONGEST_WAIT))
            parcel = _within(parcel, hours, now)
        return (one, parcel, share) if isinstance(share, Lot) else share or _wait(Held.PROVIDER_AWAY, one)


def _within(parcel: Parcel, hours: Window, now: datetime) -> Parcel:
    """The parcel, valid no longer than the permitted hours."""
    return replace(parcel, valid_for=(hours.closes_at - now).total_seconds())


def _wait(held: Held, one: Claimed) -> Wait:
    return Wait(held, wait_while_held(held, one.put_back))
