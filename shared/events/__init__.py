"""What travels: the envelope and one model per event type. Contact data is in customers and messages only."""

from shared.events.affinity import (
    BasketDelta,
    BasketDeltaEmitted,
    Candidate,
    Complements,
    ComplementsUpdated,
    Origin,
    PairCounts,
    PairCountsUpdated,
)
from shared.events.catalog import Product, ProductRecorded
from shared.events.codec import MAX_RECORD_BYTES, decode, decode_object
from shared.events.controls import Control, ControlSet
from shared.events.customers import (
    Cart,
    CartRecorded,
    Channel,
    Consent,
    Customer,
    CustomerRecorded,
    Engagement,
    EngagementKind,
    EngagementRecorded,
)
from shared.events.decisions import (
    Decision,
    DecisionRecorded,
    Incentive,
    Message,
    MessageRequested,
    Offer,
    Outcome,
    Reason,
    RuleOutcome,
    Verdict,
)
from shared.events.envelope import Event
from shared.events.orders import (
    GuestContact,
    InboundOrder,
    InboundOrderRecorded,
    Line,
    Order,
    OrderRecorded,
    OrderStatus,
    Return,
    ReturnLine,
    ReturnRecorded,
    ReturnStatus,
    Shipment,
    ShipmentRecorded,
    ShipmentStatus,
)

__all__ = [
    "MAX_RECORD_BYTES", "BasketDelta", "BasketDeltaEmitted", "Candidate", "Cart", "CartRecorded", "Channel",
    "Complements", "ComplementsUpdated", "Consent", "Control", "ControlSet", "Customer", "CustomerRecorded",
    "Decision", "DecisionRecorded", "Engagement", "EngagementKind", "EngagementRecorded", "Event", "GuestContact",
    "InboundOrder", "InboundOrderRecorded", "Incentive", "Line", "Message", "MessageRequested", "Offer", "Order",
    "OrderRecorded", "OrderStatus", "Origin", "Outcome", "PairCounts", "PairCountsUpdated", "Product",
    "ProductRecorded", "Reason", "Return", "ReturnLine", "ReturnRecorded", "ReturnStatus", "RuleOutcome",
    "Shipment", "ShipmentRecorded", "ShipmentStatus", "Verdict", "decode", "decode_object",
]
