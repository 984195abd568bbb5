"""Solved columns, read by who speaks."""

from services.recommender.domain.speaking import Speaking, rounded


def test_columns_are_read_by_who_speaks_heaviest_first() -> None:
    speaking = Speaking()
    speaking.solve("mat", {"kettlebell": 0.4, "block": 0.2})
    speaking.solve("strap", {"kettlebell": 0.1, "block": 0.6})
    assert speaking.heaviest("kettlebell", 2) == {"mat": 0.4, "strap": 0.1}
    assert speaking.heaviest("block", 1) == {"strap": 0.6}
    assert speaking.heaviest("unheard-of", 5) == {}


def test_a_new_column_replaces_the_former_one_whole() -> None:
    speaking = Speaking()
    speaking.solve("mat", {"kettlebell": 0.4, "block": 0.2})
    speaking.solve("mat", {"block": 0.3})
    assert (speaking.heaviest("kettlebell", 5), speaking.heaviest("block", 5)) == ({}, {"mat": 0.3})


def test_only_those_whose_weights_moved_by_enough_in_all_are_looked_at_again() -> None:
    speaking = Speaking()
    assert speaking.solve("mat", {"kettlebell": 0.5, "block": 0.5}) == ["block", "kettlebell"]
    for one in ("kettlebell", "block"):
        speaking.settle(one)
    assert speaking.solve("mat", {"kettlebell": 0.51, "block": 0.48}) == []
    assert speaking.solve("mat", {"kettlebell": 0.52, "block": 0.46}) == ["block"]


def test_what_was_published_stands_in_until_a_product_is_solved() -> None:
    speaking = Speaking()
    speaking.solve("mat", {"kettlebell": 0.4})
    speaking.publish("kettlebell", {"mat": 0.9, "strap": 0.2})
    assert speaking.heaviest("kettlebell", 5) == {"mat": 0.4, "strap": 0.2}
    speaking.solve("strap", {"block": 0.1})
    assert speaking.heaviest("kettlebell", 5) == {"mat": 0.4}
    assert (speaking.is_solved("strap"), speaking.is_solved("kettlebell")) == (True, False)


def test_solving_what_was_published_moves_nothing() -> None:
    speaking = Speaking()
    speaking.publish("kettlebell", rounded({"mat": 0.123456}))
    assert speaking.solve("mat", {"kettlebell": 0.123456}) == []


def test_what_rounds_to_nothing_is_left_out() -> None:
    assert rounded({"a": 0.12344, "b": -0.00004}) == {"a": 0.1234}
