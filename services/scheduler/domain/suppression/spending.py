"""Rules on the incentive: a budget that is spent, or no code left to give."""

from typing import Any

from services.scheduler.domain.case import Case
from services.scheduler.domain.incentive import Sweetener, period_of
from services.scheduler.domain.saying import drop_if, passes, wait
from shared.events import Reason, RuleOutcome


def budget_spent(case: Case) -> RuleOutcome:
    """The incentive costs more than its budget still holds; the shop says whether the offer goes without it, waits, or falls."""
    sweetener = case.incentive
    inputs = _inputs(sweetener) if sweetener else {}
    budget = sweetener.budget if sweetener else None
    if sweetener is None or budget is None or sweetener.affordable:
        return passes(Reason.BUDGET_SPENT, **inputs)
    if budget.action == "without":
        return passes(Reason.BUDGET_SPENT, **inputs | {"without": Reason.BUDGET_SPENT.value})
    return wait(Reason.BUDGET_SPENT, budget.action, period_of(budget.per, case.now)[1], **inputs)


def _inputs(sweetener: Sweetener) -> dict[str, Any]:
    """Return what the incentive was chosen by; amounts are text, which survives JSON unchanged."""
    terms, budget = sweetener.terms, sweetener.budget
    said: dict[str, Any] = {
        "incentive": terms and terms.kind,
        "value": terms and _exact(terms.value),
        "currency": sweetener.currency,
        "without": sweetener.without,
    }
    if sweetener.laddered:
        said["rung"] = sweetener.rung
        said["unanswered"] = sweetener.unanswered
        said["bought_without"] = sweetener.bought_without
    if budget is not None:
        said["cost"] = _exact(sweetener.cost)
        said["left"] = _exact(sweetener.left)
        said["per"] = budget.per
        said["when_spent"] = budget.action
    return said


def _exact(amount: object) -> str | None:
    return None if amount is None else str(amount)


def no_code(case: Case) -> RuleOutcome:
    """The incentive asks for a code of the customer's own, and none is left to give."""
    terms = case.incentive.given if case.incentive else None
    own = terms is not None and (terms.pool or terms.prefix) is not None
    asked = own and case.context.codes is not None
    return drop_if(
        Reason.NO_CODE,
        asked and case.code is None,
        pool=terms and terms.pool,
        prefix=terms and terms.prefix,
        asked=asked,
    )
