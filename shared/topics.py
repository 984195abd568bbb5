"""Every topic once: name, key, event types, size, retention, who writes it and who reads it.

`orderwake topics apply` creates them; nothing else in the code spells a topic's name.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared import events
from shared.events import Event

DAY_MS = 24 * 3600 * 1000
LONG_MS = 5 * 365 * DAY_MS
RECORD_LIMIT_BYTES = 1_100_000
DEAD_LETTER_LIMIT_BYTES = 4_000_000


class Key(StrEnum):
    """What a topic is keyed by; together with the shop it is the record's key."""

    ANY = "any"
    CUSTOMER = "customer"
    PRODUCT = "product"
    SCOPE = "scope"


@dataclass(frozen=True)
class Topic:
    """One topic. `retention_ms` is ignored for compacted topics, which keep the last record of each key."""

    name: str
    key: Key
    types: tuple[type[Event], ...]
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    retention_ms: int = LONG_MS
    compacted: bool = False
    sentence: str = ""
    max_message_bytes: int = RECORD_LIMIT_BYTES

    @property
    def dead_letters(self) -> str:
        """Name of the topic that takes what readers of this one refuse."""
        return f"{self.name}.dead-letters"


_CUSTOMER_READERS = ("recommender", "scheduler", "reporting")

INBOUND_ORDERS = Topic(
    "inbound.orders",
    Key.ANY,
    (events.InboundOrderRecorded,),
    ("anyone",),
    ("ingest",),
    7 * DAY_MS,
    sentence="Orders as shops send them.",
)
INBOUND_SHIPMENTS = Topic(
    "inbound.shipments",
    Key.ANY,
    (events.ShipmentRecorded,),
    ("anyone",),
    ("ingest",),
    7 * DAY_MS,
    sentence="Shipment news, perhaps with only the order's id.",
)
INBOUND_RETURNS = Topic(
    "inbound.returns",
    Key.ANY,
    (events.ReturnRecorded,),
    ("anyone",),
    ("ingest",),
    7 * DAY_MS,
    sentence="Returns, perhaps with only the order's id.",
)
INBOUND_CUSTOMERS = Topic(
    "inbound.customers",
    Key.ANY,
    (events.CustomerRecorded,),
    ("anyone",),
    ("ingest",),
    7 * DAY_MS,
    sentence="Profiles, contact and consent.",
)
INBOUND_CARTS = Topic(
    "inbound.carts", Key.ANY, (events.CartRecorded,), ("anyone",), ("ingest",), 7 * DAY_MS, sentence="Carts."
)
INBOUND_ENGAGEMENT = Topic(
    "inbound.engagement",
    Key.ANY,
    (events.EngagementRecorded,),
    ("anyone",),
    ("ingest",),
    7 * DAY_MS,
    sentence="Opens, clicks, answers and opt-outs from outside.",
)
INBOUND_CATALOG = Topic(
    "inbound.catalog",
    Key.ANY,
    (events.ProductRecorded,),
    ("anyone",),
    ("ingest",),
    7 * DAY_MS,
    sentence="Products.",
)

ORDERS = Topic(
    "orders",
    Key.CUSTOMER,
    (events.OrderRecorded,),
    ("ingest",),
    _CUSTOMER_READERS,
    sentence="Every order's states.",
)
SHIPMENTS = Topic(
    "shipments",
    Key.CUSTOMER,
    (events.ShipmentRecorded,),
    ("ingest",),
    ("scheduler",),
    sentence="Every shipment's states.",
)
RETURNS = Topic(
    "returns",
    Key.CUSTOMER,
    (events.ReturnRecorded,),
    ("ingest",),
    _CUSTOMER_READERS,
    sentence="Every return's states.",
)
CUSTOMERS = Topic(
    "customers",
    Key.CUSTOMER,
    (events.CustomerRecorded,),
    ("ingest",),
    ("recommender", "scheduler", "dispatcher"),
    compacted=True,
    sentence="Profile, contact and consent: the whole state in each record.",
)
CARTS = Topic(
    "carts",
    Key.CUSTOMER,
    (events.CartRecorded,),
    ("ingest",),
    ("scheduler",),
    sentence="Carts; left ones are handed over for recovery.",
)
ENGAGEMENT = Topic(
    "engagement",
    Key.CUSTOMER,
    (events.EngagementRecorded,),
    ("ingest", "dispatcher", "scheduler"),
    ("scheduler", "dispatcher", "reporting"),
    sentence="What happened to messages and what people did with them.",
)
CATALOG = Topic(
    "catalog",
    Key.PRODUCT,
    (events.ProductRecorded,),
    ("ingest",),
    ("recommender", "scheduler"),
    compacted=True,
    sentence="Products as the shop sells them.",
)

