"""Rules on the offer: whether there is anything to offer, and on which terms."""

from services.scheduler.domain.case import Case
from services.scheduler.domain.saying import drop_if
from shared.events import Reason, RuleOutcome


def owned(case: Case) -> RuleOutcome:
    """All that could be offered is the customer's already, itself or by its category or replacement group."""
    return _nothing_but(case, Reason.OWNED)


def out_of_stock(case: Case) -> RuleOutcome:
    """Something would be offered if it were to be had."""
    return _nothing_but(case, Reason.OUT_OF_STOCK)


def price_moved(case: Case) -> RuleOutcome:
    """Something would be offered if it did not cost more than this enrolment has quoted."""
    return _nothing_but(case, Reason.PRICE_MOVED)


def _nothing_but(case: Case, reason: Reason) -> RuleOutcome:
    """Drop if nothing is left to offer, and something was left out for this reason."""
    selection = case.selection
    left_out = selection.left_out.get(reason.value, []) if selection else []
    return drop_if(reason, bool(left_out and selection and not selection.products), left_out=left_out)


def no_candidate(case: Case) -> RuleOutcome:
    """A step that offers products has none left."""
    selection, terms = case.selection, case.step.offer
    return drop_if(
        Reason.NO_CANDIDATE,
        terms is not None and not (selection and selection.products),
        proposed=len(case.candidates),
        source=selection and selection.source,
        offered=[each.product_id for each in selection.products] if selection else [],
        left_out=selection.left_out if selection else {},
    )
