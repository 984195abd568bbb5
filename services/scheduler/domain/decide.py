"""The verdict on one due step, with the word of every rule."""

from collections.abc import Sequence
from datetime import datetime

from services.scheduler.domain.case import Case
from services.scheduler.domain.context import Context
from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.experiment import place
from services.scheduler.domain.incentive import incentive_of, prices
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.suppression import suppressions, verdict_of
from services.scheduler.domain.terms import Holdout
from services.scheduler.domain.timing import Due, local_zone
from shared.events import Candidate, Decision, Offer, Outcome, Reason, RuleOutcome, Verdict
from shared.ids import decision_id

_CANDIDATES_KEPT = 20


def decide(  # noqa: PLR0913, PLR0917  a decision's inputs are all that it stands on
    state: CustomerState,
    due: Due,
    journey: Journey,
    candidates: Sequence[Candidate],
    context: Context,
    now: datetime,
) -> Decision:
    """Send, skip, defer or ghost, with every rule's word and inputs; the same inputs give the same decision.

    `candidates` are what goes with the order's products, best first. The first rule to drop gives a skip
    its reason, the longest wait a defer. Raises KeyError if the journey has no such step.
    """
    case = Case(state, due, journey, candidates, context, now)
    rules, verdict, because = _weigh(case)
    return Decision(
        decision_id=decision_id(due.message_id, context.attempt),
        message_id=due.message_id,
        journey=journey.id,
        journey_version=journey.version,
        enrolment_id=due.enrolment_id,
        order_id=due.order_id,
        step=due.step,
        occurrence=due.occurrence,
        channel=due.channel,
        attempt=context.attempt,
        due_at=due.due_at,
        decided_at=now,
        verdict=verdict,
        reason=because.rule if because else None,
        rules=rules,
        candidates=_kept(case),
        offer=_offer(case, verdict),
        variant="holdout" if any(each.outcome is Outcome.WITHHOLD for each in rules[-2:]) else "treated",
        exposures=_exposures(case, rules),
        segment=case.segment,
        positions=dict(context.positions),
        complements_version=context.complements_version,
        next_at=because.until if because else None,
    )


def _kept(case: Case) -> tuple[Candidate, ...]:
    """The first candidates, and of the others those that were looked at: on these alone the same would be decided."""
    first, rest = case.candidates[:_CANDIDATES_KEPT], case.candidates[_CANDIDATES_KEPT:]
    if not rest or case.selection is None:
        return tuple(first)
    looked_at = {each.product_id for each in case.selection.products}.union(*case.selection.left_out.values())
    return (*first, *(each for each in rest if each.product_id in looked_at))


def _weigh(case: Case) -> tuple[tuple[RuleOutcome, ...], Verdict, RuleOutcome | None]:
    """Return what every rule said, holdout last, the verdict, and the rule that it is due to."""
    said = suppressions(case)
    held = (
        _holdout(case, "programme", case.programme.holdout),
        _holdout(case, "journey", case.journey.holdout),
    )
    verdict, because = verdict_of(said)
    if verdict is not None:
        return (*said, *held), verdict, because
    withheld = next((each for each in held if each.outcome is Outcome.WITHHOLD), None)
    return (*said, *held), Verdict.GHOST if withheld else Verdict.SEND, withheld


def _holdout(case: Case, layer: str, terms: Holdout) -> RuleOutcome:
    """Held-out people run the whole journey and are sent nothing. The shop's and the journey's are drawn apart."""
    where = place(case.state.shop, case.state.customer_id, terms.salt)
    return RuleOutcome(
        rule=Reason.HOLDOUT,
        outcome=Outcome.WITHHOLD if where < terms.share else Outcome.PASS,
        inputs={"layer": layer, "salt": terms.salt, "share": terms.share, "place": round(where, 6)},
    )


def _exposures(case: Case, rules: Sequence[RuleOutcome]) -> dict[str, str]:
    """Return the variant of each holdout that there is, and of each experiment in which the customer takes part."""
    held = {
        f"{each.inputs['layer']}-holdout": "holdout" if each.outcome is Outcome.WITHHOLD else "treated"
        for each in rules[-2:]
        if each.inputs["share"] > 0
    }
    return held | dict(case.due.exposures)


def _offer(case: Case, verdict: Verdict) -> Offer | None:
    """Return what is offered. Who is held out is offered the same, without a code of their own, and nothing is reserved."""
    if verdict not in (Verdict.SEND, Verdict.GHOST) or case.selection is None or case.incentive is None:
        return None
    sends, sweetener = verdict is Verdict.SEND, case.incentive
    terms = sweetener.given
    zone = local_zone(case.state, case.journey)
    return Offer(
        products=case.selection.products,
        incentive=incentive_of(terms, case.now, zone, case.code if sends else None),
        currency=sweetener.currency,
        add_more=sweetener.add_more if terms else None,
        reserved=sweetener.reserves if sends else None,
        prices=prices(case.selection.products, case.context.catalogue, sweetener.currency),
    )
