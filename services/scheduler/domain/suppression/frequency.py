"""Rules on how much a customer hears: caps, cool-downs, and the one slot for offers."""

from datetime import datetime
from functools import cache

from services.scheduler.domain.case import Case
from services.scheduler.domain.saying import passes, text, wait
from services.scheduler.domain.terms import Cap
from shared.events import MESSAGE_CHANNELS, Channel, Reason, RuleOutcome


def capped(case: Case) -> RuleOutcome:
    """As many messages as a cap of the journey, the shop or the law allows were sent, or ghosted, within its span."""
    seen, drops, until = [], False, None
    for cap in (*case.journey.caps, *case.programme.caps, *_by_law(case)):
        if case.due.channel not in cap.channels or (cap.journeys and case.due.journey not in cap.journeys):
            continue
        sent = _within(case, cap)
        seen.append(
            {
                "count": cap.count,
                "per_s": int(cap.per.total_seconds()),
                "journeys": list(cap.journeys),
                "sent": len(sent),
            }
        )
        if len(sent) >= cap.count:
            free_at = sent[cap.count - 1] + cap.per
            drops, until = drops or cap.action == "drop", max(until or free_at, free_at)
    if until is None:
        return passes(Reason.CAPPED, caps=seen)
    return wait(Reason.CAPPED, "drop" if drops else "defer", until, caps=seen)


def _by_law(case: Case) -> tuple[Cap, ...]:
    limit = case.context.law.texts_a_day(case.places) if case.due.channel is Channel.SMS else None
    return () if limit is None else (_texts_a_day(limit),)


@cache
def _texts_a_day(limit: int) -> Cap:
    return Cap.model_validate({"count": limit, "per": "24h", "channels": ["sms"], "action": "defer"})


def _within(case: Case, cap: Cap) -> list[datetime]:
    """List when messages that a cap counts were decided within its span, newest first."""
    since = case.now - cap.per
    return [
        fact.decided_at
        for fact in case.others
        if fact.decided_at > since
        and fact.channel in cap.channels
        and (not cap.journeys or fact.journey in cap.journeys)
    ]


def cool_down(case: Case) -> RuleOutcome:
    """Another sequence has written a short while ago. Pages and events are no messages: they neither wait nor count."""
    terms = case.journey.cool_down
    if terms is None or case.due.channel not in MESSAGE_CHANNELS:
        return passes(Reason.COOL_DOWN, days=terms and terms.span.days)
    last = next(
        (
            fact
            for fact in case.others
            if fact.enrolment_id != case.due.enrolment_id and fact.channel in MESSAGE_CHANNELS
        ),
        None,
    )
    inputs = {
        "days": terms.span.days,
        "last_at": text(last.decided_at if last else None),
        "journey": last and last.journey,
        "order_id": last and last.order_id,
    }
    if last is not None and last.decided_at + terms.span > case.now:
        return wait(Reason.COOL_DOWN, terms.action, last.decided_at + terms.span, **inputs)
    return passes(Reason.COOL_DOWN, **inputs)


def outbid(case: Case) -> RuleOutcome:
    """Another journey's offer has the customer's one slot of this window."""
    slot = case.programme.slot
    if slot is None or not case.step.sells or case.due.channel is Channel.EVENT:
        return passes(Reason.OUTBID, window_s=slot and int(slot.window.total_seconds()))
    since = case.now - slot.window
    winner = next(
        (
            fact
            for fact in case.others
            if fact.decided_at > since and fact.products and fact.journey != case.due.journey
        ),
        None,
    )
    inputs = {
        "window_s": int(slot.window.total_seconds()),
        "journey": winner and winner.journey,
        "step": winner and winner.step,
        "offered_at": text(winner.decided_at if winner else None),
    }
    if winner is not None:
        return wait(Reason.OUTBID, slot.loser, winner.decided_at + slot.window, **inputs)
    return passes(Reason.OUTBID, **inputs)
