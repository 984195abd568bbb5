"""What came due and was deferred comes to an end, even when the facts have led to another branch since."""

from typing import Any

from services.scheduler.domain import Journey, Published
from shared.events import EngagementKind, Reason, Verdict
from tests.support.living import Story, Ware


def _step(name: str, delay: str) -> dict[str, Any]:
    return {"id": name, "channel": "email", "template": f"shop/{name}", "after": "order", "delay": delay}


def _lived(*, responds: bool) -> Story:
    journey = Journey.model_validate(
        {
            "id": "letters",
            "shop": "shop",
            "shop_name": "Shop",
            "holdout": {"share": 0},
            "caps": [{"count": 1, "per": "1d", "action": "defer"}],
            "steps": [
                _step("first", "1h"),
                {
                    "branch": [
                        {"if": "!engagement.responded", "steps": [_step("again", "2h")]},
                        {"steps": [_step("thanks", "3d")]},
                    ]
                },
            ],
        }
    )
    life = Story(Published.of([journey]), "shop", {"mat": Ware("mat", "42.00")}, {}).signs_up().orders("mat")
    life.wait(hours=3)
    assert life.verdict("again").verdict is Verdict.DEFER
    if responds:
        life.responds("first", EngagementKind.OPENED)
    return life.wait(days=5)


def test_a_deferred_step_whose_branch_was_left_is_skipped_once_with_the_reason() -> None:
    assert _lived(responds=True).timetable() == [
        ("1h", "first", Verdict.SEND),
        ("1d1h", "again", Reason.EXITED),
        ("3d", "thanks", Verdict.SEND),
    ]


def test_a_deferred_step_that_is_still_on_the_way_is_sent() -> None:
    assert _lived(responds=False).timetable() == [
        ("1h", "first", Verdict.SEND),
        ("1d1h", "again", Verdict.SEND),
    ]
