"""First stage: one customer's orders and returns, and what a change of them changes in what they teach.

Everything is kept as the newest state of each order and return, so that merging is by id and version: a record read twice
changes nothing, and a return may come before its order. What the customer teaches is a function of that state (`timeline`);
a record teaches the difference between what the timeline taught before and after it.

**What is kept.** An order can change, or come late, until the customer has ordered something ACCEPT_DAYS later or
ACCEPT_ORDERS more orders; a return counts that long after its order. What comes later is beyond the horizon: it changes
nothing, and is counted as such. What no change can reach any more, even by way of the windows of `timeline`, is forgotten
(KEEP_DAYS, KEEP_ORDERS); what it taught stays.
"""

from enum import Enum
from typing import TypedDict

import orjson

from services.recommender.domain.kept import (
    ACCEPT_DAYS,
    Bought,
    CameBack,
    is_late,
    kept_of,
    order_precedence,
    return_precedence,
    taught_by,
)
from services.recommender.domain.tally import Counted
from services.recommender.domain.timeline import (
    MINUTES_A_DAY,
    SEQUENCE_DAYS,
    SEQUENCE_ORDERS,
    WINDOW_DAYS,
    WINDOW_ORDERS,
    Entry,
    place_of,
    teach,
    teach_all,
)

ACCEPT_ORDERS = 200
KEEP_DAYS = ACCEPT_DAYS + WINDOW_DAYS + SEQUENCE_DAYS
KEEP_ORDERS = ACCEPT_ORDERS + WINDOW_ORDERS + SEQUENCE_ORDERS

_ACCEPT = ACCEPT_DAYS * MINUTES_A_DAY
_KEEP = KEEP_DAYS * MINUTES_A_DAY


class Outcome(Enum):
    """What became of a record: taken (whether or not it taught), or too late to change anything."""

    TAKEN = "taken"
    BEYOND_HORIZON = "beyond_horizon"


class CustomerRecord(TypedDict):
    """All that the first stage knows of a customer. `returns` are by order and return id.

    `newest` is the minute of the newest order ever seen; `forgot` says that older orders than the kept ones were dropped;
    `moved_to` is the customer whom this id became, "" while it is one of its own; `joined` are those who became this one.
    """

    orders: dict[str, Bought]
    returns: dict[str, dict[str, CameBack]]
    newest: int
    forgot: bool
    moved_to: str
    joined: list[str]


History = tuple[dict[str, Bought], dict[str, dict[str, CameBack]]]
"""Orders by id, and returns by order and return id."""


def load(raw: bytes | None) -> CustomerRecord:
    """The record in a table's value, or an empty one."""
    if raw is None:
        return {"orders": {}, "returns": {}, "newest": 0, "forgot": False, "moved_to": "", "joined": []}
    record: CustomerRecord = orjson.loads(raw)
    return record


def dump(record: CustomerRecord) -> bytes:
    """The table's value of a record."""
    return orjson.dumps(record)


def take_order(record: CustomerRecord, order_id: str, new: Bought, counted: Counted) -> Outcome:
    """Take an order's state into `record` in place, and add to `counted` what that changes."""
    known = record["orders"].get(order_id)
    if new["minute"] < record["newest"] - _ACCEPT or (known and known["minute"] < record["newest"] - _ACCEPT):
        return Outcome.BEYOND_HORIZON
    if known and order_precedence(new) <= order_precedence(known):
        return Outcome.TAKEN
    entries = timeline(record)
    if _too_deep(record, entries, new, order_id) or (known and _too_deep(record, entries, known, order_id)):
        return Outcome.BEYOND_HORIZON
    record["newest"] = max(record["newest"], new["minute"])
    record["orders"][order_id] = new
    products = taught_by(new, record["returns"].get(order_id, {}))
    if known is None:
        _insert(record, entries, Entry(new["minute"], order_id, products), counted)
    else:
        _replace(record, entries, counted)
    _forget(record)
    return Outcome.TAKEN


def take_return(
    record: CustomerRecord, order_id: str, return_id: str, new: CameBack, counted: Counted
) -> Outcome:
    """Take a return's state into `record` in place, and add to `counted` what that changes."""
    of_order = record["returns"].setdefault(order_id, {})
    known = of_order.get(return_id)
    if known and return_precedence(new) <= return_precedence(known):
        return Outcome.TAKEN
    order = record["orders"].get(order_id)
    entries = timeline(record)
    if order and _too_deep(record, entries, order, order_id):
        return Outcome.BEYOND_HORIZON
    of_order[return_id] = new
    if order:
        _replace(record, entries, counted)
    return Outcome.BEYOND_HORIZON if order and is_late(order, new) else Outcome.TAKEN


