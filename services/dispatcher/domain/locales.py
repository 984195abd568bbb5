"""Money, dates and lists as a reader's language and country write them. Source: Unicode CLDR, through Babel."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent

FALLBACK = "en_US"
_KEPT = 4096  # prices, deadlines and locales that are written again and again


def chain(locale: str) -> tuple[str, ...]:
    """The names under which a template for `locale` is looked for, nearest first: `de-AT` gives `de-at`, `de`."""
    parts = [part for part in locale.lower().replace("_", "-").split("-") if part.isalnum()]
    return tuple("-".join(parts[:length]) for length in range(len(parts), 0, -1))


@lru_cache(_KEPT)
def reading(language: str, locale: str) -> str:
    """Babel's name of `language` as written where `locale` is: `en` and `de-AT` give `en_AT`."""
    territory = _territory(locale)
    for name in (f"{language}_{territory}" if territory else language, language):
        if _parsed(name):
            return name
    return FALLBACK


@lru_cache(_KEPT)
def money(amount: str | None, currency: str | None, locale: str = FALLBACK) -> str:
    """`24.00` and `USD` as `$24.00`, or `24,00 $`; the amount as it is where it is no number, empty without one."""
    if amount is None:
        return ""
    try:
        number = Decimal(amount)
        return (
            format_currency(number, currency, locale=locale)
            if currency
            else format_decimal(number, locale=locale)
        )
    except (InvalidOperation, ValueError, UnknownLocaleError):
        return f"{amount} {currency or ''}".strip()


@lru_cache(_KEPT)
def percent(value: str, locale: str = FALLBACK) -> str:
    """`10` as `10%`, or `10 %`."""
    return format_percent(Decimal(value) / 100, locale=locale, decimal_quantization=False)


@lru_cache(_KEPT)
def date(moment: str, zone: str | None = None, locale: str = FALLBACK) -> str:
    """The long date of a moment in ISO 8601, in a time zone (UTC if unknown): `March 5, 2026`."""
    return format_date(_local(moment, zone), "long", locale=locale)


@lru_cache(_KEPT)
def deadline(moment: str, zone: str | None = None, locale: str = FALLBACK) -> str:
    """Weekday, day and time until which something holds; where a day begins, the evening before's last minute."""
    ends, minute_before = _local(moment, zone), _local(moment, zone) - timedelta(minutes=1)
    last = minute_before if minute_before.date() < ends.date() else ends
    day = format_skeleton("MMMMd", last, fuzzy=True, locale=locale)
    time = format_time(last.time(), "short", locale=locale)
    return f"{format_date(last, 'EEEE', locale=locale)}, {day}, {time}"


def listed(items: Iterable[object], locale: str = FALLBACK) -> str:
    """`a, b, and c` as the language joins them."""
    return format_list([str(item) for item in items], locale=locale)


@lru_cache(_KEPT)
def _local(moment: str, zone: str | None) -> datetime:
    read = datetime.fromisoformat(moment)
    aware = read if read.tzinfo else read.replace(tzinfo=UTC)
    try:
        return aware.astimezone(ZoneInfo(zone or "UTC"))
    except (OSError, ValueError, KeyError):  # KeyError: ZoneInfoNotFoundError
        return aware.astimezone(UTC)


def _territory(locale: str) -> str:
    found = _parsed(locale.replace("-", "_"))
    return (found.territory if found else None) or ""


def _parsed(name: str) -> Locale | None:
    try:
        return Locale.parse(name)
    except (ValueError, UnknownLocaleError, TypeError):
        return None
