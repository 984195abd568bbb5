"""History lived again: sums hold, workers change nothing, and nothing is different from itself."""

import gzip
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.scheduler.backtest.files import Files
from services.scheduler.backtest.history import Shard, load
from services.scheduler.backtest.page import page_of
from services.scheduler.backtest.report import Report, report_of
from services.scheduler.backtest.run import Plan, run
from services.scheduler.backtest.tally import week_of
from shared.errors import BacktestError, JourneyError
from shared.events import Event
from tests.support.backtesting import complements, folder, of, past, reference, write
from tests.support.deciding import MONDAY_NOON, delivered, order, profile, step


@pytest.fixture
def journeys(tmp_path: Path) -> Path:
    return folder(tmp_path / "journeys")


def report(told: Sequence[Event] | Path, journeys: Path, workers: int = 1, **changes: Any) -> Report:  # noqa: ANN401  any field
    file = told if isinstance(told, Path) else write(journeys.parent / "past.jsonl", told)
    plan = Plan(Files.of(file), journeys, **changes)
    return report_of(plan, run(plan, workers))


def one_order() -> list[Event]:
    return [*reference(), of("c-1", profile()), of("c-1", order()), of("c-1", delivered())]


def test_every_step_that_came_due_is_sent_ghosted_skipped_or_open(journeys: Path) -> None:
    found = report(past(), journeys)
    for row in [found["totals"], *found["steps"], *found["weeks"], *found["channels"]]:
        assert row["due"] == row["send"] + row["ghost"] + row["skip"] + row["open"] > 0
        assert row["deferred"] <= row["due"]
    for row in [*found["steps"], *found["weeks"]]:
        assert sum(row["skipped_by"].values()) == row["skip"]
    assert sum(row["due"] for row in found["steps"]) == found["totals"]["due"]
    assert sum(row["due"] for row in found["weeks"]) == found["totals"]["due"]
    assert {row["step"] for row in found["steps"]} == {"pair", "text", "check", "sequel", "weekly"}
    assert found["totals"]["send"] > 20
    assert found["totals"]["ghost"] > 0
    assert found["totals"]["deferred"] > 0


def test_a_step_is_decided_at_its_due_time_and_counted_in_its_week(tmp_path: Path) -> None:
    free = folder(tmp_path / "free", caps=[], cool_down=None, holdout={"share": 0})
    found = report([*one_order(), of("c-2", order("o-9", at=MONDAY_NOON + timedelta(days=9)))], free)
    sent = {(row["step"], row["week"]) for row in found["weeks"] if row["send"]}
    assert sent == {(name, "2026-W10") for name in ("pair", "text", "check", "sequel", "weekly")}
    assert week_of(MONDAY_NOON) == "2026-W10"


def test_rules_are_counted_with_what_they_alone_stopped(journeys: Path) -> None:
    found = report(past(), journeys)
    rules = {row["rule"]: row for row in found["rules"]}
    reasons = {reason for row in found["steps"] for reason in row["skipped_by"]}
    assert reasons <= set(rules)
    assert all(row["alone"] <= row["dropped"] for row in found["rules"])
    assert rules["capped"]["held"] >= rules["capped: 1 in 1 d"]["held"] > 0


def test_the_number_of_workers_changes_nothing(journeys: Path) -> None:
    told = past(6)
    assert report(told, journeys, workers=3) == report(told, journeys)


def test_the_order_of_lines_changes_nothing(journeys: Path) -> None:
    told = past(6)
    assert report(told[::-1], journeys) == report(told, journeys)


def test_a_folder_of_files_says_what_one_file_says(journeys: Path, tmp_path: Path) -> None:
    told, split = past(6), tmp_path / "split"
    split.mkdir()
    write(split / "b.jsonl", told[::2])
    with gzip.open(split / "a.jsonl.gz", "wb") as file:
        file.writelines(each.encode() + b"\n" for each in told[1::2])
    assert report(split, journeys) == report(told, journeys)


def test_journeys_do_not_differ_from_themselves(journeys: Path) -> None:
    found = report(past(), journeys, against=journeys)
    assert found["difference"]["changed"] == 0
    assert found["difference"]["became"] == []
    assert all(row["gained"] == row["lost"] == row["moved"] == 0 for row in found["difference"]["steps"])
    assert sum(row["same"] for row in found["difference"]["steps"]) == found["totals"]["send"]
    assert found["compared"]["totals"] == found["totals"]


def test_against_other_journeys_sends_are_gained_lost_and_moved(journeys: Path, tmp_path: Path) -> None:
    later = step("pair", delay="90m")
    other = folder(tmp_path / "other", caps=[{"count": 1, "per": "14d"}])
    written = json.loads((other / "routine.yaml").read_text())
    written["steps"][0] = {**written["steps"][0], "delay": later["delay"]}
    (other / "routine.yaml").write_text(json.dumps(written))
    found = report(past(), other, against=journeys)
    steps = {row["step"]: row for row in found["difference"]["steps"]}
    assert steps["pair"]["moved"] > 0
    assert sum(row["lost"] for row in steps.values()) > 0
    assert sum(row["skips"].get("capped", 0) for row in steps.values()) > 0
    for row in steps.values():
        assert row["before"]["send"] + row["gained"] - row["lost"] == row["after"]["send"]
        assert row["before"]["send"] == row["lost"] + row["moved"] + row["same"]


