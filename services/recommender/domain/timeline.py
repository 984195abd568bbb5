"""What a customer's orders teach, one after the other: a pure function of the orders in time order.

An order teaches by itself (baskets, pairs), and with the customer's orders before it: what is new to the customer and what
came before that; what is bought again and after how long. How far it looks back is bounded, so that one more order costs
the same however long the history, and a change deep in the past touches only what follows it:

- a product is *new* if it is in none of the WINDOW_ORDERS orders, and none of the WINDOW_DAYS days, before;
- what is new *follows* the products that were new in the SEQUENCE_ORDERS orders before, within SEQUENCE_DAYS.

Moments are whole minutes since 1970-01-01 UTC.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from services.recommender.domain.gaps import bin_of
from services.recommender.domain.tally import BUCKET_DAYS, Counted, Numbers, Tally, at

WINDOW_ORDERS = 100
WINDOW_DAYS = 365
SEQUENCE_ORDERS = 8
SEQUENCE_DAYS = 182

MINUTES_A_DAY = 1440
_BUCKET = BUCKET_DAYS * MINUTES_A_DAY
_WINDOW = WINDOW_DAYS * MINUTES_A_DAY
_SEQUENCE = SEQUENCE_DAYS * MINUTES_A_DAY


class Entry(NamedTuple):
    """An order that teaches: when, which (of two at one moment the lower id is first), its distinct products, sorted.

    `new` are those of them that were new to the customer; None until it is known.
    """

    minute: int
    order_id: str
    products: Sequence[str]
    new: Sequence[str] | None = None


def bucket_of(minute: int) -> int:
    """Number of whole 28-day spans between 1970-01-01 and the moment."""
    return minute // _BUCKET


def teach(counted: Counted, before: Sequence[Entry], entry: Entry, sign: int = 1) -> Entry:
    """Add what an order teaches after the orders `before` it to `counted`, or take it away (`sign` -1).

    Of `before`, in time order, the last SEQUENCE_ORDERS must know what was new in them. Returns the entry with that known.
    """
    minute, bucket = entry.minute, entry.minute // _BUCKET
    of_each = [at(counted, product, bucket) for product in entry.products]
    _teach_basket(of_each, entry, sign)
    last = _last_times(before, entry)
    for product, then in last.items():
        gap = bin_of((minute - then) / MINUTES_A_DAY)
        if gap is not None:
            _count(at(counted, product, then // _BUCKET)["again"], gap, sign)
    new = [product for product in entry.products if product not in last]
    day = str(minute // MINUTES_A_DAY)
    for product, tally in zip(entry.products, of_each, strict=True):
        if product not in last:
            tally["buyers"] += sign
            if before:
                _count(tally["newly"], day, sign)
    _teach_sequence(counted, before[-SEQUENCE_ORDERS:], minute, new, sign)
    return entry._replace(new=new)


def _teach_basket(of_each: Sequence[Tally], entry: Entry, sign: int) -> None:
    day, products = str(entry.minute // MINUTES_A_DAY), entry.products
    for product, tally in zip(products, of_each, strict=True):
        tally["orders"] += sign
        _count(tally["days"], day, sign)
        pairs = tally["pairs"]
        get = pairs.get
        for other in products:
            if other is not product:
                pairs[other] = get(other, 0) + sign


def _last_times(before: Sequence[Entry], entry: Entry) -> dict[str, int]:
    """When each of the order's products was bought the last time before, if it was."""
    last: dict[str, int] = {}
    wanted = set(entry.products)
    for former in reversed(before[-WINDOW_ORDERS:]):
        if former.minute <= entry.minute - _WINDOW or not wanted:
            break
        held = wanted.intersection(former.products)
        if held:
            last.update(dict.fromkeys(held, former.minute))
            wanted -= held
    return last


def _teach_sequence(
    counted: Counted, before: Sequence[Entry], minute: int, new: Sequence[str], sign: int
) -> None:
    eighth = before[0] if len(before) == SEQUENCE_ORDERS else None
    for former in before:
        if not former.new or minute - former.minute >= _SEQUENCE:
            continue
        gap = bin_of((minute - former.minute) / MINUTES_A_DAY)
        if gap is None:
            continue
        bucket = former.minute // _BUCKET
        for product in former.new:
            tally = at(counted, product, bucket)
            _count(tally["later"], gap, sign)
            if former is eighth:
                _count(tally["left"], gap, sign)
            if new:
                follows = tally["follows"].setdefault(gap, {})
                get = follows.get
                for other in new:
                    follows[other] = get(other, 0) + sign


def _count(numbers: Numbers, key: str, sign: int) -> None:
    numbers[key] = numbers.get(key, 0) + sign


def teach_all(counted: Counted, entries: Sequence[Entry], start: int = 0, sign: int = 1) -> list[Entry]:
    """Add what the entries from place `start` on teach, after all before them, of which it is known what was new in them.

    Returns all entries, with what was new in them known.
    """
    found = list(entries[:start])
    for entry in entries[start:]:
        found.append(teach(counted, found, entry, sign))
    return found


def place_of(entries: Sequence[Entry], minute: int, order_id: str) -> int:
    """Where an order of this moment and id stands among the entries, or would."""
    return bisect_left(entries, (minute, order_id), key=lambda entry: (entry.minute, entry.order_id))
