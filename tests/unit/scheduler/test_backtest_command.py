"""`orderwake backtest` on files: what it prints, what it refuses, and complements made anew without a look ahead."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli import cli
from services.recommender.weekly import weekly_complements
from shared.events import ComplementsUpdated, Event
from tests.support.backtesting import Recorder, folder, past, write, write_records
from tests.support.deciding import MONDAY_NOON

WEEK = timedelta(days=7)


@pytest.fixture
def journeys(tmp_path: Path) -> Path:
    return folder(tmp_path / "journeys")


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return write(tmp_path / "past.jsonl", past(6))


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["backtest", *map(str, arguments), "--workers", "1"])


def found(*arguments: str | Path) -> Any:  # noqa: ANN401  whatever was printed
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_prints_tables_and_writes_a_page(journeys: Path, told: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = call("--journeys", journeys, "--from", told, "--against", journeys, "--html", page)
    assert result.exit_code == 0
    for words in ("By step", "By rule", "No difference", "cool_down: 2 d"):
        assert words in result.stdout
    assert page.read_text().startswith("<!doctype html>")


def test_a_replay_ends_with_1_only_if_something_differs(journeys: Path, tmp_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", Recorder(journeys, past(4)).live())
    same = call("--journeys", journeys, "--from", records, "--replay")
    assert (same.exit_code, "came out the same" in same.stdout) == (0, True)
    other = folder(tmp_path / "other", caps=[{"count": 1, "per": "28d"}])
    differs = call("--journeys", other, "--from", records, "--replay")
    assert (differs.exit_code, "skip: capped" in differs.stdout) == (1, True)
    assert found("--journeys", journeys, "--from", records)["recorded_decisions"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "2026-03-09", "--until", "2026-03-02"], "--since must be before --until"),
        (["--replay", "--since", "2026-03-02"], "--replay compares recorded decisions"),
        (["--complements", "guessed"], "neither recorded, nor rebuilt, nor a file"),
        (["--since", "soon"], "is not a date or time"),
    ],
)
def test_what_makes_no_sense_is_refused(journeys: Path, told: Path, arguments: list[str], says: str) -> None:
    result = call("--journeys", journeys, "--from", told, *arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_complements_can_be_made_anew(journeys: Path, tmp_path: Path) -> None:
    bare = [each for each in past(40) if not isinstance(each, ComplementsUpdated)]
    file = write(tmp_path / "bare.jsonl", bare)
    none, made = (
        {row["step"]: row for row in found("--journeys", journeys, "--from", file, *more)["steps"]}
        for more in ((), ("--complements", "rebuilt"))
    )
    assert none["pair"]["send"] == 0
    assert made["pair"]["send"] > 0
    first_week = found(
        "--journeys", journeys, "--from", file, "--complements", "rebuilt", "--until", "2026-03-09"
    )
    assert {row["step"]: row["send"] for row in first_week["steps"]}["pair"] == 0


def test_complements_made_anew_stand_on_nothing_that_came_later() -> None:
    events = past(40)
    cut = MONDAY_NOON + 3 * WEEK
    whole = [each for each in weekly_complements(events) if each.time <= cut]
    early = [each for each in weekly_complements(_until(events, cut)) if each.time <= cut]
    assert _said(early) == _said(whole) != {}


def _until(events: list[Event], cut: Any) -> list[Event]:  # noqa: ANN401  a moment
    return [each for each in events if each.time < cut]


def _said(events: list[ComplementsUpdated]) -> dict[tuple[str, str], list[str]]:
    return {
        (each.time.isoformat(), each.data.product_id): [one.product_id for one in each.data.candidates]
        for each in events
    }
