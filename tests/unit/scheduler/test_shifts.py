"""What a publication changes for one who waits, and the name of the field or condition that is the cause."""

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.compare import differences
from services.scheduler.domain import Journey, Published
from services.scheduler.domain.publishing import Publication, Waiting, published
from services.scheduler.shift import Comparison
from tests.support.deciding import MONDAY_NOON, SHOP, delivered, journey, order, profile, state, step

KNOWN = state(profile(), order())
BRANCH = {"branch": [{"if": "order.total > 100.0", "steps": [step("dear")]}, {"steps": [step("plain")]}]}


def shifts(old: Journey, new: Journey | None, waiting: Waiting = "migrate") -> list[tuple[str, str, str]]:
    before = Published.of([old])
    first = Publication("journey", SHOP, old.id, old, "migrate", MONDAY_NOON)
    second = Publication("journey", SHOP, old.id, new, waiting, MONDAY_NOON + timedelta(minutes=1))
    after = published([first, second])
    found = Comparison(before, after).shifts(KNOWN, MONDAY_NOON).shifts
    return sorted((each.effect, each.step, each.cause) for each in found)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (journey(), journey(step(delay="1h")), ("move", "pair", "delay of step pair 45m -> 1h")),
        (journey(), journey(step(), step("more")), ("gain", "more", "step more added")),
        (journey(step(), step("more")), journey(), ("lose", "more", "step more removed")),
        (
            journey(),
            journey(step(when={"categories": ["mask"]})),
            ("lose", "pair", "when of step pair: every order -> {categories: [mask]}"),
        ),
        (
            journey(entry={"categories": ["mask"]}),
            journey(),
            ("gain", "pair", "entry: {categories: [mask]} -> every order"),
        ),
        (
            journey(step(repeat={"every": "7d", "times": 1})),
            journey(step(repeat={"every": "7d", "times": 2})),
            ("gain", "pair", "repeat of step pair 1 -> 2 times"),
        ),
        (
            journey(step(priority=10)),
            journey(step(priority=20)),
            ("alter", "pair", "priority of step pair 10 -> 20"),
        ),
    ],
)
def test_a_change_is_named_by_the_field_that_causes_it(
    old: Journey, new: Journey, expected: tuple[str, str, str]
) -> None:
    assert expected in shifts(old, new)


def test_a_branch_that_takes_others_is_named_by_its_condition() -> None:
    cheaper: dict[str, Any] = {
        "branch": [{"if": "order.total > 5.0", "steps": [step("dear")]}, {"steps": [step("plain")]}]
    }
    found = shifts(journey(BRANCH), journey(cheaper))
    assert [(effect, name) for effect, name, _ in found] == [("gain", "dear"), ("lose", "plain")]
    assert found[0][2] == "branch arm if: order.total > 100.0 -> order.total > 5.0"
    assert "not (order.total > 100.0) -> not (order.total > 5.0)" in found[1][2]


def test_a_withdrawn_journey_loses_all_steps() -> None:
    assert shifts(journey(), None) == [("lose", "pair", "the journey is withdrawn")]


def test_a_drained_version_stops_who_waits() -> None:
    assert shifts(journey(), journey(step(delay="1h")), "drain") == [("stop", "pair", "drained")]


def test_who_is_pinned_waits_as_before() -> None:
    assert shifts(journey(), journey(step(delay="1h")), "pin") == []


def test_the_same_version_changes_nothing() -> None:
    assert shifts(journey(), journey()) == []


def test_someone_without_an_open_step_does_not_wait() -> None:
    found = Comparison(Published.of([journey()]), Published.of([journey()])).shifts(
        state(profile(), delivered()), MONDAY_NOON
    )
    assert (found.shifts, found.waiting) == ([], False)


def test_versions_are_compared_field_by_field_with_steps_by_their_ids() -> None:
    found = differences(journey(step(), step("gone")), journey(step("new"), step(delay="1h", priority=3)))
    assert [str(each) for each in found] == [
        "steps.pair.delay: 45m -> 1h",
        "steps.pair.priority: 50 -> 3",
        "steps.gone: removed (channel email, after order, delay 45m)",
        "steps.new: added (channel email, after order, delay 45m)",
    ]
    assert found[0].as_data() == {"field": "steps.pair.delay", "old": "45m", "new": "1h"}
