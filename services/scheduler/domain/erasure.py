"""What is left of a customer who must be forgotten."""

from msgspec.structs import replace

from services.scheduler.domain.customer import CustomerState


def erase(state: CustomerState) -> CustomerState:
    """Return the state without contact, name and consent: nothing can be sent; purchases are still known."""
    return replace(state, profile=None)
