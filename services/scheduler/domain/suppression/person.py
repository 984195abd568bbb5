"""Rules on the person: what they said, whether they may be written to, and whether they listen."""

from datetime import datetime

from services.scheduler.domain.case import Case
from services.scheduler.domain.customer import NO_RESPONSE
from services.scheduler.domain.facts import consents, unhappy_since
from services.scheduler.domain.saying import drop_if, passes, text, wait
from services.scheduler.domain.terms import Ignored
from shared.events import MESSAGE_CHANNELS, OrderStatus, Reason, RuleOutcome, Verdict


def complaint(case: Case) -> RuleOutcome:
    """The customer has marked a message as spam, or has asked their bank for an order's money."""
    moment = case.state.complained_at
    disputed = [key for key, order in case.state.orders.items() if order.status is OrderStatus.DISPUTED]
    forbids = (moment is not None or bool(disputed)) and not case.informs
    return drop_if(Reason.COMPLAINT, forbids, complained_at=text(moment), disputed=sorted(disputed))


def unhappy(case: Case) -> RuleOutcome:
    """The customer has answered "unhappy" to any step, and has not said "happy" since."""
    since = unhappy_since(case.state)
    return drop_if(Reason.UNHAPPY, since is not None and not case.informs, answered_at=text(since))


def staff(case: Case) -> RuleOutcome:
    """The shop's own people are not sold to."""
    is_staff = bool(case.state.profile and case.state.profile.staff)
    return drop_if(Reason.STAFF, is_staff, staff=is_staff)


def no_consent(case: Case) -> RuleOutcome:
    """Nobody said yes on this channel, or they said no since. Pages and events need none: nobody is written to."""
    channel, profile = case.due.channel, case.state.profile
    if channel not in MESSAGE_CHANNELS:
        return passes(Reason.NO_CONSENT, channel=channel.value)
    consent = profile.consent.get(channel) if profile else None
    return drop_if(
        Reason.NO_CONSENT,
        not consents(case.state, channel),
        channel=channel.value,
        granted=consent and consent.granted,
        changed_at=text(consent.changed_at if consent else None),
        source=consent and consent.source,
        unsubscribed_at=text(case.state.unsubscribed.get(channel)),
    )


def no_address(case: Case) -> RuleOutcome:
    """There is no address for the channel, or mail to it came back."""
    channel = case.due.channel
    if channel not in MESSAGE_CHANNELS:
        return passes(Reason.NO_ADDRESS, channel=channel.value)
    known, bounced_at = case.recipient is not None, case.state.bounced.get(channel)
    return drop_if(
        Reason.NO_ADDRESS,
        not known or bounced_at is not None,
        channel=channel.value,
        known=known,
        bounced_at=text(bounced_at),
    )


def ignored(case: Case) -> RuleOutcome:
    """The last messages with offers or without, as many as the journey says, drew nothing. Steps without an offer go on."""
    terms = case.journey.ignored
    if terms is None or case.due.channel not in MESSAGE_CHANNELS:
        return passes(Reason.IGNORED, last=terms and terms.last)
    unanswered = _unanswered(case, terms)
    forbids = case.step.sells and len(unanswered) == terms.last
    inputs = {
        "last": terms.last,
        "unanswered": len(unanswered),
        "since": text(unanswered[-1] if unanswered else None),
        "sells": case.step.sells,
    }
    if forbids:
        return wait(Reason.IGNORED, terms.action, case.now + terms.patience, **inputs)
    return passes(Reason.IGNORED, **inputs)


def _unanswered(case: Case, terms: Ignored) -> list[datetime]:
    """List when messages were sent that drew nothing, newest first, up to the last that drew something."""
    ordered_at = max(
        (order.placed_at for order in case.state.orders.values() if order.stands),
        default=None,
    )
    found: list[datetime] = []
    for message_id, fact in case.touches:
        if fact.verdict is not Verdict.SEND or fact.channel not in MESSAGE_CHANNELS:
            continue
        drew = case.state.responses.get(str(message_id), NO_RESPONSE).drew
        if drew or (ordered_at is not None and ordered_at > fact.decided_at):
            break
        if fact.decided_at + terms.patience <= case.now:
            found.append(fact.decided_at)
        if len(found) == terms.last:
            break
    return found
