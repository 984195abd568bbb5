"""When what goes with a product is worth saying again."""

from typing import Any

import pytest

from services.recommender.domain.material import materially_different
from shared.events import Candidate, Complements, Timing

GAP = Timing(support=400, share=0.6, days=(10.0, 40.0, 50.0), mean_days=35.0)
A, B, C = (Candidate(product_id=name, score=0.5, support=400, relation="pair") for name in "abc")
LATER = Candidate(product_id="z", score=0.4, support=50, relation="upgrade", gap=GAP)
SAID = Complements(
    product_id="p",
    version=1,
    candidates=(A, B, C),
    upgrades=(LATER,),
    weights={"a": 0.5, "b": 0.5},
    later={"c": 1.0},
    repurchase=GAP,
)


def but(candidate: Candidate, **changed: Any) -> Candidate:  # noqa: ANN401  any field
    return candidate.model_copy(update=changed)


def gap(**changed: Any) -> Timing:  # noqa: ANN401  as above
    return GAP.model_copy(update=changed)


NEWS: dict[str, dict[str, Any]] = {
    "another product": {"candidates": (A, B, but(C, product_id="d"))},
    "one fewer": {"candidates": (A, B)},
    "another leads": {"candidates": (B, A, C)},
    "a place up by two": {"candidates": (C, A, B)},
    "a score": {"candidates": (A, B, but(C, score=0.53))},
    "reliable now": {"candidates": (A, B, but(C, reliable=True))},
    "pinned now": {"candidates": (A, B, but(C, relation="pinned"))},
    "a gap where none was": {"candidates": (A, B, but(C, gap=GAP))},
    "no upgrade": {"upgrades": ()},
    "an upgrade's gap": {"upgrades": (but(LATER, gap=gap(days=(10.0, 45.0, 50.0))),)},
    "a weight": {"weights": {"a": 0.5, "b": 0.39}},
    "a new weight": {"later": {"c": 1.0, "d": 0.11}},
    "no repurchase": {"repurchase": None},
    "a share": {"repurchase": gap(share=0.56)},
    "a quartile": {"repurchase": gap(days=(12.0, 40.0, 50.0))},
}
NOISE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "the version": {"version": 2},
    "places below the first changed": {"candidates": (A, C, B)},
    "a little more support and score": {"candidates": (A, B, but(C, score=0.52, support=415))},
    "as often later as together": {"candidates": (A, B, but(C, relation="sequence", score=0.51))},
    "little known of little": {"upgrades": (but(LATER, score=0.425),)},
    "weights by a tenth in all": {"weights": {"a": 0.55, "b": 0.46}},
    "quartiles by a day": {"repurchase": gap(days=(11.0, 39.0, 54.0), mean_days=36.0, support=430)},
    "a share by a little": {"repurchase": gap(share=0.58)},
}


@pytest.mark.parametrize("changed", NEWS.values(), ids=NEWS)
def test_news_is_said_again(changed: dict[str, Any]) -> None:
    assert materially_different(SAID.model_copy(update=changed), SAID)


@pytest.mark.parametrize("changed", NOISE.values(), ids=NOISE)
def test_noise_is_not(changed: dict[str, Any]) -> None:
    assert not materially_different(SAID.model_copy(update=changed), SAID)


def test_one_basket_more_of_few_is_noise_and_a_third_more_of_many_is_not() -> None:
    few, many = (SAID.model_copy(update={"candidates": (but(A, support=number),)}) for number in (9, 300))
    assert not materially_different(
        few.model_copy(update={"candidates": (but(A, support=10, score=0.55),)}), few
    )
    assert materially_different(
        many.model_copy(update={"candidates": (but(A, support=400, score=0.66),)}), many
    )


def test_the_first_word_is_said_unless_it_is_empty() -> None:
    nothing = Complements(product_id="p", version=1, candidates=())
    assert materially_different(SAID, None)
    assert not materially_different(nothing, None)
    assert materially_different(nothing, SAID)
