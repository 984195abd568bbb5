"""Business time may run fast, stand or stop; machine time never does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.clock import FileClock, ManualClock, Scale, SystemClock, clock_from

ORIGIN = datetime(2026, 3, 2, tzinfo=UTC)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
STOP = ORIGIN + timedelta(days=7)


def test_business_time_stands_at_the_origin_before_the_start() -> None:
    assert Scale(ORIGIN, START, 3600).at(START - timedelta(minutes=5)) == ORIGIN


def test_business_time_runs_at_its_speed() -> None:
    assert Scale(ORIGIN, START, 3600).at(START + timedelta(seconds=2)) == ORIGIN + timedelta(hours=2)


def test_business_time_stops_at_the_stop() -> None:
    assert Scale(ORIGIN, START, 3600, STOP).at(START + timedelta(days=1)) == STOP


def test_a_scale_reads_what_it_writes() -> None:
    scale = Scale(ORIGIN, START, 3600, STOP)
    assert Scale.parse(str(scale)) == scale


@pytest.mark.parametrize("text", ["soon", "2026-03-02@2026-03-02T09:00Zx1", "2026-03-02T00:00Z@x1"])
def test_a_time_without_zone_or_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"2026|isoformat"):
        Scale.parse(text)


def test_the_machine_moment_of_a_business_moment_is_the_inverse() -> None:
    scale = Scale(ORIGIN, START, 60)
    assert scale.at(scale.machine_at(ORIGIN + timedelta(hours=3))) == ORIGIN + timedelta(hours=3)


def test_a_file_moves_every_process_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "time"
    path.write_text(str(Scale(ORIGIN, ORIGIN, 1, ORIGIN)))
    clock = clock_from(f"file:{path}")
    assert isinstance(clock, FileClock)
    assert clock.business() == ORIGIN
    path.write_text(str(Scale(STOP, STOP, 1, STOP)))
    assert FileClock(path).business() == STOP


def test_real_is_the_systems_clock() -> None:
    assert isinstance(clock_from("real"), SystemClock)


def test_a_manual_clock_moves_both_times_and_never_its_seconds_back() -> None:
    clock = ManualClock(ORIGIN)
    clock.advance(timedelta(seconds=5))
    clock.set(ORIGIN)
    assert (clock.business(), clock.monotonic()) == (ORIGIN, 5.0)
