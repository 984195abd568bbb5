"""What forbids a message. Each rule looks at one thing and says pass, drop, or defer until when."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.scheduler.domain.case import Case
from services.scheduler.domain.conditions import holds
from services.scheduler.domain.ownership import fully_returned
from services.scheduler.domain.quiet import quiet_hours
from services.scheduler.domain.terms import Action
from shared.events import MESSAGE_CHANNELS, Outcome, Reason, RuleOutcome, Verdict

Rule = Callable[[Case], RuleOutcome]


def _drop_if(rule: Reason, forbids: bool, **inputs: Any) -> RuleOutcome:  # noqa: ANN401, FBT001  any JSON value; read at one glance
    return RuleOutcome(rule=rule, outcome=Outcome.DROP if forbids else Outcome.PASS, inputs=inputs)


def _wait(rule: Reason, action: Action, until: datetime, **inputs: Any) -> RuleOutcome:  # noqa: ANN401  any JSON value
    if action == "drop":
        return RuleOutcome(rule=rule, outcome=Outcome.DROP, inputs=inputs)
    return RuleOutcome(rule=rule, outcome=Outcome.DEFER, inputs=inputs, until=until)


def text(moment: datetime | None) -> str | None:
    """Return a time as rules' inputs hold it: ISO 8601 text, which survives JSON unchanged."""
    return moment.isoformat() if moment else None


def late(case: Case, waits_until: datetime | None) -> RuleOutcome:
    """Too late already, or too late by when the other rules ask to wait until."""
    overdue = case.now - case.planned_at > case.step.skip_after
    hopeless = max(waits_until or case.now, case.now) >= case.expires_at
    return _drop_if(
        Reason.LATE,
        overdue or hopeless,
        planned_at=text(case.planned_at),
        skip_after_s=int(case.step.skip_after.total_seconds()),
        expires_at=text(case.expires_at),
        waits_until=text(waits_until),
    )


def journey_stopped(case: Case) -> RuleOutcome:
    """Someone, or a guard, stopped the journey, or the enrolment's version was drained."""
    return _drop_if(
        Reason.JOURNEY_STOPPED,
        case.context.stopped is not None or case.due.drained,
        stopped=case.context.stopped,
        drained=case.due.drained,
    )


def stale_state(case: Case) -> RuleOutcome:
    """The state may not be the newest. Only who must answer at once asks then; due steps are held instead."""
    return _drop_if(Reason.STALE_STATE, not case.context.fresh, fresh=case.context.fresh)


def exited(case: Case) -> RuleOutcome:
    """One of the journey's own reasons to end holds."""
    facts, met = case.facts if case.journey.exits else None, None
    if facts is not None:
        met = next((name for name, condition in case.journey.exits if holds(condition, facts)), None)
    return _drop_if(Reason.EXITED, met is not None, exit=met, exits=[name for name, _ in case.journey.exits])


def order_cancelled(case: Case) -> RuleOutcome:
    """The order does not stand: cancelled, voided, a test after all, or not known any more."""
    order = case.order
    return _drop_if(
        Reason.ORDER_CANCELLED,
        order is None or not order.stands,
        order_id=case.due.order_id,
        status=order and order.status.value,
        test=order and order.test,
    )


def returned(case: Case) -> RuleOutcome:
    """The whole order came back, or something came back a short while ago."""
    terms, order_id = case.journey.after_return, case.due.order_id
    whole = fully_returned(case.state, order_id)
    last = max((fact.occurred_at for fact in case.state.returns.values() if fact.stands), default=None)
    inputs = {
        "order_id": order_id,
        "whole_order": whole,
        "last_return_at": text(last),
        "days": terms.span.days,
    }
    if whole:
        return _drop_if(Reason.RETURNED, forbids=True, **inputs)
    if last is not None and last + terms.span > case.now:
        return _wait(Reason.RETURNED, terms.action, last + terms.span, **inputs)
    return _drop_if(Reason.RETURNED, forbids=False, **inputs)


def complaint(case: Case) -> RuleOutcome:
    """The customer has marked a message as spam."""
    moment = case.state.complained_at
    return _drop_if(Reason.COMPLAINT, moment is not None, complained_at=text(moment))


def unhappy(case: Case) -> RuleOutcome:
    """The latest answer to a satisfaction check was "unhappy"."""
    answer = case.state.answer
    return _drop_if(
        Reason.UNHAPPY,
        answer is not None and answer.answer == "unhappy",
        answer=answer and answer.answer,
        answered_at=text(answer.occurred_at if answer else None),
    )


def staff(case: Case) -> RuleOutcome:
    """The shop's own people are not sold to."""
    is_staff = bool(case.state.profile and case.state.profile.staff)
    return _drop_if(Reason.STAFF, is_staff, staff=is_staff)


