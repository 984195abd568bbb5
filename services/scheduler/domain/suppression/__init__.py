"""What forbids a message. Each rule looks at one thing and says pass, drop, or defer until when."""

from collections.abc import Callable

from services.scheduler.domain.case import Case
from services.scheduler.domain.quiet import blackout, quiet_hours
from services.scheduler.domain.suppression.course import (
    converted,
    exited,
    journey_stopped,
    late,
    order_cancelled,
    returned,
    stale_state,
)
from services.scheduler.domain.suppression.frequency import capped, cool_down, outbid
from services.scheduler.domain.suppression.offering import no_candidate, out_of_stock, owned, price_moved
from services.scheduler.domain.suppression.person import (
    complaint,
    ignored,
    no_address,
    no_consent,
    staff,
    unhappy,
)
from services.scheduler.domain.suppression.spending import budget_spent, no_code
from shared.events import Outcome, RuleOutcome, Verdict

Rule = Callable[[Case], RuleOutcome]

RULES: tuple[Rule, ...] = (
    journey_stopped,
    stale_state,
    order_cancelled,
    returned,
    complaint,
    unhappy,
    staff,
    no_consent,
    no_address,
    converted,
    exited,
    ignored,
    owned,
    out_of_stock,
    price_moved,
    no_candidate,
    no_code,
    budget_spent,
    outbid,
    capped,
    cool_down,
    blackout,
    quiet_hours,
)
"""After `late`, in the order in which the first to drop gives the reason."""


def suppressions(case: Case) -> tuple[RuleOutcome, ...]:
    """Ask every rule, even after one has said no: the record shows them all."""
    said = tuple([rule(case) for rule in RULES])
    waits = [each.until for each in said if each.until is not None]
    return late(case, max(waits, default=None)), *said


def verdict_of(said: tuple[RuleOutcome, ...]) -> tuple[Verdict | None, RuleOutcome | None]:
    """Return skip for the first drop, else defer for the longest wait, else no verdict."""
    drop = next((each for each in said if each.outcome is Outcome.DROP), None)
    if drop is not None:
        return Verdict.SKIP, drop
    waits = [(each.until, each) for each in said if each.until is not None]
    if waits:
        return Verdict.DEFER, max(waits, key=lambda one: one[0])[1]
    return None, None
