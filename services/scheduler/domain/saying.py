"""What a rule says: pass, drop, or wait until when."""

from datetime import datetime
from typing import Any

from services.scheduler.domain.terms import Action
from shared.events import Outcome, Reason, RuleOutcome


def passes(rule: Reason, **inputs: Any) -> RuleOutcome:  # noqa: ANN401  any JSON value
    """Nothing against it."""
    return RuleOutcome(rule=rule, outcome=Outcome.PASS, inputs=inputs)


def drop_if(rule: Reason, forbids: bool, **inputs: Any) -> RuleOutcome:  # noqa: ANN401, FBT001  any JSON value; read at one glance
    """Never, if it forbids."""
    return RuleOutcome(rule=rule, outcome=Outcome.DROP if forbids else Outcome.PASS, inputs=inputs)


def wait(rule: Reason, action: Action, until: datetime, **inputs: Any) -> RuleOutcome:  # noqa: ANN401  any JSON value
    """Not before `until`, or never if the terms say drop."""
    if action == "drop":
        return RuleOutcome(rule=rule, outcome=Outcome.DROP, inputs=inputs)
    return RuleOutcome(rule=rule, outcome=Outcome.DEFER, inputs=inputs, until=until)


def text(moment: datetime | None) -> str | None:
    """Return a time as rules' inputs hold it: ISO 8601 text, which survives JSON unchanged."""
    return moment.isoformat() if moment else None
