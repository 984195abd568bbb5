"""The ledger's states, as the page tells them."""

import re
from collections.abc import Iterable
from itertools import permutations
from pathlib import Path

from services.dispatcher.domain.states import FINAL, TRANSITIONS, Cause, State

PAGE = Path(__file__).parents[3] / "docs" / "ledger.md"
SERVICE = Path(__file__).parents[3] / "services" / "dispatcher"


def _rows(heading: str) -> list[list[str]]:
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_page_shows_every_transition_and_no_other() -> None:
    page = {what: (frozenset(came_from.split(", ")), to) for what, came_from, to in _rows("Transitions")}
    assert page == {str(cause): rule for cause, rule in TRANSITIONS.items()}


def test_the_page_explains_every_state() -> None:
    assert [row[0] for row in _rows("States")] == [str(state) for state in State]


def test_the_database_knows_the_same_states() -> None:
    sql = (SERVICE / "migrations" / "0003_reports.sql").read_text()
    listed = sql.partition("state IN (")[2].partition(")")[0]
    assert re.findall(r"'(\w+)'", listed) == [str(state) for state in State]


def test_every_cause_has_a_transition_and_is_used() -> None:
    source = "".join(path.read_text() for path in SERVICE.glob("*.py"))
    assert set(TRANSITIONS) == set(Cause)
    assert [cause for cause in Cause if f"Cause.{cause.name}" not in source] == []


def test_nothing_leads_out_of_a_final_state() -> None:
    assert not any(sources & FINAL for sources, _ in TRANSITIONS.values())


def test_nothing_that_may_have_left_goes_back_unless_it_certainly_was_not_taken() -> None:
    back = {
        cause
        for cause, (sources, target) in TRANSITIONS.items()
        if target is State.INTENDED and sources & {State.HANDED_OVER, State.UNKNOWN, State.ACCEPTED}
    }
    assert back == {Cause.NOT_TAKEN_YET, Cause.NOT_FOUND, Cause.SAME_KEY, Cause.SENT_AGAIN}


def test_a_late_call_back_finds_a_message_wherever_it_stands_unless_it_was_withheld() -> None:
    found = set().union(*(TRANSITIONS[cause][0] for cause in (Cause.EVIDENCE, Cause.FAILED)))
    assert found | {State.CONFIRMED, State.UNDELIVERED, State.WITHHELD} == set(State)


def test_whatever_order_reports_come_in_they_lead_to_the_same_state() -> None:
    reports = (Cause.PROOF_TAKEN, Cause.EVIDENCE, Cause.FAILED)
    for start in (State.HANDED_OVER, State.UNKNOWN, State.ACCEPTED, State.INTENDED, State.CLAIMED):
        ends = {_after(start, order) for order in permutations(reports)}
        assert ends == {State.UNDELIVERED}
        ends = {_after(start, order) for order in permutations(reports[:2])}
        assert ends == {State.CONFIRMED}


def _after(state: State, causes: Iterable[Cause]) -> State:
    for cause in causes:
        found, to = TRANSITIONS[cause]
        state = to if state in found else state
    return state