def test_since_and_until_cut_the_report_and_not_the_past(journeys: Path) -> None:
    told, middle = past(), MONDAY_NOON + timedelta(days=20)
    whole, first, last = (
        report(told, journeys),
        report(told, journeys, until=middle),
        report(told, journeys, since=middle),
    )
    assert whole["decisions"] == first["decisions"] == last["decisions"]
    for name, count in whole["totals"].items():
        assert first["totals"][name] + last["totals"][name] == count
    assert 0 < first["totals"]["due"] < whole["totals"]["due"]


def test_imported_history_begins_journeys_only_when_asked(journeys: Path) -> None:
    told = [*one_order()[:-2], of("c-1", order(history=True)), of("c-1", delivered())]
    assert report(told, journeys)["totals"]["due"] == 0
    assert report(told, journeys, as_live=True)["totals"]["due"] > 0


def test_evidence_counts_from_when_it_was_told(journeys: Path) -> None:
    later = complements("cleanser", MONDAY_NOON + timedelta(days=1), "candle", version=9)
    early = report([*one_order(), later], journeys)
    assert early["known_ahead"] == {}
    assert next(row for row in early["steps"] if row["step"] == "pair")["send"] == 1


def test_the_first_that_is_left_of_a_compacted_topic_counts_from_the_beginning_and_is_told(
    journeys: Path,
) -> None:
    late = MONDAY_NOON + timedelta(days=30)
    told = [
        each.model_copy(update={"time": late}) if each.customerid is None else each for each in one_order()
    ]
    found = report(told, journeys)
    assert found["known_ahead"] == {"catalog": 8, "complements": 8}
    assert next(row for row in found["steps"] if row["step"] == "pair")["send"] == 1


def test_complements_can_be_given_in_a_file(journeys: Path, tmp_path: Path) -> None:
    nothing = events_without_complements()
    given = write(tmp_path / "complements.jsonl", [complements("cleanser", MONDAY_NOON, "mask")])
    assert next(row for row in report(nothing, journeys)["steps"] if row["step"] == "pair")["send"] == 0
    found = report(nothing, journeys, complements=given)
    assert next(row for row in found["steps"] if row["step"] == "pair")["send"] == 1


def events_without_complements() -> list[Event]:
    return [each for each in one_order() if "complements" not in each.type]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "no JSON"),
        (b"[1]", "no JSON object"),
        (b'{"id": "1"}', "no type"),
        (b'{"type": "orderwake.order.placed.v1", "time": "yesterday"}', "2026-03-02T08:30:00Z"),
        (b'{"type": "orderwake.order.placed.v1", "time": "2026-03-02T08:30:00"}', "without a zone"),
        (b'{"type": "orderwake.order.placed.v1", "time": "2026-03-02T08:30:00Z", "shopid": "s"}', "no data"),
        (
            b'{"type": "orderwake.order.placed.v1", "time": "2026-03-02T08:30:00Z", "shopid": "s", "data": {}}',
            "no customerid",
        ),
        (b'{"topic": "orders", "value": null}', "partition is None"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_what_to_do(journeys: Path, line: bytes, says: str) -> None:
    order_type = one_order()[-2].type.encode()
    file = write(journeys.parent / "past.jsonl", one_order())
    file.write_bytes(file.read_bytes() + line.replace(b"orderwake.order.placed.v1", order_type) + b"\n")
    with pytest.raises(BacktestError, match=says) as failed:
        report(file, journeys)
    assert str(failed.value).startswith(f"{file}:{len(one_order()) + 1}: ")


def test_an_event_of_the_wrong_shape_is_named_without_its_values(journeys: Path) -> None:
    file = write(journeys.parent / "past.jsonl", one_order())
    file.write_text(file.read_text().replace('"total":"18.00"', '"total":"a secret"'))
    with pytest.raises(BacktestError, match=r"past\.jsonl:\d+: wrong_schema: data\.total") as failed:
        report(file, journeys)
    assert "secret" not in str(failed.value)


def test_an_empty_past_and_a_missing_one_are_refused(journeys: Path, tmp_path: Path) -> None:
    with pytest.raises(BacktestError, match="no events of customers"):
        report(reference(), journeys)
    with pytest.raises(BacktestError, match="neither a file nor a folder"):
        Files.of(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(BacktestError, match=r"no \*\.jsonl"):
        Files.of(tmp_path / "bare")


def test_journeys_that_cannot_be_used_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    bad = folder(tmp_path / "bad")
    (bad / "routine.yaml").write_text("id: routine\n")
    with pytest.raises(JourneyError, match=r"routine\.yaml"):
        run(Plan(Files((tmp_path / "unread.jsonl",)), bad))


def test_each_customer_is_in_one_shard(journeys: Path) -> None:
    source = Files.of(write(journeys.parent / "past.jsonl", past()))
    whole = load(source, Shard(), "time")
    keys = [
        {
            each.key
            for each in load(source, Shard(number, 3), "time").items
            if each.topic not in ("catalog", "complements")
        }
        for number in range(3)
    ]
    assert sum(map(len, keys)) == len(set().union(*keys)) == 12
    assert whole.ends == load(source, Shard(2, 3), "time").ends


def test_the_page_stands_alone_and_holds_the_figures(journeys: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", caps=[])
    page = page_of(report(past(), journeys, against=other))
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert page.count("<svg") == 1
    for words in ("By step", "By rule", "What changes", "prefers-color-scheme: dark", "cool_down: 2 d"):
        assert words in page


def test_nothing_is_written(journeys: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "past.jsonl", past(3))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    report(file, journeys)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