def withdraw(record: CustomerRecord, counted: Counted) -> History:
    """Take back what the customer's orders taught, forget them, and return them with their returns.

    Where older orders were forgotten before, what the oldest kept ones taught rests on them; so only the orders of the
    last ACCEPT_DAYS and ACCEPT_ORDERS are taken back then, and the others are not returned.
    """
    entries = timeline(record)
    first = 0
    if record["forgot"]:
        recent = next(
            (n for n, one in enumerate(entries) if one.minute >= record["newest"] - _ACCEPT), len(entries)
        )
        first = max(recent, len(entries) - ACCEPT_ORDERS)
    teach_all(counted, entries, first, -1)
    orders, returns = record["orders"], record["returns"]
    for entry in entries[:first]:
        del orders[entry.order_id]
        returns.pop(entry.order_id, None)
    record["orders"], record["returns"] = {}, {}
    return orders, returns


def timeline(record: CustomerRecord) -> list[Entry]:
    """Return the orders that teach, in time order."""
    returns = record["returns"]
    entries = [
        Entry(order["minute"], order_id, products, order["new"])
        for order_id, order in record["orders"].items()
        if (products := taught_by(order, returns.get(order_id, {})))
    ]
    entries.sort(key=lambda entry: entry[:2])
    return entries


def _insert(record: CustomerRecord, entries: list[Entry], entry: Entry, counted: Counted) -> None:
    """Teach one order more; nearly always it is the last."""
    if not entry.products:
        return
    place = place_of(entries, entry.minute, entry.order_id)
    if place == len(entries):
        new = teach(counted, entries, entry).new
        record["orders"][entry.order_id]["new"] = list(new or ())
        return
    teach_all(counted, entries, place, -1)
    _note(record, teach_all(counted, [*entries[:place], entry, *entries[place:]], place))


def _replace(record: CustomerRecord, before: list[Entry], counted: Counted) -> None:
    """Teach what `record` says now in place of what its timeline said `before`, from the first difference on."""
    after = timeline(record)
    place = next(
        (n for n, (old, new) in enumerate(zip(before, after, strict=False)) if old[:3] != new[:3]),
        min(len(before), len(after)),
    )
    if place == len(before) == len(after):
        _note(record, before)  # the state that came says nothing of what was new in it
        return
    teach_all(counted, before, place, -1)
    _note(record, teach_all(counted, after, place))


def _note(record: CustomerRecord, entries: list[Entry]) -> None:
    for entry in entries:
        record["orders"][entry.order_id]["new"] = list(entry.new or ())


def _too_deep(record: CustomerRecord, entries: list[Entry], order: Bought, order_id: str) -> bool:
    """Whether more orders follow than may for a change to count."""
    return len(entries) - place_of(entries, order["minute"], order_id) > ACCEPT_ORDERS or (
        record["forgot"] and bool(entries) and order["minute"] < entries[0].minute
    )


def _forget(record: CustomerRecord) -> None:
    """Drop what no change can reach any more."""
    edge = record["newest"] - _KEEP
    if len(record["orders"]) > KEEP_ORDERS:
        entries = timeline(record)
        if len(entries) > KEEP_ORDERS:
            edge = max(edge, entries[-KEEP_ORDERS].minute)
    gone = [order_id for order_id, order in record["orders"].items() if order["minute"] < edge]
    for order_id in gone:
        del record["orders"][order_id]
        record["returns"].pop(order_id, None)
    if gone:
        record["forgot"] = True
        stray = [
            order_id
            for order_id, items in record["returns"].items()
            if order_id not in record["orders"] and all(item["minute"] < edge for item in items.values())
        ]
        for order_id in stray:
            del record["returns"][order_id]


def purchases(record: CustomerRecord) -> dict[str, list[int]]:
    """Return when, in minutes and in order, each product was bought that the customer still has."""
    found: dict[str, list[int]] = {}
    for order_id, order in sorted(record["orders"].items(), key=lambda item: item[1]["minute"]):
        if order["teaches"]:
            for product in kept_of(order, record["returns"].get(order_id, {})):
                found.setdefault(product, []).append(order["minute"])
    return found


def given_back(record: CustomerRecord) -> list[str]:
    """Products, sorted, of orders that teach of which the customer has none left: what was not taken back is kept."""
    had = {
        product for order in record["orders"].values() if order["teaches"] for product in order["products"]
    }
    return sorted(had - purchases(record).keys())
