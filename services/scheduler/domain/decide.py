"""The verdict on one due step."""

from collections.abc import Sequence
from datetime import datetime

from services.scheduler.domain.context import Context
from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.timing import Due
from shared.events import Candidate, Decision


def decide(  # noqa: PLR0913  a decision's inputs are all that it stands on
    state: CustomerState,
    due: Due,
    journey: Journey,
    candidates: Sequence[Candidate],
    context: Context,
    now: datetime,
) -> Decision:
    """Send, skip, defer or ghost, with every rule's word and inputs. Pure: the same inputs give the same decision."""
    raise NotImplementedError
