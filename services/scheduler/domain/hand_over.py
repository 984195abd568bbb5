"""What other tools need to take a customer on: win-back, cart recovery, subscription, support."""

from services.scheduler.domain.context import Context
from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.enrolling import order_of
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.timing import Due
from shared.events import Decision, HandOver


def hand_over(
    state: CustomerState, due: Due, decision: Decision, journey: Journey, context: Context
) -> HandOver:
    """Return the hand-over that a decision to send asks for: about the products offered, or else the order's own.

    Raises ValueError if the step hands nobody over.
    """
    step = journey.leaves[due.leaf].step
    if step.hand_over is None:
        problem = f"decision {decision.decision_id} hands nobody over"
        raise ValueError(problem)
    order = order_of(state, due.order_id, context.programme_of(state.shop))
    offered = tuple(each.product_id for each in decision.offer.products) if decision.offer else ()
    return HandOver(
        message_id=decision.message_id,
        decision_id=decision.decision_id,
        kind=step.hand_over,
        journey=decision.journey,
        step=decision.step,
        order_id=decision.order_id,
        products=offered or tuple(order.products if order else ()),
        why=step.why or f"step {step.id} of {journey.id}",
        decided_at=decision.decided_at,
    )
