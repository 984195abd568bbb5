"""Hours in which people are left alone: the law's for texts, a journey's own for any channel."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.scheduler.domain.case import Case
from services.scheduler.domain.terms import QuietHours
from services.scheduler.domain.timing import local_zone
from shared.events import Channel, Outcome, Reason, RuleOutcome

_LOOK_AHEAD = timedelta(days=9)
Stretch = tuple[datetime, datetime]


def quiet_hours(case: Case) -> RuleOutcome:
    """Neither the law nor the journey lets this channel disturb the customer now."""
    own = case.journey.quiet_hours.get(case.due.channel)
    stretch = permitted(case)
    inputs = {
        "places": [list(place) for place in places(case)],
        "zones": zones(case),
        "law": case.context.law.version if case.due.channel is Channel.SMS else None,
        "own": own and f"{own.starts:%H:%M}-{own.ends:%H:%M}",
        "opens_at": stretch and stretch[0].isoformat(),
        "closes_at": stretch and stretch[1].isoformat(),
    }
    if stretch is None:
        return RuleOutcome(rule=Reason.QUIET_HOURS, outcome=Outcome.DROP, inputs=inputs)
    if stretch[0] <= case.now:
        return RuleOutcome(rule=Reason.QUIET_HOURS, outcome=Outcome.PASS, inputs=inputs)
    if own is not None and own.action == "drop":
        return RuleOutcome(rule=Reason.QUIET_HOURS, outcome=Outcome.DROP, inputs=inputs)
    return RuleOutcome(rule=Reason.QUIET_HOURS, outcome=Outcome.DEFER, inputs=inputs, until=stretch[0])


def permitted(case: Case) -> Stretch | None:
    """Return the first stretch from now on that law and journey both allow; None if days have none."""
    own, zone = case.journey.quiet_hours.get(case.due.channel), local_zone(case.state, case.journey)
    moment = case.now
    while moment - case.now < _LOOK_AHEAD:
        by_law = _by_law(case, moment)
        if by_law is None:
            return None
        opens_at, closes_at = _outside(own, by_law[0], zone)
        if opens_at == by_law[0]:
            return opens_at, min(closes_at, by_law[1])
        moment = opens_at
    return None


def places(case: Case) -> list[tuple[str | None, str | None]]:
    """Return where the customer may be, by profile and by the order's address."""
    found = [(facts.country, facts.region) for facts in (case.state.profile, case.order) if facts]
    return list(dict.fromkeys(place for place in found if any(place)))


def zones(case: Case) -> list[str]:
    """Return the customer's own zone, if it is known."""
    profile = case.state.profile
    return [profile.time_zone] if profile and profile.time_zone else []


def _by_law(case: Case, moment: datetime) -> Stretch | None:
    if case.due.channel is not Channel.SMS:
        return moment, moment + _LOOK_AHEAD
    return case.context.law.permitted(moment, places=places(case), zones=zones(case))


def _outside(quiet: QuietHours | None, moment: datetime, zone: ZoneInfo) -> Stretch:
    """Return the first stretch from `moment` on outside local quiet hours."""
    if quiet is None or quiet.starts == quiet.ends:
        return moment, moment + _LOOK_AHEAD
    today = moment.astimezone(zone).date()
    stretches = (_open_on(quiet, today + timedelta(days=ahead), zone) for ahead in (-1, 0, 1, 2))
    opens_at, closes_at = next(stretch for stretch in stretches if stretch[1] > moment)
    return max(opens_at, moment), closes_at


def _open_on(quiet: QuietHours, day: date, zone: ZoneInfo) -> Stretch:
    """Return the stretch that opens on a day and lasts until quiet hours start again."""
    closing = day if quiet.starts > quiet.ends else day + timedelta(days=1)
    opens_at = datetime.combine(day, quiet.ends, zone).astimezone(UTC)
    return opens_at, datetime.combine(closing, quiet.starts, zone).astimezone(UTC)
