"""The stored due steps become those that are derived, by the fewest writes."""

from datetime import timedelta
from uuid import UUID, uuid5

from services.scheduler.store import Timing, Waiting, difference
from shared.ids import NAMESPACE
from tests.support.samples import START


def waiting(name: str, minutes: int = 45, attempt: int = 0) -> Waiting:
    due_at = START + timedelta(minutes=minutes)
    return Waiting(
        uuid5(NAMESPACE, name), "skincare", "c-1", 0, NAMESPACE, "routine", name, 0, "email", due_at, due_at,
        attempt,
    )  # fmt: skip


def stored(*names: str) -> dict[UUID, Timing]:
    return {step.message_id: step.timing for step in map(waiting, names)}


def test_what_is_the_same_is_not_written() -> None:
    change = difference(stored("a"), [waiting("a")])
    assert (change.gone, change.put) == ((), ())


def test_what_is_new_or_moved_or_deferred_is_put_and_what_is_not_derived_goes() -> None:
    wanted = [waiting("a", 50), waiting("b", attempt=1), waiting("c"), waiting("e")]
    change = difference(stored("a", "b", "c", "d"), wanted)
    assert {step.step for step in change.put} == {"a", "b", "e"}
    assert change.gone == (waiting("d").message_id,)


def test_the_writes_come_in_one_order_whoever_writes() -> None:
    steps = [waiting(name) for name in "fbdaec"]
    change = difference({}, steps)
    assert [step.message_id for step in change.put] == sorted(step.message_id for step in steps)
