"""What may be asked of the recommendation API, and by whom."""

from decimal import Decimal

import pytest
from multidict import MultiDict
from pydantic import SecretStr

from services.recommender.domain.wish import Customer, Strategy, Wish
from services.recommender.serving.keys import Doors, doors_for
from services.recommender.serving.question import Refused, Standing, question_of
from shared.errors import SettingsError
from shared.keys import Keys
from shared.settings import Settings

STANDING = Standing(Decimal("0.25"), min_stock=3, min_margin=0.05, season="spring")


def asked(*pairs: tuple[str, str]) -> MultiDict[str]:
    return MultiDict([("shop", "fitness"), *pairs])


def wished(*pairs: tuple[str, str], customer: Customer | None = None) -> Wish:
    return question_of(asked(*pairs)).wish(STANDING, customer)


def paths_of(query: MultiDict[str]) -> list[str]:
    with pytest.raises(Refused) as refused:
        question_of(query)
    assert refused.value.status == 400
    return [fault.path for fault in refused.value.faults]


def test_a_whole_question_is_read() -> None:
    made = wished(
        ("basket", "a,b"),
        ("basket", "c"),
        ("exclude", "x,"),
        ("k", "3"),
        ("max_price", "9.99"),
        ("currency", "USD"),
        ("strategy", "seasonal"),
        ("season", "autumn"),
        ("diverse", "false"),
        ("min_stock", "7"),
        ("min_margin", "0.2"),
    )
    assert made == Wish(
        basket=("a", "b", "c"),
        k=3,
        exclude=frozenset({"x"}),
        max_price=Decimal("9.99"),
        currency="USD",
        strategy=Strategy.SEASONAL,
        season="autumn",
        diverse=False,
        min_stock=7,
        min_margin=0.2,
    )


def test_what_is_not_said_stands_in_the_settings() -> None:
    made = wished(("product", "a"))
    assert (made.k, made.strategy, made.min_stock, made.min_margin) == (10, Strategy.CROSS_SELL, 3, 0.05)
    assert (made.season, made.diverse, made.under, made.max_price) == ("spring", True, None, None)
    assert wished(("product", "a"), ("strategy", "bundle")).k == 2


@pytest.mark.parametrize(
    ("pairs", "under"),
    [
        ([("order_value", "80")], Decimal(20)),
        ([("order_value", "80"), ("price_share", "0.5")], Decimal(40)),
        ([("order_value", "80"), ("strategy", "upsell")], None),
        ([("order_value", "80"), ("strategy", "replenish")], None),
        ([("order_value", "80"), ("strategy", "upsell"), ("price_share", "2")], Decimal(160)),
    ],
)
def test_the_orders_value_bounds_prices_save_of_what_is_dearer_by_nature(
    pairs: list[tuple[str, str]], under: Decimal | None
) -> None:
    assert wished(("product", "a"), *pairs).under == under


def test_what_tells_of_customers_stock_or_margins_is_for_servers() -> None:
    for pair in (("customer", "c-1"), ("min_stock", "1"), ("min_margin", "0")):
        assert question_of(asked(("product", "a"), pair)).private
    assert not question_of(asked(("product", "a"), ("explain", "true"))).private


def test_an_id_with_a_comma_can_be_asked_for_as_product() -> None:
    assert wished(("product", "a,b")).basket == ("a,b",)


@pytest.mark.parametrize("also", [("product", "a"), ("basket", "a,b")])
def test_a_customer_is_asked_for_alone_or_beside_what_they_look_at(also: tuple[str, str]) -> None:
    someone = Customer({})
    assert wished(("customer", "c-1"), customer=someone).basket == ()
    made = wished(("customer", "c-1"), also, customer=someone)
    assert (made.basket[0], made.customer) == ("a", someone)


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
        ([("customer", "a|b")], ["customer"]),
        ([("customer", "c-1"), ("product", "a"), ("basket", "b")], ["product"]),
        ([("product", "a"), ("strategy", "best")], ["strategy"]),
        ([("product", "a"), ("season", "rainy")], ["season"]),
        ([("product", "a"), ("price_share", "0.5")], ["price_share"]),
        ([("product", "a"), ("order_value", "80"), ("price_share", "0")], ["price_share"]),
        ([("product", "a"), ("min_margin", "2")], ["min_margin"]),
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
    keys = Keys("fitness:pk_fitness, skincare:pk_skincare", "A_SETTING")
    assert keys.open("fitness", "pk_fitness")
    assert not keys.open("fitness", "pk_skincare")
    assert not keys.open("grocer", "pk_fitness")
    assert not keys.open("grocer", "")


def test_a_shop_may_have_two_keys_while_they_are_changed() -> None:
    keys = Keys("fitness:pk_the_old,fitness:pk_the_new", "A_SETTING")
    assert keys.open("fitness", "pk_the_old")
    assert keys.open("fitness", "pk_the_new")


def test_a_key_of_any_bytes_is_merely_wrong() -> None:
    assert not Keys("fitness:pk_fitness", "A_SETTING").open("fitness", "\udcff☃")


@pytest.mark.parametrize("text", ["fitness", "fitness:short", "Fitness:pk_fitness", "fitness:pk fitness"])
def test_a_list_of_keys_that_cannot_be_read_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(SettingsError, match="entry 2 is not shop:key") as refused:
        Keys(f"skincare:pk_skincare,{text}", "A_SETTING")
    assert "pk_skincare" not in str(refused.value)


def test_without_keys_only_this_machine_may_ask() -> None:
    assert doors_for(Settings(http_host="127.0.0.1")).page("fitness", "")
    with pytest.raises(SettingsError, match="ORDERWAKE_RECOMMENDATION_KEYS is empty"):
        doors_for(Settings(http_host="0.0.0.0"))  # noqa: S104  that it is refused is what is tested


def doors(publishable: str = "", secret: str = "", host: str = "127.0.0.1") -> Doors:
    return doors_for(
        Settings(
            http_host=host, recommendation_keys=publishable, recommendation_secret_keys=SecretStr(secret)
        )
    )


def test_only_a_secret_key_opens_what_servers_may_know() -> None:
    made = doors("fitness:pk_fitness", "fitness:sk_fitness,skincare:sk_skincare")
    assert made.server("fitness", "sk_fitness")
    assert not made.server("fitness", "pk_fitness")
    assert not made.server("fitness", "sk_skincare")
    assert made.page("fitness", "sk_fitness")
    assert made.page("fitness", "pk_fitness")
    assert not made.page("skincare", "pk_fitness")


def test_without_secret_keys_nobody_learns_of_customers_even_here() -> None:
    assert not doors().server("fitness", "")
    assert not doors("fitness:pk_fitness").server("fitness", "-")


def test_with_secret_keys_alone_pages_may_ask_nothing() -> None:
    assert not doors(secret="fitness:sk_fitness", host="0.0.0.0").page("fitness", "")  # noqa: S104  a key guards it


def test_a_key_that_stands_in_pages_cannot_be_a_secret_one() -> None:
    with pytest.raises(
        SettingsError, match="has a key that ORDERWAKE_RECOMMENDATION_KEYS has too"
    ) as refused:
        doors("fitness:the_same_key", "skincare:the_same_key")
    assert "the_same_key" not in str(refused.value)


def test_a_list_of_secret_keys_that_cannot_be_read_is_refused_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match="ORDERWAKE_RECOMMENDATION_SECRET_KEYS: entry 1 is not shop:key"):
        doors(secret="fitness")
