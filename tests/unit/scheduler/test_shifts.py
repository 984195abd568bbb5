"""What a publication changes for one who waits, and the name of the field or condition that is the cause."""

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.domain import Journey, Published
from services.scheduler.domain.publishing import Publication, Waiting, published
from services.scheduler.versions.compare import differences
from services.scheduler.versions.shift import Comparison
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


def _compared(weight: int) -> dict[str, Any]:
    arms = [
        {"name": "short", "weight": 1, "steps": [step("short")]},
        {"name": "long", "weight": weight, "steps": [step("long")]},
    ]
    return {"experiment": "length", "variants": arms}


def test_an_experiment_that_takes_others_is_named() -> None:
    winner = {**_compared(1), "state": "concluded", "winner": "long"}
    loser = {**_compared(1), "state": "concluded", "winner": "short"}
    found = shifts(journey(loser), journey(winner))
    assert found == [("gain", "long", "experiment length"), ("lose", "short", "experiment length")]


def test_a_journey_that_was_not_there_begins() -> None:
    after = Published.of([journey()])
    (shift,) = Comparison(Published(), after).shifts(KNOWN, MONDAY_NOON).shifts
    assert (shift.effect, shift.cause) == ("gain", "the journey begins")


def test_rules_of_the_journey_that_change_are_named_for_each_step_that_stays() -> None:
    strict = journey(caps=[{"count": 1, "per": "7d"}])
    ((effect, name, cause),) = shifts(journey(), strict)
    assert (effect, name) == ("alter", "pair")
    assert cause.startswith("caps none -> [{count: 1, per: 7d")


def test_a_zone_moves_what_falls_at_a_time_of_day() -> None:
    stranger = state(profile(time_zone=None), order())
    old, new = (journey(step(at="09:00"), time_zone=zone) for zone in ("America/New_York", "Asia/Tokyo"))
    (shift,) = Comparison(Published.of([old]), Published.of([new])).shifts(stranger, MONDAY_NOON).shifts
    assert (shift.effect, shift.cause) == ("move", "time_zone America/New_York -> Asia/Tokyo")


def test_of_many_changes_the_first_are_named_and_the_rest_counted() -> None:
    changed = journey(
        step(priority=1, skip_after="1h", expires="2h", template="skincare/other", guide=None),
        shop_name="Other",
    )
    ((_, _, cause),) = shifts(journey(), changed)
    assert cause.count(";") == 3
    assert cause.endswith("; and 2 more")
