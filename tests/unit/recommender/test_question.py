"""What may be asked of the recommendation API, and by whom."""

from decimal import Decimal

import pytest
from multidict import MultiDict

from services.recommender.domain.serving import Wish
from services.recommender.serving.keys import Keys, keys_for
from services.recommender.serving.question import Refused, question_of
from shared.errors import SettingsError
from shared.settings import Settings


def asked(*pairs: tuple[str, str]) -> MultiDict[str]:
    return MultiDict([("shop", "fitness"), *pairs])


def paths_of(query: MultiDict[str]) -> list[str]:
    with pytest.raises(Refused) as refused:
        question_of(query)
    assert refused.value.status == 400
    return [fault.path for fault in refused.value.faults]


def test_a_whole_question_is_read() -> None:
    question = question_of(
        asked(
            ("basket", "a,b"),
            ("basket", "c"),
            ("exclude", "x,"),
            ("k", "3"),
            ("max_price", "9.99"),
            ("currency", "USD"),
        )
    )
    assert question.wish() == Wish(("a", "b", "c"), 3, frozenset({"x"}), Decimal("9.99"), "USD")


def test_an_id_with_a_comma_can_be_asked_for_as_product() -> None:
    assert question_of(asked(("product", "a,b"))).wish().basket == ("a,b",)


@pytest.mark.parametrize(
    ("pairs", "paths"),
    [
        ([], ["product"]),
        ([("product", "a"), ("basket", "b")], ["product"]),
        ([("basket", ",")], ["product"]),
        ([("product", "a"), ("k", "0")], ["k"]),
        ([("product", "a"), ("k", "51")], ["k"]),
        ([("product", "a"), ("k", "many"), ("max_price", "-1")], ["k", "max_price"]),
        ([("product", "a"), ("max_price", "NaN")], ["max_price"]),
        ([("product", "a|b")], ["product"]),
        ([("product", "a"), ("explain", "perhaps")], ["explain"]),
        ([("product", "a"), ("product", "b")], ["product"]),
        ([("product", "a"), ("limit", "5")], ["limit"]),
        ([("basket", ",".join("x" * 101))], ["basket"]),
        ([("basket", "a,b|c")], ["basket.1"]),
        ([("customer", "c-1")], ["customer"]),
    ],
)
def test_what_is_wrong_is_said_by_its_name(pairs: list[tuple[str, str]], paths: list[str]) -> None:
    assert paths_of(asked(*pairs)) == paths


def test_a_question_without_shop_is_refused() -> None:
    assert paths_of(MultiDict([("product", "a")])) == ["shop"]


def test_faults_never_repeat_what_was_sent() -> None:
    with pytest.raises(Refused) as refused:
        question_of(asked(("product", "secret|1"), ("k", "secret"), ("max_price", "secret")))
    assert "secret" not in str([fault.detail for fault in refused.value.faults])


def test_a_key_opens_its_own_shop_only() -> None:
    keys = Keys("fitness:pk_fitness, skincare:pk_skincare")
    assert keys.open("fitness", "pk_fitness")
    assert not keys.open("fitness", "pk_skincare")
    assert not keys.open("grocer", "pk_fitness")
    assert not keys.open("grocer", "")


def test_a_shop_may_have_two_keys_while_they_are_changed() -> None:
    keys = Keys("fitness:pk_the_old,fitness:pk_the_new")
    assert keys.open("fitness", "pk_the_old")
    assert keys.open("fitness", "pk_the_new")


def test_a_key_of_any_bytes_is_merely_wrong() -> None:
    assert not Keys("fitness:pk_fitness").open("fitness", "\udcff☃")


@pytest.mark.parametrize("text", ["fitness", "fitness:short", "Fitness:pk_fitness", "fitness:pk fitness"])
def test_a_list_of_keys_that_cannot_be_read_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(SettingsError, match="entry 2 is not shop:key") as refused:
        Keys(f"skincare:pk_skincare,{text}")
    assert "pk_skincare" not in str(refused.value)


def test_without_keys_only_this_machine_may_ask() -> None:
    assert keys_for(Settings(http_host="127.0.0.1")).open("fitness", "")
    with pytest.raises(SettingsError, match="ORDERWAKE_RECOMMENDATION_KEYS is empty"):
        keys_for(Settings(http_host="0.0.0.0"))  # noqa: S104  that it is refused is what is tested
