"""What the dispatcher needs to send a message."""

from services.scheduler.domain.context import Context
from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.journey import Journey
from shared.events import Decision, Message


def message(state: CustomerState, decision: Decision, journey: Journey, context: Context) -> Message:
    """The message that a `send` asks for."""
    raise NotImplementedError
