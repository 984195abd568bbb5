"""Deltas, what they add up to, and the records that carry them."""

from typing import Any, cast
from zlib import crc32

import pytest

from services.recommender import wire
from services.recommender.deltas import parse
from services.recommender.domain.affinity import (
    bucket_key,
    count,
    dump,
    load,
    most_frequent,
    source_of,
    split_bucket_key,
)
from services.recommender.domain.rows import row
from services.recommender.domain.tally import Counted, Tally, bare, total
from services.recommender.domain.timeline import Entry, teach_all
from shared.events import BasketDeltaEmitted, CustomerProductsUpdated, Origin, PairCountsUpdated, decode

WHEN = "2026-01-01T12:00:00+00:00"
ORIGIN = Origin(topic="orders", partition=1, offset=5)


def taught(*orders: tuple[int, str]) -> Counted:
    """What orders on these days with these products (one letter each) teach."""
    counted: Counted = {}
    teach_all(counted, [Entry(day * 1440, f"o{day}", sorted(products)) for day, products in orders])
    return counted


def test_a_basket_counts_each_product_and_each_pair_both_ways() -> None:
    counted = taught((3, "abc"))
    assert {product: buckets[0]["pairs"] for product, buckets in counted.items()} == {
        "a": {"b": 1, "c": 1},
        "b": {"a": 1, "c": 1},
        "c": {"a": 1, "b": 1},
    }


def test_what_was_counted_is_not_counted_again() -> None:
    record = load(None)
    one = {"orders": 1, "pairs": {"b": 1}}
    assert count(record, "orders-0", 3, one)
    assert not count(record, "orders-0", 3, one)
    assert not count(record, "orders-0", 2, one)
    assert (bare(record["tally"]), record["watermarks"]) == (one, {"orders-0": 3})


def test_each_source_partition_has_a_watermark_of_its_own() -> None:
    record = load(None)
    assert count(record, source_of("orders", 0), 9, {"pairs": {"b": 1}})
    assert count(record, source_of("orders", 1), 2, {"pairs": {"b": 1}})
    assert record["tally"]["pairs"] == {"b": 2}


def test_what_comes_to_nothing_is_forgotten() -> None:
    record = load(None)
    count(record, "orders-0", 1, {"pairs": {"b": 1, "c": 1}, "follows": {"7": {"d": 1}}})
    count(record, "orders-0", 2, {"pairs": {"c": -1}, "follows": {"7": {"d": -1}}})
    assert bare(record["tally"]) == {"pairs": {"b": 1}}


def test_counts_below_zero_wait_for_what_they_take_back() -> None:
    record = load(None)
    count(record, "returns-0", 1, {"orders": -1, "pairs": {"b": -1}})
    assert bare(load(dump(record))["tally"]) == {"orders": -1, "pairs": {"b": -1}}
    count(record, "orders-0", 1, {"orders": 1, "pairs": {"b": 1}})
    assert bare(record["tally"]) == {}


def test_buckets_add_up() -> None:
    buckets = taught((3, "ab"), (40, "abc"))["a"]
    whole = total(buckets.values())
    assert (whole["orders"], whole["pairs"], whole["buyers"]) == (2, {"b": 2, "c": 1}, 1)
    assert (whole["again"], whole["follows"]) == ({"35": 1}, {"35": {"c": 1}})


@pytest.mark.parametrize(
    ("kept", "expected"), [(1, ["c"]), (2, ["c", "a"]), (3, ["c", "a", "b"]), (9, ["c", "a", "b"])]
)
def test_the_most_frequent_stay_and_the_lower_id_among_equals(kept: int, expected: list[str]) -> None:
    assert most_frequent({"b": 2, "a": 2, "c": 5, "z": 0, "y": -1}, kept) == expected


def test_a_key_names_product_and_bucket() -> None:
    assert split_bucket_key(bucket_key("grocer", "a", 730)) == (b"grocer|a", 730)
    assert split_bucket_key(b"grocer|a") is None


def sent(counted: Counted, partitions: int = 3) -> list[tuple[int, bytes]]:
    return list(wire.deltas("grocer", ORIGIN, WHEN, counted, lambda key: crc32(key) % partitions))


def test_deltas_read_back_as_their_event_each_product_in_its_partition() -> None:
    counted = taught((3, "abc"), (40, "cd"))
    found: dict[str, dict[str, Any]] = {}
    for partition, value in sent(counted):
        event = decode(value, (BasketDeltaEmitted,))
        assert isinstance(event, BasketDeltaEmitted)
        assert event.data.origin == ORIGIN
        for product, buckets in event.data.counts.items():
            assert crc32(f"grocer|{product}".encode()) % 3 == partition
            found[product] = {
                bucket: bare(cast("Tally", tally.model_dump())) for bucket, tally in buckets.items()
            }
    assert found == {
        product: {str(bucket): bare(tally) for bucket, tally in buckets.items()}
        for product, buckets in counted.items()
    }


def test_a_large_run_is_sent_in_parts_with_ids_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "DELTA_BYTES", 200)
    values = [value for _, value in sent(taught((3, "abcdefgh")), partitions=1)]
    events = [event for value in values if (event := parse(value))]
    assert len(events) == len({event.id for event in events}) > 2
    assert sorted(product for event in events for product in event.data["counts"]) == list("abcdefgh")


def test_what_changes_nothing_is_not_sent() -> None:
    counted = taught((3, "ab"))
    teach_all(counted, [Entry(3 * 1440, "o3", ["a", "b"])], sign=-1)
    assert sent(counted) == []


def test_what_is_no_delta_is_not_taken_for_one() -> None:
    value = sent(taught((3, "ab")))[0][1]
    assert parse(value) is not None
    assert [parse(bad) for bad in (None, b"", b"[]", b"{}", value.replace(b"emitted.v2", b"emitted.v9"))] == [
        None
    ] * 5


def test_rows_read_back_as_their_event() -> None:
    counted = taught((3, "ab"), (40, "bc"), (45, "ad"))
    for product, buckets in counted.items():
        key, value = wire.pair_counts("grocer", product, row(buckets, 200, 60.0), WHEN)
        event = decode(value, (PairCountsUpdated,))
        assert isinstance(event, PairCountsUpdated)
        assert (key, event.data.product_id) == (f"grocer|{product}".encode(), product)
        assert event.data.orders == total(buckets.values())["orders"]


def test_a_row_keeps_the_heaviest_neighbours_and_fades_what_is_old() -> None:
    counted = taught(*((day, "ab") for day in range(3)), *((364 + day, "ac") for day in range(2)))
    found = row(counted["a"], 1, 400.0)
    assert found["pairs"] == {"c": 2}
    assert found["together"] == {"c": 2.0}
    assert found["bought"] == 3 * 0.5 + 2
    assert row(counted["a"], 2, 400.0)["together"] == {"c": 2.0, "b": 1.5}


def test_what_a_customer_has_reads_back_as_its_event() -> None:
    products = {"mat": {"last_at": WHEN, "times": 2}}
    key, value = wire.customer_products("grocer", "ann", products, ["bell"], WHEN)
    event = decode(value, (CustomerProductsUpdated,))
    assert isinstance(event, CustomerProductsUpdated)
    assert (key, event.customerid, event.data.products["mat"].times) == (b"grocer|ann", "ann", 2)
    assert event.data.returned == ("bell",)
