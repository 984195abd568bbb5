"""What orders and returns teach, record by record."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from services.recommender.domain.baskets import (
    BASKET_LIMIT,
    CustomerRecord,
    Lesson,
    bucket_of,
    dump,
    forget_acknowledged,
    learn,
    load,
)
from shared.events import OrderStatus, Origin, ReturnStatus
from tests.support.affinity import Fact, bought, sent_back


def taught(facts: Sequence[Fact], record: CustomerRecord | None = None) -> list[Lesson | None]:
    record = load(None) if record is None else record
    return [
        learn(record, Origin(topic=type(fact).__name__, partition=0, offset=offset), fact)
        for offset, fact in enumerate(facts)
    ]


def last_change(*facts: Fact) -> tuple[list[str], list[str]] | None:
    lesson = taught(facts)[-1]
    return (lesson["changes"][0]["before"], lesson["changes"][0]["after"]) if lesson else None


def test_an_order_teaches_its_distinct_products() -> None:
    assert last_change(bought("ann", "o", {"b": 2, "a": 1})) == ([], ["a", "b"])


def test_an_order_from_history_teaches_like_any_other() -> None:
    assert last_change(bought("ann", "o", "ab", history=True)) == ([], ["a", "b"])


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.VOIDED])
def test_a_cancelled_or_voided_order_takes_back_what_it_taught(status: OrderStatus) -> None:
    change = last_change(bought("ann", "o", "ab"), bought("ann", "o", "ab", version=2, status=status))
    assert change == (["a", "b"], [])


def test_a_test_order_teaches_nothing() -> None:
    assert last_change(bought("ann", "o", "ab", test=True)) is None


def test_an_older_version_that_comes_late_changes_nothing() -> None:
    assert last_change(bought("ann", "o", "abc", version=2), bought("ann", "o", "ab", version=1)) is None


@pytest.mark.parametrize("status", [ReturnStatus.RECEIVED, ReturnStatus.REFUNDED])
def test_goods_that_came_back_are_taken_back(status: ReturnStatus) -> None:
    change = last_change(bought("ann", "o", "abc"), sent_back("ann", "o", "b", status=status))
    assert change == (["a", "b", "c"], ["a", "c"])


@pytest.mark.parametrize("status", [ReturnStatus.REQUESTED, ReturnStatus.REJECTED])
def test_goods_that_did_not_come_back_still_teach(status: ReturnStatus) -> None:
    assert last_change(bought("ann", "o", "abc"), sent_back("ann", "o", "b", status=status)) is None


def test_a_product_counts_while_one_unit_of_it_is_kept() -> None:
    order, first = bought("ann", "o", {"a": 2, "b": 1}), sent_back("ann", "o", "a", return_id="r1")
    assert last_change(order, first) is None
    assert last_change(order, first, sent_back("ann", "o", "a", return_id="r2")) == (["a", "b"], ["b"])


def test_a_return_rejected_after_all_gives_its_products_back() -> None:
    rejected = sent_back("ann", "o", "b", version=2, status=ReturnStatus.REJECTED)
    assert last_change(bought("ann", "o", "ab"), sent_back("ann", "o", "b"), rejected) == (["a"], ["a", "b"])


def test_a_return_before_its_order_waits_for_it() -> None:
    assert last_change(sent_back("ann", "o", "b")) is None
    assert last_change(sent_back("ann", "o", "b"), bought("ann", "o", "abc")) == ([], ["a", "c"])


def test_a_return_of_something_never_bought_changes_nothing() -> None:
    assert last_change(bought("ann", "o", "ab"), sent_back("ann", "o", "z")) is None


def test_an_order_that_moves_to_another_bucket_leaves_the_one_and_joins_the_other() -> None:
    lesson = taught([bought("ann", "o", "ab"), bought("ann", "o", "ab", version=2, day=40)])[-1]
    assert lesson is not None
    old, new = lesson["changes"]
    assert (old["before"], old["after"], new["before"], new["after"]) == (["a", "b"], [], [], ["a", "b"])
    assert new["bucket"] > old["bucket"]


def test_a_huge_basket_teaches_the_same_hundred_products_whatever_the_order_of_its_lines() -> None:
    names = [f"p{number}" for number in range(BASKET_LIMIT + 50)]
    change = last_change(bought("ann", "o", dict.fromkeys(names, 1)))
    again = last_change(bought("ann", "o", dict.fromkeys(reversed(names), 1)))
    assert change is not None
    assert len(change[1]) == BASKET_LIMIT
    assert change == again


def test_a_replay_says_the_pending_lesson_again_and_changes_nothing() -> None:
    record = load(None)
    facts = [bought("ann", "o", "ab"), bought("ann", "p", "bc")]
    first = taught(facts, record)
    stored = dump(record)
    assert taught(facts, record) == first
    assert dump(record) == stored


def test_a_replay_of_what_was_acknowledged_says_nothing() -> None:
    record = load(None)
    facts = [bought("ann", "o", "ab"), bought("ann", "p", "bc")]
    first = taught(facts, record)
    forget_acknowledged(record, {"OrderRecorded-0": 1})
    assert taught(facts, record) == [None, first[1]]


def test_a_record_survives_its_table() -> None:
    record = load(None)
    taught([bought("ann", "o", {"a": 2}), sent_back("ann", "o", "a")], record)
    assert load(dump(record)) == record


def test_buckets_are_28_days_from_1970() -> None:
    assert bucket_of(datetime(1970, 1, 28, 23, 59, tzinfo=UTC)) == 0
    assert bucket_of(datetime(1970, 1, 29, tzinfo=UTC)) == 1
    assert bucket_of(datetime(1969, 12, 31, 23, 59, tzinfo=UTC)) == -1
