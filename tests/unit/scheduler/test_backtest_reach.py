"""To derive only whom a fact reaches gives what deriving everyone gives."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.scheduler.backtest.files import Files
from services.scheduler.backtest.reach import Reach
from services.scheduler.backtest.report import Report, report_of
from services.scheduler.backtest.run import Plan, run
from tests.support.backtesting import folder, past, text, write
from tests.support.deciding import step

BRANCHES: list[dict[str, Any]] = [
    {
        "branch": [
            {
                "if": "customer.ordered_again && engagement.sent > 0",
                "steps": [step("again", delay="8d", offer=None)],
            },
            {"if": "order.number > 1", "steps": [step("known", delay="2d", offer=None)]},
            {"if": "delivery.confirmed", "steps": [step("there", delay="5d", offer=None)]},
            {"steps": [step("rest", delay="6d", offer=None)]},
        ]
    },
    step("later", after={"step": "pair"}, delay="3d", offer=None, when="!customer.ordered_again"),
]


@pytest.mark.parametrize("re_entry", ["always", "3d", "once"])
def test_a_year_comes_out_the_same_whomever_is_derived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, re_entry: str
) -> None:
    journeys = folder(tmp_path / "journeys", re_entry=re_entry)
    written = text(re_entry=re_entry, cool_down=None, caps=[{"count": 3, "per": "7d"}])
    written["steps"] += BRANCHES
    (journeys / "routine.yaml").write_text(json.dumps(written))
    file = write(tmp_path / "past.jsonl", past(40))

    def report() -> Report:
        plan = Plan(Files.of(file), journeys)
        return report_of(plan, run(plan))

    narrow = report()
    monkeypatch.setattr(Reach, "of_event", lambda *_: None)
    monkeypatch.setattr(Reach, "of_verdicts", staticmethod(lambda _: None))
    assert report() == narrow
    assert {"again", "there", "later"} <= {row["step"] for row in narrow["steps"]}
