"""When people may be texted: `contact-hours.yaml`, read once. No clock: the moment is passed in."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import yaml

_DATA = Path(__file__).with_name("contact-hours.yaml")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK_AHEAD = timedelta(days=8)


class Place(NamedTuple):
    """Where a person may be: ISO 3166 country and region, `NY` or `US-NY`; None where unknown."""

    country: str | None
    region: str | None


class Stretch(NamedTuple):
    """A permitted stretch of time, from `opens_at` up to but not at `closes_at`, in UTC."""

    opens_at: datetime
    closes_at: datetime


Week = tuple[tuple[time, time] | None, ...]
"""Permitted local hours, Monday first; None on a day without contact."""


class _Window(NamedTuple):
    week: Week
    zone: ZoneInfo

    def next(self, moment: datetime) -> Stretch | None:
        """Return the first stretch that ends after `moment`, cut to begin no earlier than it."""
        today = moment.astimezone(self.zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(_LOOK_AHEAD.days)):
            hours = self.week[day.weekday()]
            if hours and (closes_at := self._at(day, hours[1])) > moment:
                return Stretch(max(self._at(day, hours[0]), moment), closes_at)
        return None

    def _at(self, day: date, local: time) -> datetime:
        return datetime.combine(day, local, self.zone).astimezone(UTC)


class ContactHours:
    """Permitted hours for marketing texts, by place.

    Whoever may be in several places or zones is texted only when all of them permit it. Regions count for the
    United States. Outside them, and in a zone that is none of the state's, the default hours hold; without zone
    and state those for unknown places.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.version: str = data["version"]
        self._with_states: str = data["countries_with_states"]
        self._default = _week(data["default"])
        self._unknown = [
            _Window(_week(data["unknown_place"]["hours"]), ZoneInfo(zone))
            for zone in data["unknown_place"]["zones"]
        ]
        self._weeks = {
            state: _week(rule.get("hours", data["default"])) for state, rule in data["states"].items()
        }
        self._zones = {state: tuple(rule["zones"]) for state, rule in data["states"].items()}

    @classmethod
    def load(cls) -> Self:
        """Read the data that ships with Orderwake."""
        return cls(yaml.safe_load(_DATA.read_text()))

    @property
    def states(self) -> Sequence[str]:
        """Every state with data, and the District of Columbia."""
        return sorted(self._weeks)

    def zones_of(self, state: str) -> Sequence[ZoneInfo]:
        """Return the zones of a state."""
        return [ZoneInfo(name) for name in self._zones[state]]

    def permitted(
        self, moment: datetime, *, places: Sequence[tuple[str | None, str | None]], zones: Sequence[str]
    ) -> Stretch | None:
        """Return the first permitted stretch from `moment` on, or None if days go by without one.

        `zones` are IANA names; those that do not exist are ignored.
        """
        windows = self._windows(places, zones)
        opens_at = moment
        while opens_at - moment < _LOOK_AHEAD:
            stretches = [window.next(opens_at) for window in windows]
            known = [stretch for stretch in stretches if stretch]
            if len(known) < len(stretches):
                return None
            latest = max(stretch.opens_at for stretch in known)
            if latest == opens_at:
                return Stretch(opens_at, min(stretch.closes_at for stretch in known))
            opens_at = latest
        return None

    def _windows(
        self, places: Sequence[tuple[str | None, str | None]], zones: Sequence[str]
    ) -> list[_Window]:
        states = sorted({state for place in places if (state := self._state(Place(*place)))})
        named = {name for name in zones if _zone(name)}
        strange = named.difference(*(self._zones[state] for state in states))
        for state in states:
            if named.isdisjoint(self._zones[state]):
                named = named.union(self._zones[state])
        weeks = {self._weeks[state] for state in states}
        if strange or not states:
            weeks.add(self._default)
        found = [_Window(week, zone) for week in weeks for name in sorted(named) if (zone := _zone(name))]
        return found or self._unknown

    def _state(self, place: Place) -> str | None:
        if place.country not in (None, self._with_states) or not place.region:
            return None
        state = place.region.removeprefix(f"{self._with_states}-").upper()
        return state if state in self._weeks else None


def _week(hours: dict[str, str | None]) -> Week:
    return tuple(_span(hours.get(day, hours["all"])) for day in _DAYS)


def _span(text: str | None) -> tuple[time, time] | None:
    if text is None:
        return None
    starts, ends = text.split("-")
    return time.fromisoformat(starts), time.fromisoformat(ends)


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
