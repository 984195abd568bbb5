"""Switches: of a scope's actions the newest is in force, in whatever order, and after compaction, they are read."""

from datetime import timedelta
from itertools import permutations

import pytest

from shared.events import Channel, Control, ControlSet
from shared.switches import EVERY, GUARD, Scope, Switchboard, switch_key
from tests.support.samples import START

ROUTINE = Scope("skincare", "routine")


def thrown(
    action: str, scope: Scope = ROUTINE, *, minutes: int = 0, by: str = "ada"
) -> tuple[bytes, ControlSet]:
    """A control with its key, as its topic holds them."""
    at = START + timedelta(minutes=minutes)
    control = Control.model_validate(
        {"action": action, "journey": scope.journey, "channel": scope.channel, "set_at": at, "set_by": by, "why": "w"}
    )  # fmt: skip
    event = ControlSet(id="1", source="/tests", time=at, shopid=scope.shop or EVERY, data=control)
    return switch_key(scope, control), event


def board(*records: tuple[bytes, ControlSet]) -> Switchboard:
    ready = Switchboard()
    for record in records:
        ready.take(*record)
    return ready


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (Scope(), True),
        (Scope("skincare"), True),
        (Scope(None, "routine"), True),
        (Scope("skincare", "routine", Channel.EMAIL), True),
        (Scope(None, None, Channel.EMAIL), True),
        (Scope("fitness"), False),
        (Scope("skincare", "another"), False),
        (Scope(None, None, Channel.SMS), False),
    ],
)
def test_a_scope_holds_what_it_names_and_everything_that_it_leaves_open(scope: Scope, held: bool) -> None:  # noqa: FBT001  a case's answer
    assert scope.holds("skincare", "routine", "email") is held
    (found,) = board(thrown("pause", scope)).paused()
    assert found == scope
    assert scope.includes(scope)
    assert Scope().includes(scope)
    assert scope.includes(Scope()) is (scope == Scope())


def test_the_newest_action_of_a_scope_is_in_force_in_whatever_order_they_are_read() -> None:
    records = [thrown("pause"), thrown("stop", minutes=1), thrown("resume", minutes=2)]
    for read in permutations(records):
        assert board(*read).thrown() == []
    for read in permutations([*records, thrown("stop", minutes=3, by=GUARD)]):
        assert [switch.control.set_by for switch in board(*read).thrown()] == [GUARD]


def test_a_resume_of_one_scope_leaves_others_as_they_are() -> None:
    ready = board(thrown("pause", Scope("skincare")), thrown("resume", minutes=1))
    assert ready.paused() == [Scope("skincare")]


def test_who_stopped_and_why_is_told_for_what_the_stop_bears_on() -> None:
    ready = board(thrown("stop", by=GUARD))
    assert ready.stopped("skincare", "routine", "sms") == "guard: w"
    assert ready.stopped("skincare", "another", "sms") is None
    assert ready.paused() == []


def test_a_guards_stop_published_again_does_not_undo_what_a_person_did_between() -> None:
    stop, resume = thrown("stop", by=GUARD), thrown("resume", minutes=5)
    ready = board(stop, resume, stop)
    assert ready.thrown() == []
    assert stop[0] != resume[0]


def test_a_scopes_last_resume_is_known_although_it_was_paused_and_stopped_since() -> None:
    ready = board(
        thrown("resume", minutes=5), thrown("pause", minutes=6), thrown("stop", minutes=7, by=GUARD)
    )
    assert ready.resumed_at(ROUTINE) == START + timedelta(minutes=5)
    assert ready.resumed_at(Scope("skincare")) is None


def test_a_tombstone_takes_its_switch_away() -> None:
    key, event = thrown("pause")
    ready = board((key, event))
    ready.take(key, None)
    assert ready.thrown() == []


def test_keys_differ_by_scope_action_and_whether_a_guard_threw_it() -> None:
    records = [
        thrown("pause"),
        thrown("stop"),
        thrown("stop", by=GUARD),
        thrown("stop", Scope(None, "routine")),
    ]
    assert [key for key, _ in records] == [
        b"skincare|routine|*|pause",
        b"skincare|routine|*|stop",
        b"skincare|routine|*|stop|guard",
        b"*|routine|*|stop",
    ]
