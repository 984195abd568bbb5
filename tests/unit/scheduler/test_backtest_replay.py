"""What was decided is decided again, the same, on what was recorded of it; and what is not the same is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.scheduler.backtest.files import Files
from services.scheduler.backtest.report import Report, report_of
from services.scheduler.backtest.run import Plan, run
from shared.topics import DECISIONS
from tests.support.backtesting import Recorder, folder, past, write_records

Records = list[dict[str, Any]]


@pytest.fixture
def journeys(tmp_path: Path) -> Path:
    return folder(tmp_path / "journeys")


@pytest.fixture
def lived(journeys: Path) -> Records:
    return Recorder(journeys, past(8)).live()


def replayed(records: Records, journeys: Path, workers: int = 1) -> Report:
    file = write_records(journeys.parent / "records.jsonl", records)
    plan = Plan(Files.of(file), journeys, replay=True)
    found = report_of(plan, run(plan, workers))["replay"]
    assert isinstance(found, dict)
    return found


def decisions(records: Records) -> Records:
    return [each["value"]["data"] for each in records if each["topic"] == DECISIONS.name]


def test_every_decision_of_a_lived_period_comes_out_the_same(lived: Records, journeys: Path) -> None:
    found = replayed(lived, journeys)
    verdicts = {each["verdict"] for each in decisions(lived)}
    assert verdicts == {"send", "skip", "defer", "ghost"}
    assert found["differences"] == []
    assert found["other_versions"] == []
    assert found["same"] == found["decisions"] == len(decisions(lived)) > 60


def test_it_does_so_with_any_number_of_workers_and_in_any_order_of_lines(
    lived: Records, journeys: Path
) -> None:
    assert replayed(lived[::-1], journeys, workers=2) == replayed(lived, journeys)


def test_another_cap_is_found(lived: Records, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", caps=[{"count": 1, "per": "28d"}])
    found = replayed(lived, other)
    assert found["differ"] > 0
    assert {row["now"] for row in found["differences"]} >= {"skip: capped"}
    assert found["other_versions"][0]["decisions"] == found["decisions"]
    assert found["same"] + found["differ"] == found["decisions"]


def test_a_verdict_that_was_tampered_with_is_found_and_nothing_else(lived: Records, journeys: Path) -> None:
    number = next(
        number
        for number, each in enumerate(lived)
        if each["topic"] == DECISIONS.name and each["value"]["data"]["verdict"] == "skip"
    )
    tampered = json.loads(json.dumps(lived))
    tampered[number]["value"]["data"]["reason"] = "late"
    found = replayed(tampered, journeys)
    assert found["differ"] == 1
    assert found["examples"][0]["decision_id"] == lived[number]["value"]["data"]["decision_id"]
    assert found["differences"][0]["recorded"] == "skip: late"


def test_a_step_that_is_gone_is_not_due_any_more(lived: Records, tmp_path: Path) -> None:
    other = folder(tmp_path / "other")
    written = json.loads((other / "routine.yaml").read_text())
    written["steps"] = [each for each in written["steps"] if each["id"] != "text"]
    (other / "routine.yaml").write_text(json.dumps(written))
    found = replayed(lived, other)
    assert {(row["step"], row["now"]) for row in found["differences"]} == {("text", "not due")}


def test_news_that_came_after_a_decision_plays_no_part_in_it(lived: Records, journeys: Path) -> None:
    first = decisions(lived)[0]
    late = [
        each
        for each in lived
        if each["topic"] == "returns" and each["offset"] >= first["positions"].get("returns-0", 0)
    ]
    assert late
    earlier = json.loads(json.dumps(lived))
    for each in earlier:
        if each["topic"] == "returns":
            each["value"]["time"] = "2026-01-01T00:00:00Z"
    assert replayed(earlier, journeys)["differ"] == 0


def test_without_offsets_times_stand_in(lived: Records, journeys: Path) -> None:
    bare = [each["value"] for each in lived]
    found = replayed(bare, journeys)
    assert found["decisions"] == len(decisions(lived))
    assert found["differ"] <= found["decisions"] * 0.05


def test_decisions_are_made_when_they_were_made_and_not_when_they_came_due(lived: Records) -> None:
    assert all(each["decided_at"] != each["due_at"] for each in decisions(lived) if each["step"] == "pair")
