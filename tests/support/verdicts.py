"""What came out of schedulers that were killed, held against what should have."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from shared.events import Decision, Event, Message


@dataclass(frozen=True)
class Wanted:
    """Decisions and messages as they should be published."""

    decisions: Sequence[Mapping[str, Any]]
    messages: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Found:
    """What is on the topics, against what it should be.

    A record published twice under its id, with the same content, is one: `copies` counts how often that happened.
    `doubles` are occurrences with two final verdicts, and ids under which two things are said or nothing should be.
    `lost` should be there and is not, `other` was decided otherwise than without any disturbance.
    """

    messages: int
    decisions: int
    copies: int
    doubles: int
    lost: int
    other: int


def judge(expected: Wanted, decisions: Sequence[Event], messages: Sequence[Event]) -> Found:
    """Compare what came out with what an undisturbed scheduler decided."""
    said, asked = _contents(decisions, "decision_id"), _contents(messages, "message_id")
    wanted = {each["decision_id"]: _essence(Decision, each) for each in expected.decisions}
    wanted_messages = {each["message_id"]: _essence(Message, each) for each in expected.messages}
    finals: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for key, contents in said.items():
        for each in map(json.loads, contents):
            if each["verdict"] != "defer":
                finals[each["enrolment_id"] + each["step"], each["occurrence"]].add(key)
    pairs = ((said, wanted), (asked, wanted_messages))
    return Found(
        messages=len(asked),
        decisions=len(said),
        copies=len(decisions) + len(messages) - len(said) - len(asked),
        doubles=sum(len(each) > 1 for each in finals.values())
        + sum(len(contents) > 1 for found, _ in pairs for contents in found.values())
        + sum(len(found.keys() - due.keys()) for found, due in pairs),
        lost=sum(len(due.keys() - found.keys()) for found, due in pairs),
        other=sum(found[key] != {due[key]} for found, due in pairs for key in found.keys() & due.keys()),
    )


def _contents(events: Iterable[Event], name: str) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        found[str(getattr(event.data, name))].add(_essence(type(event.data), event.data.model_dump()))
    return dict(found)


def _essence(kind: type[BaseModel], data: Mapping[str, Any]) -> str:
    """Return what was decided, without the positions at which it was: those are another run's."""
    return kind.model_validate(data).model_dump_json(exclude={"positions"})
