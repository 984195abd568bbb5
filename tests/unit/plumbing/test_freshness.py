"""A partition is trusted only while all of its topics are read to their ends by owners who say so."""

from datetime import timedelta

import pytest

from shared.kafka.freshness import Position, fresh_partitions
from tests.support.samples import START as NOW

TOPICS = ["orders", "returns"]
LIMIT = timedelta(seconds=5)


def seen(topic: str, *, partition: int = 0, ago: float = 0, behind: float | None = None) -> Position:
    behind_since = None if behind is None else NOW - timedelta(seconds=behind)
    return Position(topic, partition, 7, NOW - timedelta(seconds=ago), behind_since)


def trusted(*positions: Position) -> dict[int, dict[str, int]]:
    return fresh_partitions(positions, TOPICS, NOW, LIMIT)


def test_a_partition_whose_topics_are_all_read_to_the_end_is_trusted_with_its_positions() -> None:
    assert trusted(seen("orders"), seen("returns")) == {0: {"orders-0": 7, "returns-0": 7}}


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [seen("returns", partition=1)],
        [seen("returns", ago=5.1)],
        [seen("returns", behind=5.1)],
        [seen("catalog")],
    ],
    ids=["never read", "only elsewhere", "silent owner", "behind for long", "another topic"],
)
def test_one_topic_in_doubt_is_enough_to_hold_a_partition(bad: list[Position]) -> None:
    assert 0 not in trusted(seen("orders"), *bad)


def test_a_short_silence_or_lag_is_borne() -> None:
    assert list(trusted(seen("orders", ago=5), seen("returns", behind=5))) == [0]


def test_one_partition_in_doubt_does_not_hold_another() -> None:
    good = [seen(topic, partition=1) for topic in TOPICS]
    assert list(trusted(seen("orders", ago=60), seen("returns"), *good)) == [1]