BASKET_DELTAS = Topic(
    "basket-deltas",
    Key.ANY,
    (events.BasketDeltaEmitted,),
    ("recommender",),
    ("recommender",),
    7 * DAY_MS,
    sentence="What orders and returns changed, in the partitions of the products.",
)
PAIR_COUNTS = Topic(
    "pair-counts",
    Key.PRODUCT,
    (events.PairCountsUpdated,),
    ("recommender",),
    ("recommender",),
    compacted=True,
    sentence="Each product's counts, for ranking.",
)
COMPLEMENTS = Topic(
    "complements",
    Key.PRODUCT,
    (events.ComplementsUpdated,),
    ("recommender",),
    ("scheduler",),
    compacted=True,
    sentence="What goes with each product, with the evidence.",
)
CUSTOMER_MOVES = Topic(
    "customer-moves",
    Key.CUSTOMER,
    (events.CustomerJoined, events.HistoryMoved),
    ("recommender",),
    ("recommender",),
    7 * DAY_MS,
    sentence="Orders of guests on their way to the customers they became.",
)
CUSTOMER_PRODUCTS = Topic(
    "customer-products",
    Key.CUSTOMER,
    (events.CustomerProductsUpdated,),
    ("recommender",),
    ("recommender", "scheduler"),
    compacted=True,
    sentence="What each customer has, and when they may need it again.",
)

DECISIONS = Topic(
    "decisions",
    Key.CUSTOMER,
    (events.DecisionRecorded,),
    ("scheduler",),
    ("reporting",),
    sentence="One record per attempt at a due step, with every rule.",
)
MESSAGES = Topic(
    "messages",
    Key.CUSTOMER,
    (events.MessageRequested,),
    ("scheduler",),
    ("dispatcher",),
    7 * DAY_MS,
    sentence="Messages to send, with their recipients.",
)
HAND_OVERS = Topic(
    "hand-overs",
    Key.CUSTOMER,
    (events.HandOverRequested,),
    ("scheduler",),
    ("anyone",),
    sentence="Customers handed on to other tools: win-back, cart recovery, subscription, support.",
)
CONTROLS = Topic(
    "controls",
    Key.SCOPE,
    (events.ControlSet,),
    ("operators", "scheduler", "dispatcher"),
    ("scheduler", "dispatcher"),
    compacted=True,
    sentence="Pause, stop and resume.",
)

INBOUND = (
    INBOUND_ORDERS,
    INBOUND_SHIPMENTS,
    INBOUND_RETURNS,
    INBOUND_CUSTOMERS,
    INBOUND_CARTS,
    INBOUND_ENGAGEMENT,
    INBOUND_CATALOG,
)
CANONICAL = (ORDERS, SHIPMENTS, RETURNS, CUSTOMERS, CARTS, ENGAGEMENT, CATALOG)
DERIVED = (
    BASKET_DELTAS,
    PAIR_COUNTS,
    COMPLEMENTS,
    CUSTOMER_MOVES,
    CUSTOMER_PRODUCTS,
    DECISIONS,
    MESSAGES,
    HAND_OVERS,
    CONTROLS,
)
ALL = INBOUND + CANONICAL + DERIVED

CANONICAL_OF = dict(zip(INBOUND, CANONICAL, strict=True))
BY_NAME = {topic.name: topic for topic in ALL}
INBOUND_OF_TYPE = {topic.types[0].type_name(): topic for topic in INBOUND}


@dataclass(frozen=True)
class FaustTopic:
    """An internal topic of a Faust app: declared before a worker starts, or Faust would create it with the wrong size."""

    name: str
    compacted: bool = False


def changelog_name(app_id: str, table: str) -> str:
    """Where the Faust app `app_id` keeps a table's writes; named as Faust itself would."""
    return f"{app_id}-{table}-changelog"


def faust_topics(app_id: str, tables: tuple[str, ...]) -> tuple[FaustTopic, ...]:
    """The internal topics of the Faust app `app_id` with these tables: a changelog each, as Faust's leader is off."""
    return tuple(FaustTopic(changelog_name(app_id, table), compacted=True) for table in tables)


RECOMMENDER_APP = "orderwake-recommender-v2"
RECOMMENDER_TABLES = ("baskets", "pairs")
INTERNAL = faust_topics(RECOMMENDER_APP, RECOMMENDER_TABLES)
