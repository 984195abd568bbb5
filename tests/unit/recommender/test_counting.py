"""Deltas, what they add up to, and the records that carry them."""

from collections.abc import Mapping

import pytest

from services.recommender import wire
from services.recommender.domain.affinity import (
    Delta,
    Tally,
    bucket_key,
    count,
    deltas_of,
    load,
    most_frequent,
    split_bucket_key,
    total_of,
)
from services.recommender.domain.baskets import Change, Lesson
from shared.events import BasketDelta, BasketDeltaEmitted, Origin, PairCountsUpdated, decode

WHEN = "2026-01-01T12:00:00+00:00"


def lesson(before: str, after: str) -> Lesson:
    change = Change(bucket=7, before=list(before), after=list(after))
    return Lesson(topic="orders", partition=1, offset=5, time=WHEN, changes=[change])


def changed(before: str, after: str) -> dict[str, tuple[int, dict[str, int]]]:
    return {delta.product: (delta.orders, delta.pairs) for delta in deltas_of(lesson(before, after))}


def delta(offset: int, orders: int, pairs: Mapping[str, int], partition: int = 0) -> BasketDelta:
    origin = Origin(topic="orders", partition=partition, offset=offset)
    return BasketDelta(origin=origin, product_id="a", bucket=7, orders=orders, pairs=dict(pairs))


def test_a_new_basket_adds_one_to_each_product_and_to_each_pair_both_ways() -> None:
    assert changed("", "abc") == {
        "a": (1, {"b": 1, "c": 1}),
        "b": (1, {"a": 1, "c": 1}),
        "c": (1, {"a": 1, "b": 1}),
    }


def test_a_basket_of_one_counts_without_pairs() -> None:
    assert changed("", "a") == {"a": (1, {})}


def test_a_product_that_goes_takes_its_pairs_along_and_leaves_the_others() -> None:
    assert changed("abc", "ab") == {"a": (0, {"c": -1}), "b": (0, {"c": -1}), "c": (-1, {"a": -1, "b": -1})}


def test_a_product_swapped_for_another_never_meets_it() -> None:
    assert changed("ab", "ac") == {"a": (0, {"b": -1, "c": 1}), "b": (-1, {"a": -1}), "c": (1, {"a": 1})}


def test_deltas_come_in_the_same_order_every_time() -> None:
    assert [one.product for one in deltas_of(lesson("cba", "bd"))] == ["a", "b", "c", "d"]
    assert list(deltas_of(lesson("", "a"))) == [Delta("a", 7, 1, {})]


def test_what_was_counted_is_not_counted_again() -> None:
    record = load(None)
    assert count(record, delta(3, 1, {"b": 1}))
    assert not count(record, delta(3, 1, {"b": 1}))
    assert not count(record, delta(2, 1, {"b": 1}))
    assert record == {"orders": 1, "pairs": {"b": 1}, "watermarks": {"orders-0": 3}}


def test_each_source_partition_has_a_watermark_of_its_own() -> None:
    record = load(None)
    assert count(record, delta(9, 1, {"b": 1}, partition=0))
    assert count(record, delta(2, 1, {"b": 1}, partition=1))
    assert record["pairs"] == {"b": 2}


def test_a_pair_that_comes_to_nothing_is_forgotten() -> None:
    record = load(None)
    count(record, delta(1, 1, {"b": 1, "c": 1}))
    count(record, delta(2, 0, {"c": -1}))
    assert record["pairs"] == {"b": 1}


def test_counts_below_zero_wait_for_what_they_take_back() -> None:
    record = load(None)
    count(record, delta(1, -1, {"b": -1}))
    count(record, delta(1, 1, {"b": 1}, partition=1))
    assert (record["orders"], record["pairs"]) == (0, {})


def test_buckets_add_up() -> None:
    tallies: list[Tally] = [{"orders": 2, "pairs": {"b": 1}}, {"orders": 3, "pairs": {"b": 1, "c": 2}}]
    assert total_of(tallies) == {"orders": 5, "pairs": {"b": 2, "c": 2}}


@pytest.mark.parametrize(
    ("kept", "expected"), [(1, ["c"]), (2, ["c", "a"]), (3, ["c", "a", "b"]), (9, ["c", "a", "b"])]
)
def test_the_most_frequent_stay_and_the_lower_id_among_equals(kept: int, expected: list[str]) -> None:
    assert list(most_frequent({"b": 2, "a": 2, "c": 5, "z": 0, "y": -1}, kept)) == expected


def test_a_key_names_product_and_bucket() -> None:
    assert split_bucket_key(bucket_key("grocer", "a", 730)) == (b"grocer|a", 730)
    assert split_bucket_key(b"grocer|a") is None


def test_deltas_read_back_as_their_event() -> None:
    (key, value), *others = wire.deltas("grocer", lesson("", "abc"))
    event = decode(value, (BasketDeltaEmitted,))
    assert isinstance(event, BasketDeltaEmitted)
    assert (key, event.shopid, event.customerid) == (b"grocer|a", "grocer", None)
    assert event.data.origin == Origin(topic="orders", partition=1, offset=5)
    assert (event.data.product_id, event.data.orders, event.data.pairs) == ("a", 1, {"b": 1, "c": 1})
    assert len({decode(value, (BasketDeltaEmitted,)).id for _, value in others} | {event.id}) == 3


def test_pair_counts_read_back_as_their_event() -> None:
    key, value = wire.pair_counts("grocer", "a", {"orders": 2, "pairs": {"b": 1}}, WHEN)
    event = decode(value, (PairCountsUpdated,))
    assert isinstance(event, PairCountsUpdated)
    assert (key, event.data.product_id, event.data.orders, event.data.pairs) == (
        b"grocer|a",
        "a",
        2,
        {"b": 1},
    )
