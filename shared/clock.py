"""The only reader of the system time.

Business time may be scaled, moved or stopped: due dates, quiet hours, caps, expiry, attribution.
Machine time never is: leases, time-outs, retries, lag limits, rates, latencies.
"""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Protocol

_SPEC = re.compile(r"(?P<origin>[^@]+)@(?P<start>[^x]+)x(?P<speed>[0-9.]+)(?:\.\.(?P<stop>.+))?")


class Clock(Protocol):
    """Both times. `business` and `machine` are aware UTC datetimes; `monotonic` is in seconds.

    `until` tells in how many machine seconds business time reaches a moment, as far as anybody knows now.
    """

    def business(self) -> datetime: ...  # noqa: D102
    def until(self, business: datetime) -> float: ...  # noqa: D102
    def machine(self) -> datetime: ...  # noqa: D102
    def monotonic(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Scale:
    """Business time runs from `origin` at machine time `start`, `speed` business seconds a second, until `stop`.

    Before `start` it stands at `origin`. The text form is `ORIGIN@STARTxSPEED[..STOP]`, times in ISO 8601
    with zone, e.g. `2026-03-02T00:00:00Z@2026-03-02T09:00:00Zx3600..2026-03-09T00:00:00Z`.
    """

    origin: datetime
    start: datetime
    speed: float
    stop: datetime | None = None

    def at(self, machine: datetime) -> datetime:
        """Business time at a machine time."""
        elapsed = max((machine - self.start).total_seconds(), 0.0)
        moved = self.origin + timedelta(seconds=elapsed * self.speed)
        return min(moved, self.stop) if self.stop else moved

    def machine_at(self, business: datetime) -> datetime:
        """Machine time at which business time reaches `business`."""
        return self.start + (business - self.origin) / self.speed

    def seconds_until(self, business: datetime, machine: datetime) -> float:
        """Machine seconds from `machine` until business time is there; none ever comes of a clock that stands."""
        if not self.speed:
            return inf
        return max((self.machine_at(business) - machine).total_seconds(), 0.0)

    def __str__(self) -> str:
        until = f"..{self.stop.isoformat()}" if self.stop else ""
        return f"{self.origin.isoformat()}@{self.start.isoformat()}x{self.speed:g}{until}"

    @classmethod
    def parse(cls, text: str) -> "Scale":
        """Read the text form. Raises ValueError with an example on any other text."""
        match = _SPEC.fullmatch(text.strip())
        if not match:
            message = (
                f"{text!r} is not ORIGIN@STARTxSPEED[..STOP], e.g. 2026-03-02T00:00Z@2026-03-02T09:00Zx3600"
            )
            raise ValueError(message)
        stop = match["stop"]
        return cls(
            _aware(match["origin"]),
            _aware(match["start"]),
            float(match["speed"]),
            _aware(stop) if stop else None,
        )


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        message = f"{text!r} has no time zone; write 2026-03-02T00:00:00Z"
        raise ValueError(message)
    return moment.astimezone(UTC)


class SystemClock:
    """Both times are the machine's."""

    def business(self) -> datetime:
        """UTC now."""
        return datetime.now(UTC)

    def machine(self) -> datetime:
        """UTC now."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def until(self, business: datetime) -> float:
        """Machine seconds from now until business time is there; 0 if it is past."""
        return max((business - self.business()).total_seconds(), 0.0)


class ScaledClock(SystemClock):
    """Business time from one `Scale`."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale

    def business(self) -> datetime:
        """Business time of the scale, now."""
        return self.scale.at(self.machine())

    def until(self, business: datetime) -> float:
        """Machine seconds from now until the scale is there."""
        return self.scale.seconds_until(business, self.machine())


class FileClock(SystemClock):
    """Business time from a `Scale` in a file that another process may rewrite (atomically) to start or stop time."""

    _LOOK_AGAIN_SECONDS = 0.05

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = float("-inf")
        self._scale = Scale.parse(path.read_text())

    def business(self) -> datetime:
        """Business time of the scale that the file holds."""
        if self.monotonic() - self._looked > self._LOOK_AGAIN_SECONDS:
            self._scale = Scale.parse(self._path.read_text())
            self._looked = self.monotonic()
        return self._scale.at(self.machine())

    def until(self, business: datetime) -> float:
        """Machine seconds from now until the scale that the file holds now is there."""
        return self._scale.seconds_until(business, self.machine())


class ManualClock:
    """A clock that tests move. Both times stand still until `advance` or `set`."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._seconds = 0.0

    def business(self) -> datetime:
        """The time it was set to."""
        return self._now

    def machine(self) -> datetime:
        """The time it was set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._seconds

    def until(self, business: datetime) -> float:
        """Seconds to advance."""
        return max((business - self._now).total_seconds(), 0.0)

    def advance(self, span: timedelta) -> None:
        """Move both times on."""
        self._now += span
        self._seconds += span.total_seconds()

    def set(self, moment: datetime) -> None:
        """Move to a moment, never back in `monotonic`."""
        self._seconds += max((moment - self._now).total_seconds(), 0.0)
        self._now = moment


def clock_from(setting: str) -> Clock:
    """Clock for the one setting that every process shares: `real`, a scale's text, or `file:PATH` holding one."""
    if setting == "real":
        return SystemClock()
    if setting.startswith("file:"):
        return FileClock(Path(setting.removeprefix("file:")))
    return ScaledClock(Scale.parse(setting))
