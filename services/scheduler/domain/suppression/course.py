"""Rules on the course of the journey and of the order that began it."""

from datetime import UTC, datetime, timedelta

from services.scheduler.domain.case import Case
from services.scheduler.domain.conditions import holds
from services.scheduler.domain.ownership import fully_returned
from services.scheduler.domain.saying import drop_if, passes, text, wait
from services.scheduler.domain.timing import local_zone
from shared.events import Channel, Reason, ReturnStatus, RuleOutcome

OPEN_RETURN = timedelta(days=60)
"""How long a return that was announced counts as on its way, unless the shop tells what became of it."""


def late(case: Case, waits_until: datetime | None) -> RuleOutcome:
    """Too late already, and not to go out all the same; or too late by when it, or other rules, would wait until."""
    step, shifted = case.step, None
    overdue = case.now - case.planned_at > step.skip_after
    policy = step.late or case.journey.late
    if overdue and policy == "shift":
        shifted = _same_time_again(case)
    until = max((each for each in (waits_until, shifted) if each), default=None)
    hopeless = max(until or case.now, case.now) >= case.expires_at
    drops = hopeless or (overdue and policy == "skip")
    inputs = {
        "planned_at": text(case.planned_at),
        "skip_after_s": int(step.skip_after.total_seconds()),
        "expires_at": text(case.expires_at),
        "waits_until": text(until),
        "overdue": overdue,
        "policy": policy,
    }
    if shifted is not None and not drops:
        return wait(Reason.LATE, "defer", shifted, **inputs)
    return drop_if(Reason.LATE, drops, **inputs)


def _same_time_again(case: Case) -> datetime:
    """Return when the step's local time of day comes next: its own `at`, or that of its due time."""
    zone = local_zone(case.state, case.journey)
    wanted = case.step.at or case.due.due_at.astimezone(zone).time()
    local = case.now.astimezone(zone)
    days = (local.date() + timedelta(days=ahead) for ahead in (0, 1, 2))
    times = (datetime.combine(day, wanted, zone).astimezone(UTC) for day in days)
    return next(each for each in times if each > case.now)


def journey_stopped(case: Case) -> RuleOutcome:
    """Someone, or a guard, stopped the journey, or the enrolment's version was drained."""
    stopped, drained = case.context.stopped, case.due.drained
    return drop_if(Reason.JOURNEY_STOPPED, stopped is not None or drained, stopped=stopped, drained=drained)


def stale_state(case: Case) -> RuleOutcome:
    """The state may not be the newest. Only who must answer at once asks then; due steps are held instead."""
    return drop_if(Reason.STALE_STATE, not case.context.fresh, fresh=case.context.fresh)


def exited(case: Case) -> RuleOutcome:
    """One of the journey's own reasons to end holds, or what was deferred is no longer on the customer's way.

    The journey's reasons are none to keep support in the dark.
    """
    exits = case.journey.exits
    if case.due.strayed:
        return drop_if(Reason.EXITED, forbids=True, exit="another branch", exits=[name for name, _ in exits])
    if not exits or case.informs:
        return passes(Reason.EXITED, exit=None, exits=[name for name, _ in exits])
    facts = case.facts
    met = next((name for name, condition in exits if holds(condition, facts)), None) if facts else None
    return drop_if(Reason.EXITED, met is not None, exit=met, exits=[name for name, _ in exits])


def order_cancelled(case: Case) -> RuleOutcome:
    """The order does not stand: cancelled, voided, disputed, a test after all, or not known any more."""
    order = case.order
    return drop_if(
        Reason.ORDER_CANCELLED,
        order is None or not order.stands,
        order_id=case.due.order_id,
        status=order and order.status.value,
        test=order and order.test,
    )


def returned(case: Case) -> RuleOutcome:
    """The whole order came back, or something of any order came back a short while ago, or is on its way."""
    if not case.state.returns or case.informs:
        return passes(Reason.RETURNED, order_id=case.due.order_id, whole_order=False)
    span, standing = case.journey.after_return.span, [r for r in case.state.returns.values() if r.stands]
    whole = fully_returned(case.state, case.due.order_id)
    last = max((fact.occurred_at for fact in standing), default=None)
    expected = [fact.occurred_at for fact in standing if fact.status is ReturnStatus.REQUESTED]
    inputs = {
        "order_id": case.due.order_id,
        "whole_order": whole,
        "last_return_at": text(last),
        "days": span.days,
        "open": len(expected),
    }
    if whole:
        return drop_if(Reason.RETURNED, forbids=True, **inputs)
    until = last + span if last is not None else case.now
    if expected and span:
        # News of it may come any day, so an open return is looked at again after each span.
        until = max(until, min(case.now + span, max(expected) + OPEN_RETURN))
    if until > case.now:
        return wait(Reason.RETURNED, case.journey.after_return.action, until, **inputs)
    return passes(Reason.RETURNED, **inputs)


def converted(case: Case) -> RuleOutcome:
    """The customer has bought again since this enrolment's first message or offer; steps that sell nothing go on."""
    sells = case.step.sells or case.step.hand_over == "win_back"
    first = min((fact.decided_at for fact in case.ours if fact.channel is not Channel.EVENT), default=None)
    if first is None:
        return passes(Reason.CONVERTED, sells=sells, first_message_at=None, order_id=None)
    later = min(
        (
            key
            for key, order in case.state.orders.items()
            if order.placed_at > first and order.stands and key != case.due.order_id
        ),
        default=None,
    )
    return drop_if(
        Reason.CONVERTED,
        sells and later is not None,
        sells=sells,
        first_message_at=text(first),
        order_id=later,
    )
