"""What orders and returns teach, record by record."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.recommender.domain.baskets import (
    ACCEPT_ORDERS,
    KEEP_DAYS,
    CustomerRecord,
    Outcome,
    dump,
    given_back,
    load,
    purchases,
    take_order,
    take_return,
    withdraw,
)
from services.recommender.domain.kept import ACCEPT_DAYS, BASKET_LIMIT, came_back, minute_of
from services.recommender.domain.kept import bought as as_bought
from services.recommender.domain.tally import Counted, tallies
from services.recommender.domain.timeline import bucket_of
from shared.events import OrderRecorded, OrderStatus, ReturnStatus
from tests.support.affinity import FIRST_DAY, Fact, bought, sent_back

Lesson = dict[tuple[str, int], dict[str, Any]]


def take_any(record: CustomerRecord, fact: Fact, counted: Counted) -> Outcome:
    if isinstance(fact, OrderRecorded):
        return take_order(record, fact.data.order_id, as_bought(fact.data), counted)
    return take_return(record, fact.data.order_id, fact.data.return_id, came_back(fact.data), counted)


def take(record: CustomerRecord, fact: Fact) -> tuple[Outcome, Lesson]:
    counted: Counted = {}
    outcome = take_any(record, fact, counted)
    return outcome, {(product, bucket): tally for product, bucket, tally in tallies(counted)}


def last_change(*facts: Fact) -> dict[str, int]:
    """Baskets gained by product, by the last fact."""
    record = load(None)
    for fact in facts[:-1]:
        take(record, fact)
    lesson = take(record, facts[-1])[1]
    return {product: tally.get("orders", 0) for (product, _), tally in lesson.items() if tally.get("orders")}


def test_an_order_teaches_its_distinct_products() -> None:
    assert last_change(bought("ann", "o", {"b": 2, "a": 1})) == {"a": 1, "b": 1}


def test_an_order_from_history_teaches_like_any_other() -> None:
    assert last_change(bought("ann", "o", "ab", history=True)) == {"a": 1, "b": 1}


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.VOIDED])
def test_a_cancelled_or_voided_order_takes_back_what_it_taught(status: OrderStatus) -> None:
    change = last_change(bought("ann", "o", "ab"), bought("ann", "o", "ab", version=2, status=status))
    assert change == {"a": -1, "b": -1}


def test_a_test_order_teaches_nothing() -> None:
    assert last_change(bought("ann", "o", "ab", test=True)) == {}


def test_an_older_version_that_comes_late_changes_nothing() -> None:
    assert last_change(bought("ann", "o", "abc", version=2), bought("ann", "o", "ab", version=1)) == {}


@pytest.mark.parametrize("status", [ReturnStatus.RECEIVED, ReturnStatus.REFUNDED])
def test_goods_that_came_back_are_taken_back(status: ReturnStatus) -> None:
    assert last_change(bought("ann", "o", "abc"), sent_back("ann", "o", "b", status=status)) == {"b": -1}


@pytest.mark.parametrize("status", [ReturnStatus.REQUESTED, ReturnStatus.REJECTED])
def test_goods_that_did_not_come_back_still_teach(status: ReturnStatus) -> None:
    assert last_change(bought("ann", "o", "abc"), sent_back("ann", "o", "b", status=status)) == {}


def test_a_product_counts_while_one_unit_of_it_is_kept() -> None:
    order, first = bought("ann", "o", {"a": 2, "b": 1}), sent_back("ann", "o", "a", return_id="r1")
    assert last_change(order, first) == {}
    assert last_change(order, first, sent_back("ann", "o", "a", return_id="r2")) == {"a": -1}


def test_a_return_rejected_after_all_gives_its_products_back() -> None:
    rejected = sent_back("ann", "o", "b", version=2, status=ReturnStatus.REJECTED)
    assert last_change(bought("ann", "o", "ab"), sent_back("ann", "o", "b"), rejected) == {"b": 1}


def test_a_return_before_its_order_waits_for_it() -> None:
    assert last_change(sent_back("ann", "o", "b")) == {}
    assert last_change(sent_back("ann", "o", "b"), bought("ann", "o", "abc")) == {"a": 1, "c": 1}


def test_a_return_of_something_never_bought_changes_nothing() -> None:
    assert last_change(bought("ann", "o", "ab"), sent_back("ann", "o", "z")) == {}


def test_an_order_that_moves_to_another_bucket_leaves_the_one_and_joins_the_other() -> None:
    record = load(None)
    take(record, bought("ann", "o", "a"))
    lesson = take(record, bought("ann", "o", "a", version=2, day=40))[1]
    old, new = (bucket_of(minute_of(FIRST_DAY + timedelta(days=day))) for day in (0, 40))
    assert {bucket: tally["orders"] for (_, bucket), tally in lesson.items()} == {old: -1, new: 1}


def test_a_huge_basket_teaches_the_same_hundred_products_whatever_the_order_of_its_lines() -> None:
    names = [f"p{number}" for number in range(BASKET_LIMIT + 50)]
    change = last_change(bought("ann", "o", dict.fromkeys(names, 1)))
    assert len(change) == BASKET_LIMIT
    assert change == last_change(bought("ann", "o", dict.fromkeys(reversed(names), 1)))


def test_a_record_that_comes_again_changes_nothing() -> None:
    record = load(None)
    facts: list[Fact] = [
        bought("ann", "o", "ab"),
        bought("ann", "p", "bc", day=9),
        sent_back("ann", "o", "a"),
    ]
    for fact in facts:
        take(record, fact)
    stored = dump(record)
    assert [take(record, fact)[1] for fact in facts] == [{}, {}, {}]
    assert dump(record) == stored
    assert load(stored) == record


def test_an_order_beyond_the_horizon_changes_nothing_and_says_so() -> None:
    record = load(None)
    take(record, bought("ann", "new", "ab", day=ACCEPT_DAYS + 1))
    assert take(record, bought("ann", "old", "cd", day=0)) == (Outcome.BEYOND_HORIZON, {})
    assert take(record, bought("ann", "edge", "cd", day=1))[0] is Outcome.TAKEN


def test_a_return_beyond_the_horizon_changes_nothing_whether_it_comes_before_its_order_or_after() -> None:
    order, late = bought("ann", "o", "ab", day=-ACCEPT_DAYS), sent_back("ann", "o", "a")
    record = load(None)
    take(record, order)
    assert take(record, late) == (Outcome.BEYOND_HORIZON, {})
    assert last_change(late, order) == {"a": 1, "b": 1}


def test_an_order_with_many_after_it_can_no_longer_change() -> None:
    record = load(None)
    for number in range(ACCEPT_ORDERS + 2):
        take(record, bought("ann", f"o{number:03}", "ab", day=number))
    cancelled = bought("ann", "o000", "ab", version=2, status=OrderStatus.CANCELLED)
    assert take(record, cancelled) == (Outcome.BEYOND_HORIZON, {})
    open_ = bought("ann", "o002", "ab", day=2, version=2, status=OrderStatus.CANCELLED)
    assert take(record, open_)[0] is Outcome.TAKEN


def test_what_no_change_can_reach_is_forgotten_and_what_it_taught_stays() -> None:
    record = load(None)
    take(record, bought("ann", "old", "ab"))
    _, lesson = take(record, bought("ann", "new", "ab", day=KEEP_DAYS + 1))
    assert list(record["orders"]) == ["new"]
    assert all(tally["orders"] == 1 for tally in lesson.values())


def test_a_customer_who_is_withdrawn_taught_nothing() -> None:
    record, counted = load(None), Counted()
    facts: list[Fact] = [sent_back("ann", "o2", "b")]
    facts += [bought("ann", f"o{number}", "abc"[: number % 3 + 1], day=9 * number) for number in range(12)]
    for fact in facts:
        take_any(record, fact, counted)
    withdraw(record, counted)
    assert list(tallies(counted)) == []
    assert purchases(record) == {}


def test_a_customer_has_what_was_bought_and_not_sent_back() -> None:
    record = load(None)
    for fact in (bought("ann", "o", "ab"), bought("ann", "p", "b", day=5), sent_back("ann", "o", "a")):
        take(record, fact)
    day = minute_of(FIRST_DAY)
    assert purchases(record) == {"b": [day, day + 5 * 1440]}
    assert given_back(record) == ["a"]
    take(record, bought("ann", "q", "a", day=9))
    assert given_back(record) == []


def test_buckets_are_28_days_from_1970() -> None:
    assert bucket_of(minute_of(datetime(1970, 1, 28, 23, 59, tzinfo=UTC))) == 0
    assert bucket_of(minute_of(datetime(1970, 1, 29, tzinfo=UTC))) == 1
    assert bucket_of(minute_of(datetime(1969, 12, 31, 23, 59, tzinfo=UTC))) == -1
