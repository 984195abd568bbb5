"""Who is held out, and who gets what: fixed for ever, of the size asked for, and each draw apart from the others."""

from collections import Counter
from itertools import combinations
from typing import Any

import pytest

from services.scheduler.domain.experiment import Assignment, assign, place
from services.scheduler.domain.tree import Experiment

PEOPLE = [f"c-{number}" for number in range(20_000)]
LAYERS = ("programme-1", "journey-1", "layer:incentives", "variant:ten-or-fifteen", "variant:delay")


def experiment(name: str = "ten-or-fifteen", **changes: Any) -> Experiment:  # noqa: ANN401  any field
    step = {"id": "pair", "channel": "email", "template": "shop/pair", "after": "order", "delay": "45m"}
    fields: dict[str, Any] = {
        "experiment": name,
        "step": step,
        "variants": [{"name": "ten"}, {"name": "fifteen", "set": {"delay": "1h"}}],
    }
    return Experiment.model_validate(fields | changes)


def variants(terms: Experiment) -> dict[str, Assignment]:
    return {each: assign("shop", each, terms) for each in PEOPLE}


def exposed(terms: Experiment) -> dict[str, str]:
    return {each: variant for each, (variant, takes_part) in variants(terms).items() if takes_part}


def test_a_place_is_the_same_for_ever() -> None:
    assert round(place("skincare", "c-1", "programme-1"), 6) == 0.943074


@pytest.mark.parametrize("salt", ["a", "b"])
def test_places_are_uniform(salt: str) -> None:
    tenths = Counter(int(place("shop", each, salt) * 10) for each in PEOPLE)
    expected = len(PEOPLE) / 10
    assert (
        sum((tenths[tenth] - expected) ** 2 / expected for tenth in range(10)) < 27.9
    )  # chi-square, 9 df, p = 0.001


def test_layers_are_independent_of_each_other_over_a_million_people() -> None:
    """Chi-square of every pair of layers, each cut into five: 16 degrees of freedom; the limit allows for 10 pairs."""
    people, cuts = 1_000_000, 5
    cells = [Counter[tuple[int, int]]() for _ in combinations(LAYERS, 2)]
    for number in range(people):
        name = f"c-{number}"
        places = [int(place("shop", name, layer) * cuts) for layer in LAYERS]
        for cell, pair in zip(cells, combinations(places, 2), strict=True):
            cell[pair] += 1
    expected = people / cuts**2
    for cell, layers in zip(cells, combinations(LAYERS, 2), strict=True):
        assert sum((count - expected) ** 2 / expected for count in cell.values()) < 50.0, (
            layers
        )  # p = 0.00002 each
        assert len(cell) == cuts**2


def test_weights_are_kept() -> None:
    found = Counter(
        exposed(
            experiment(variants=[{"name": "a", "weight": 3}, {"name": "b", "set": {"delay": "1h"}}])
        ).values()
    )
    assert abs(found["a"] / len(PEOPLE) - 0.75) < 0.012  # four standard errors


def test_a_ramp_adds_people_and_moves_nobody() -> None:
    before, after = exposed(experiment(ramp=0.2)), exposed(experiment(ramp=0.6))
    assert before.items() <= after.items()
    assert abs(len(before) / len(PEOPLE) - 0.2) < 0.012
    assert abs(len(after) / len(PEOPLE) - 0.6) < 0.014


def test_whoever_takes_no_part_gets_the_control() -> None:
    rest = {variant for variant, takes_part in variants(experiment(ramp=0.2)).values() if not takes_part}
    assert rest == {"ten"}


def test_a_pause_gives_everyone_the_control_and_its_end_gives_back_what_they_had() -> None:
    assert set(variants(experiment(state="paused")).values()) == {("ten", False)}
    assert exposed(experiment()) == exposed(experiment(state="running"))


def test_a_conclusion_gives_everyone_the_winner() -> None:
    found = variants(experiment(state="concluded", winner="fifteen"))
    assert set(found.values()) == {("fifteen", False)}


def test_experiments_of_one_layer_share_its_people_and_none_is_in_two() -> None:
    one = exposed(experiment("one", layer="incentives", share_to=0.5))
    two = exposed(experiment("two", layer="incentives", share_from=0.5))
    assert one.keys().isdisjoint(two)
    assert len(one) + len(two) == len(PEOPLE)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"state": "concluded"}, "names its winner"),
        ({"winner": "ten"}, "names its winner"),
        ({"state": "concluded", "winner": "twenty"}, "names its winner"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "the same name"),
        ({"variants": [{"name": "a", "weight": 0}, {"name": "b", "weight": 0}]}, "weight above 0"),
        ({"share_from": 0.5, "share_to": 0.5}, "below share_to"),
        (
            {"variants": [{"name": "a"}, {"name": "b", "set": {"id": "other"}}]},
            "must not change the step's id",
        ),
        (
            {"variants": [{"name": "a"}, {"name": "b", "set": {"delay": "soon"}}]},
            "a duration is a whole number",
        ),
        ({"step": None}, "give `step` and vary it"),
    ],
)
def test_an_experiment_that_makes_no_sense_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        experiment(**changes)
