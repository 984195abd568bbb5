"""When people may be texted: `contact-hours.yaml` and `country-zones.yaml`, read once. No clock: the moment is passed in."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import yaml

_HOURS = Path(__file__).with_name("contact-hours.yaml")
_ZONES = Path(__file__).with_name("country-zones.yaml")
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


class _Holidays(NamedTuple):
    """Days without contact: the same date each year (month, day), and so many days after Easter Sunday."""

    dates: frozenset[tuple[int, int]] = frozenset()
    after_easter: frozenset[int] = frozenset()

    def has(self, day: date) -> bool:
        if (day.month, day.day) in self.dates:
            return True
        return bool(self.after_easter) and (day - _easter(day.year)).days in self.after_easter


class _Area(NamedTuple):
    """A state or country: its hours, and every zone in it."""

    week: Week
    zones: tuple[str, ...]
    holidays: _Holidays = _Holidays()
    texts_a_day: int | None = None


class _Window(NamedTuple):
    week: Week
    zone: ZoneInfo
    holidays: _Holidays = _Holidays()

    def next(self, moment: datetime) -> Stretch | None:
        """Return the first stretch that ends after `moment`, cut to begin no earlier than it."""
        today = moment.astimezone(self.zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(_LOOK_AHEAD.days)):
            hours = self.week[day.weekday()]
            if hours and (closes_at := self._at(day, hours[1])) > moment and not self.holidays.has(day):
                return Stretch(max(self._at(day, hours[0]), moment), closes_at)
        return None

    def _at(self, day: date, local: time) -> datetime:
        return datetime.combine(day, local, self.zone).astimezone(UTC)


class _Known(NamedTuple):
    """All windows of somebody's places and zones, and the zones among them."""

    windows: tuple[_Window, ...]
    zones: tuple[ZoneInfo, ...]
    texts_a_day: int | None


class ContactHours:
    """Permitted hours for marketing texts, by place.

    Whoever may be in several places or zones is texted only when all of them permit it. Regions count for the
    United States; of other countries it is the country. In a zone that is none of the place's, and in countries
    without a rule of their own, the default hours hold; without zone and place those for unknown places.
    """

    def __init__(self, data: dict[str, Any], zones: dict[str, str]) -> None:
        self.version: str = data["version"]
        self._with_states: str = data["countries_with_states"]
        self._default = _week(data["default"])
        self._unknown = [
            _Window(_week(data["unknown_place"]["hours"]), ZoneInfo(zone))
            for zone in data["unknown_place"]["zones"]
        ]
        self._states = {
            state: _Area(
                _week(rule.get("hours", data["default"])),
                tuple(rule["zones"]),
                texts_a_day=rule.get("texts_a_day"),
            )
            for state, rule in data["states"].items()
        }
        self._countries = {
            country: _country(data["countries"].get(country, {}), data["default"], names)
            for country, names in zones.items()
            if country != self._with_states
        }
        self._known = lru_cache(maxsize=4096)(self._known_of)

    @classmethod
    def load(cls) -> Self:
        """Read the data that ships with Orderwake."""
        return cls(yaml.safe_load(_HOURS.read_text()), yaml.safe_load(_ZONES.read_text())["zones"])

    @property
    def states(self) -> Sequence[str]:
        """Every state with data, and the District of Columbia."""
        return sorted(self._states)

    @property
    def countries(self) -> Sequence[str]:
        """Every other country with data."""
        return sorted(self._countries)

    def zones_of(self, state: str) -> Sequence[ZoneInfo]:
        """Return the zones of a state."""
        return [ZoneInfo(name) for name in self._states[state].zones]

    def zones(
        self, places: Sequence[tuple[str | None, str | None]], zones: Sequence[str]
    ) -> Sequence[ZoneInfo]:
        """Return every zone in which someone of these places and zones may be; none if nothing is known."""
        return self._known(tuple(places), tuple(zones)).zones

    def texts_a_day(self, places: Sequence[tuple[str | None, str | None]]) -> int | None:
        """Return how many texts any 24 hours may bring to all of these places; None for no limit."""
        return self._known(tuple(places), ()).texts_a_day

    def permitted(
        self, moment: datetime, *, places: Sequence[tuple[str | None, str | None]], zones: Sequence[str]
    ) -> Stretch | None:
        """Return the first permitted stretch from `moment` on, or None if days go by without one.

        `zones` are IANA names; those that do not exist are ignored.
        """
        windows = self._known(tuple(places), tuple(zones)).windows or self._unknown
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

    def _known_of(self, places: tuple[tuple[str | None, str | None], ...], zones: tuple[str, ...]) -> _Known:
        areas = list(dict.fromkeys(area for place in places if (area := self._area(Place(*place)))))
        given = frozenset(name for name in zones if _zone(name))
        named = set(given)
        for area in areas:
            if given.isdisjoint(area.zones):
                named.update(area.zones)
        rules = {(area.week, area.holidays) for area in areas}
        if not areas or given.difference(*(area.zones for area in areas)):
            rules.add((self._default, _Holidays()))
        loaded = [zone for name in sorted(named) if (zone := _zone(name))]
        windows = [_Window(week, zone, holidays) for week, holidays in rules for zone in loaded]
        limits = [area.texts_a_day for area in areas if area.texts_a_day is not None]
        return _Known(tuple(windows), tuple(loaded), min(limits, default=None))

    def _area(self, place: Place) -> _Area | None:
        if place.country not in (None, self._with_states):
            return self._countries.get((place.country or "").upper())
        if not place.region:
            return None
        return self._states.get(place.region.removeprefix(f"{self._with_states}-").upper())


def _country(rule: dict[str, Any], default: dict[str, str | None], zones: str) -> _Area:
    dates = (date.fromisoformat(f"2024-{text}") for text in rule.get("holidays", ()))
    holidays = _Holidays(
        frozenset((day.month, day.day) for day in dates), frozenset(rule.get("days_after_easter", ()))
    )
    return _Area(_week(rule.get("hours", default)), tuple(zones.split()), holidays)


@cache
def _easter(year: int) -> date:
    """Return Easter Sunday of the western churches (J.-M. Oudin's algorithm of 1940)."""
    century, golden = year // 100, year % 19
    skipped = century - century // 4 - (8 * century + 13) // 25
    epact = (19 * golden + skipped + 15) % 30
    epact -= (epact // 28) * (1 - (29 // (epact + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + epact + 2 - century + century // 4) % 7
    offset = epact - weekday
    month = 3 + (offset + 40) // 44
    return date(year, month, offset + 28 - 31 * (month // 4))


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
