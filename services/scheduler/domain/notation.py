"""How spans and times of day are written in a journey; what is read is written out the same way."""

import re
from datetime import time, timedelta
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"(\d+)(m|h|d)")
_LOCAL_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def _parse_duration(value: object) -> object:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        message = "a duration is a whole number with m, h or d, such as 45m, 4h or 3d"
        raise ValueError(message)
    return int(match[1]) * _UNITS[match[2]]


def _write_duration(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    unit, size = next(
        (unit, size) for unit, size in (("d", 1440), ("h", 60), ("m", 1)) if minutes % size == 0
    )
    return f"{minutes // size}{unit}"


def _parse_local_time(value: object) -> object:
    match = _LOCAL_TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        message = 'a time of day is written "21:00", in quotes, or YAML reads it as a number'
        raise ValueError(message)
    return time(int(match[1]), int(match[2]))


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        message = "an IANA zone such as America/New_York"
        raise ValueError(message)
    return name


Duration = Annotated[
    timedelta,
    BeforeValidator(_parse_duration),
    PlainSerializer(_write_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+[mhd]$", "examples": ["45m", "4h", "3d"]}),
]
LocalTime = Annotated[
    time,
    BeforeValidator(_parse_local_time),
    PlainSerializer(lambda local: f"{local:%H:%M}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$", "examples": ["09:00"]}),
]
ZoneName = Annotated[str, AfterValidator(_known_zone), WithJsonSchema({"type": "string"})]
