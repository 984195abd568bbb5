"""When people are left alone: the law's hours for texts, a journey's own for any message, and a shop's blackout days."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from services.scheduler.domain.case import Case
from services.scheduler.domain.saying import drop_if, passes, wait
from services.scheduler.domain.terms import Action, QuietHours
from shared.events import MESSAGE_CHANNELS, Channel, Reason, RuleOutcome

_LOOK_AHEAD = timedelta(days=9)
_NOTHING = timedelta(0)
Stretch = tuple[datetime, datetime]
Calendar = Callable[[datetime], Stretch | None]
"""Gives the first permitted stretch that ends after a moment, cut to begin no earlier; None if days have none."""


def quiet_hours(case: Case) -> RuleOutcome:
    """Neither the law nor the journey lets this channel disturb the customer now, or before the provider is through."""
    channel = case.due.channel
    own = case.journey.quiet_hours.get(channel)
    if channel not in MESSAGE_CHANNELS or (own is None and channel is not Channel.SMS):
        return passes(Reason.QUIET_HOURS, law=None, own=None)
    stretch = permitted(case)
    inputs = {
        "places": [list(place) for place in case.places],
        "zones": [zone.key for zone in case.zones],
        "law": case.context.law.version if channel is Channel.SMS else None,
        "own": own and f"{own.starts:%H:%M}-{own.ends:%H:%M}",
        "queueing_s": int(case.programme.queueing.get(channel, _NOTHING).total_seconds()),
        "opens_at": stretch and stretch[0].isoformat(),
        "closes_at": stretch and stretch[1].isoformat(),
    }
    if stretch is None:
        return drop_if(Reason.QUIET_HOURS, forbids=True, **inputs)
    if stretch[0] <= case.now:
        return passes(Reason.QUIET_HOURS, **inputs)
    return wait(Reason.QUIET_HOURS, _action(case, own), stretch[0], **inputs)


def _action(case: Case, own: QuietHours | None) -> Action:
    """What the law forbids now may be sent later; the journey's own quiet hours may say drop."""
    if own is None or own.action == "defer" or own.starts == own.ends:
        return "defer"
    quiet = any(_outside(own, zone, case.now)[0] > case.now for zone in case.zones)
    return "drop" if quiet else "defer"


def permitted(case: Case) -> Stretch | None:
    """Return the first stretch from now on that law and journey both allow, in every zone where the customer may be.

    It is longer than the provider may take with a message. None if days have none.
    """
    needed = case.programme.queueing.get(case.due.channel, _NOTHING)
    calendars = _calendars(case)
    moment, end = case.now, case.now + _LOOK_AHEAD
    while moment < end:
        opens_at, closes_at = moment, end + _LOOK_AHEAD
        for calendar in calendars:
            stretch = calendar(moment)
            if stretch is None:
                return None
            opens_at, closes_at = max(opens_at, stretch[0]), min(closes_at, stretch[1])
        if opens_at > moment:
            moment = opens_at
        elif closes_at - moment > needed:
            return moment, closes_at
        else:
            moment = closes_at
    return None


def _calendars(case: Case) -> list[Calendar]:
    law, own = case.context.law, case.journey.quiet_hours.get(case.due.channel)
    found: list[Calendar] = []
    if case.due.channel is Channel.SMS:
        found.append(partial(law.permitted, places=case.places, zones=case.named_zones))
        if not law.zones(case.places, case.named_zones):
            # The law's guess for unknown places knows nothing of where the shop's customers live.
            found.append(partial(law.permitted, places=(), zones=(case.journey.time_zone,)))
    if own is not None and own.starts != own.ends:
        found += [partial(_outside, own, zone) for zone in case.zones]
    return found


def _outside(quiet: QuietHours, zone: ZoneInfo, moment: datetime) -> Stretch:
    """Return the first stretch outside local quiet hours."""
    today = moment.astimezone(zone).date()
    stretches = (_open_on(quiet, today + timedelta(days=ahead), zone) for ahead in (-1, 0, 1, 2))
    opens_at, closes_at = next(stretch for stretch in stretches if stretch[1] > max(moment, stretch[0]))
    return max(opens_at, moment), closes_at


def _open_on(quiet: QuietHours, day: date, zone: ZoneInfo) -> Stretch:
    """Return the stretch that opens on a day and lasts until quiet hours start again.

    Where clocks are set, a local time may come twice or never: the later end of quiet hours counts, and the earlier start.
    """
    closing = day if quiet.starts > quiet.ends else day + timedelta(days=1)
    return max(_readings(day, quiet.ends, zone)), min(_readings(closing, quiet.starts, zone))


def _readings(day: date, local: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first = datetime.combine(day, local, zone)
    return first.astimezone(UTC), first.replace(fold=1).astimezone(UTC)


def blackout(case: Case) -> RuleOutcome:
    """One of the shop's blackout days, somewhere that the customer may be. A message may wait for the day after the last."""
    drops, until, met = False, None, []
    for each in case.programme.blackouts:
        if case.due.channel not in each.channels:
            continue
        after = each.last + timedelta(days=1)
        zones = [zone for zone in case.zones if each.first <= case.now.astimezone(zone).date() < after]
        if zones:
            ends_at = max(max(_readings(after, time(0), zone)) for zone in case.zones)
            met.append(each.name)
            drops, until = drops or each.action == "drop", max(until or ends_at, ends_at)
    if until is None:
        return passes(Reason.BLACKOUT, met=met)
    return wait(Reason.BLACKOUT, "drop" if drops else "defer", until, met=met)
