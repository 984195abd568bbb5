"""Which products go into an offer."""

from collections.abc import Callable

from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.timing import Due
from shared.events import Candidate, Complements


def gather(
    state: CustomerState, due: Due, complements: Callable[[str], Complements | None]
) -> tuple[tuple[Candidate, ...], int | None]:
    """What goes with the order's products, best first, and the highest version of the evidence."""
    raise NotImplementedError