def no_consent(case: Case) -> RuleOutcome:
    """Nobody said yes on this channel, or they said no since."""
    channel, profile = case.due.channel, case.state.profile
    consent = profile.consent.get(channel) if profile else None
    left_at = case.state.unsubscribed.get(channel)
    permits = consent is not None and consent.granted and (left_at is None or left_at < consent.changed_at)
    return _drop_if(
        Reason.NO_CONSENT,
        not permits and channel in MESSAGE_CHANNELS,
        channel=channel.value,
        granted=consent and consent.granted,
        changed_at=text(consent.changed_at if consent else None),
        source=consent and consent.source,
        unsubscribed_at=text(left_at),
    )


def no_address(case: Case) -> RuleOutcome:
    """There is no address for the channel, or mail to it came back."""
    known, bounced_at = case.recipient is not None, case.state.bounced.get(case.due.channel)
    return _drop_if(
        Reason.NO_ADDRESS,
        case.due.channel in MESSAGE_CHANNELS and (not known or bounced_at is not None),
        channel=case.due.channel.value,
        known=known,
        bounced_at=text(bounced_at),
    )


def converted(case: Case) -> RuleOutcome:
    """The customer has bought again since this enrolment's first message; steps that sell nothing go on."""
    ours = [fact.decided_at for fact in case.others if fact.enrolment_id == case.due.enrolment_id]
    first, later = min(ours, default=None), None
    if first is not None:
        orders = case.state.orders.items()
        later = min(
            (
                key
                for key, order in orders
                if order.stands and order.placed_at > first and key != case.due.order_id
            ),
            default=None,
        )
    sells = case.step.offer is not None
    return _drop_if(
        Reason.CONVERTED,
        sells and later is not None,
        sells=sells,
        first_message_at=text(first),
        order_id=later,
    )


def owned(case: Case) -> RuleOutcome:
    """All that could be offered is the customer's already."""
    selection = case.selection
    left_out = selection.left_out.get("owned", []) if selection else []
    return _drop_if(Reason.OWNED, bool(selection and not selection.products and left_out), left_out=left_out)


def no_candidate(case: Case) -> RuleOutcome:
    """A step that offers products has none left."""
    selection, terms = case.selection, case.step.offer
    return _drop_if(
        Reason.NO_CANDIDATE,
        terms is not None and not (selection and selection.products),
        proposed=len(case.candidates),
        source=selection and selection.source,
        offered=[each.product_id for each in selection.products] if selection else [],
        left_out=selection.left_out if selection else {},
    )


def capped(case: Case) -> RuleOutcome:
    """As many messages as a cap allows were sent, or ghosted, within its span."""
    channel, seen = case.due.channel, []
    drops, until = False, None
    for cap in case.journey.caps:
        if channel not in cap.channels:
            continue
        sent = [
            fact.decided_at
            for fact in case.others
            if fact.channel in cap.channels and fact.decided_at + cap.per > case.now
        ]
        seen.append({"count": cap.count, "per_s": int(cap.per.total_seconds()), "sent": len(sent)})
        if len(sent) >= cap.count:
            free_at = sent[cap.count - 1] + cap.per
            drops, until = drops or cap.action == "drop", max(until or free_at, free_at)
    if until is None:
        return _drop_if(Reason.CAPPED, forbids=False, caps=seen)
    return _wait(Reason.CAPPED, "drop" if drops else "defer", until, caps=seen)


def cool_down(case: Case) -> RuleOutcome:
    """Another sequence has written a short while ago."""
    terms = case.journey.cool_down
    others = (fact for fact in case.others if fact.enrolment_id != case.due.enrolment_id)
    last = next(others, None)
    inputs = {
        "days": terms and terms.span.days,
        "last_at": text(last.decided_at if last else None),
        "journey": last and last.journey,
        "order_id": last and last.order_id,
    }
    if terms is not None and last is not None and last.decided_at + terms.span > case.now:
        return _wait(Reason.COOL_DOWN, terms.action, last.decided_at + terms.span, **inputs)
    return _drop_if(Reason.COOL_DOWN, forbids=False, **inputs)


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
    owned,
    no_candidate,
    capped,
    cool_down,
    quiet_hours,
)
"""After `late`, in the order in which the first to drop gives the reason."""


def suppressions(case: Case) -> tuple[RuleOutcome, ...]:
    """Ask every rule, even after one has said no: the record shows them all."""
    said = tuple(rule(case) for rule in RULES)
    waits = [each.until for each in said if each.until is not None]
    return late(case, max(waits, default=None)), *said


def verdict_of(said: tuple[RuleOutcome, ...]) -> tuple[Verdict | None, RuleOutcome | None]:
    """Return skip for the first drop, else defer for the longest wait, else no verdict."""
    drop = next((each for each in said if each.outcome is Outcome.DROP), None)
    if drop is not None:
        return Verdict.SKIP, drop
    waits = [(each.until, each) for each in said if each.until is not None]
    if waits:
        return Verdict.DEFER, max(waits, key=lambda wait: wait[0])[1]
    return None, None
