"""The decision core: facts in, decisions out. No I/O, no clock, no chance.

state = apply(state, event)                                commutative and idempotent
due(state, published)                                      {message id: Due}, decided or not
open_due(state, published, since)                          those without a final verdict
decide(state, due, journey, candidates, context, now)      Decision; `candidates` go with the order's products
record(state, decision)                                    the verdict as a fact
message(state, due, decision, journey, context)            Message, for a verdict of send
hand_over(state, due, decision, journey, context)          HandOver, likewise, for a step on the channel `event`
page_offer(state, due, decision, journey, context)         what the thank-you page shows instead
"""

from services.scheduler.domain.context import Catalogue, ContactHours, Context
from services.scheduler.domain.customer import CustomerState, VerdictFacts
from services.scheduler.domain.decide import decide
from services.scheduler.domain.hand_over import hand_over
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.merging import apply, record
from services.scheduler.domain.message import message, page_offer
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.published import Edition, Published
from services.scheduler.domain.step import Step
from services.scheduler.domain.timing import Due, due, open_due, page_due

__all__ = [
    "Catalogue",
    "ContactHours",
    "Context",
    "CustomerState",
    "Due",
    "Edition",
    "Journey",
    "Programme",
    "Published",
    "Step",
    "VerdictFacts",
    "apply",
    "decide",
    "due",
    "hand_over",
    "message",
    "open_due",
    "page_due",
    "page_offer",
    "record",
]
