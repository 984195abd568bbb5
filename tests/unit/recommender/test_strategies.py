"""What comes up for each strategy, for baskets and for customers, and why the rest is left out."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from services.recommender.domain.names import stem
from services.recommender.domain.relations import Rules, ShopRelations
from services.recommender.domain.serving import recommend
from services.recommender.domain.shelf import Shelf
from services.recommender.domain.wish import Customer, LeftOut, Owned, Strategy, Wish, season_of
from shared.events import Candidate, PairCounts, Product, Timing
from tests.support.serving import NOW, baskets, candidate, has, product, says, shelf

SOON = NOW + timedelta(days=9)
MONTHLY = Timing(support=300, share=0.6, days=(25, 30, 40), mean_days=33, within_days=365)
BUCKET = 730


def rules(**said: object) -> Rules:
    return Rules.of(ShopRelations.model_validate(said))


def shown(made: Shelf, wish: Wish) -> list[str]:
    return [pick.product for pick in recommend(made, wish).picks]


def beside(*basket: str, k: int = 5, **said: object) -> Wish:
    return replace(Wish(basket, k), **said)  # type: ignore[arg-type]  # a test names the fields it needs


def of_customer(made: Shelf, name: str = "c-1", k: int = 5, **said: object) -> Wish:
    return beside(k=k, customer=made.customers[name], **said)


def counts(name: str, orders: int, **said: object) -> PairCounts:
    return baskets(name, orders, **{"bucket": BUCKET, **said})


def upgrade(name: str, support: int, score: float) -> Candidate:
    return candidate(name, support, score).model_copy(update={"relation": "upgrade"})


def test_weights_say_what_goes_with_a_basket_and_evidence_says_why() -> None:
    made = shelf(
        {
            "bell": says("bell", candidate("mat", 50, 0.4), weights={"mat": 0.3, "rope": 0.35, "chalk": 0.2}),
            "bar": says("bar", weights={"mat": 0.2, "chalk": 0.2, "bench": -0.5}),
        },
        bell=counts("bell", 180, pairs={"chalk": 30, "rope": 5}),
        bar=counts("bar", 80, pairs={"mat": 12, "chalk": 30}),
    )
    mat, chalk, rope = recommend(made, beside("bell", "bar", k=3)).picks
    assert (mat.product, mat.because, mat.support, mat.score) == ("mat", "bell", 50, 0.4)
    assert mat.voices == ("bell", "bar")
    assert (chalk.product, chalk.relation, chalk.support, chalk.reliable) == ("chalk", "pair", 30, False)
    assert chalk.score == 0.15
    assert (rope.product, rope.voices) == ("rope", ("bell",))


def test_what_has_weights_leads_and_shares_fill_up() -> None:
    made = shelf({"bell": says("bell", weights={"mat": 0.1}), "bar": (candidate("rack", 300, 0.9),)})
    assert shown(made, beside("bell", "bar")) == ["mat", "rack"]


def test_a_customer_is_shown_what_owners_of_their_products_buy_next() -> None:
    gap = Timing(support=60, share=0.5, days=(20, 40, 60), mean_days=41)
    made = shelf(
        {"bell": says("bell", later={"mat": 0.4, "chalk": 0.1}), "bar": says("bar", later={"gloves": 0.2})},
        bell=counts(
            "bell", 200, buyers=180, pairs={"mat": 3}, follows={"mat": (60, 9.0)}, timing={"mat": gap}
        ),
    )
    made.put_customer("c-1", has("bell", "bar"))
    mat, gloves, chalk = recommend(made, of_customer(made, k=3)).picks
    assert (mat.product, mat.because, mat.relation, mat.support) == ("mat", "bell", "sequence", 60)
    assert mat.gap
    assert list(mat.gap.days) == [20, 40, 60]
    assert (gloves.product, gloves.because, gloves.support) == ("gloves", "bar", 0)
    assert chalk.product == "chalk"


def test_what_was_bought_lately_counts_more() -> None:
    made = shelf({"old": says("old", later={"a": 0.4}), "new": says("new", later={"b": 0.3})})
    made.put_customer("c-1", has(days_ago={"old": 120, "new": 0}))
    assert shown(made, of_customer(made)) == ["b", "a"]


def test_what_followed_speaks_though_nothing_was_solved_yet() -> None:
    made = shelf({}, bell=counts("bell", 90, buyers=80, follows={"mat": (30, 12.0)}, exposure=40.0))
    made.put_customer("c-1", has("bell"))
    (mat,) = recommend(made, of_customer(made, k=1)).picks
    assert (mat.product, mat.because, mat.support, mat.relation) == ("mat", "bell", 30, "sequence")


def test_who_bought_nothing_yet_is_shown_what_others_have_begun_to_buy() -> None:
    day = str(BUCKET * 28 + 27)
    made = shelf({}, mat=counts("mat", 500), rope=counts("rope", 20, newly={day: 9}))
    assert shown(made, Wish((), 2, customer=Customer({}))) == ["rope", "mat"]


def test_what_sold_of_late_is_more_popular_than_what_sold_once() -> None:
    made = shelf(
        {},
        old=counts("old", 900),
        new=counts("new", 40, recent={str(BUCKET * 28 + 27): 30}),
        stale=counts("stale", 40, recent={str((BUCKET - 6) * 28): 30}, bucket=BUCKET - 6),
    )
    assert [name for name, _ in made.popular()] == ["new", "old", "stale"]


def test_what_a_customer_has_or_sent_back_is_not_shown() -> None:
    made = shelf({"bell": (candidate("mat", 9, 0.3), candidate("rope", 9, 0.2), candidate("chalk", 9, 0.1))})
    made.put_customer("c-1", has("mat", returned=["rope"]))
    answer = recommend(made, beside("bell", customer=made.customers["c-1"]))
    assert [pick.product for pick in answer.picks] == ["chalk"]
    assert answer.left_out == {"mat": LeftOut.OWNED, "rope": LeftOut.RETURNED}


def test_a_customer_who_was_erased_has_nothing() -> None:
    made = shelf({"bell": (candidate("mat", 9, 0.3),)})
    made.put_customer("c-1", has("mat"))
    made.put_customer("c-1", None)
    assert made.customers == {}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"stock": 0}, LeftOut.OUT_OF_STOCK),
        ({"stock": 2}, LeftOut.LOW_STOCK),
        ({"stock": 3}, None),
        ({"price": "20", "margin": "0.99"}, LeftOut.LOW_MARGIN),
        ({"price": "20", "margin": "1"}, None),
        ({"margin": "0"}, None),
        ({}, None),
    ],
)
def test_stock_and_margin_are_kept_back_where_the_catalogue_tells(
    said: dict[str, object], reason: LeftOut | None
) -> None:
    listed = Product.model_validate(product("mat", currency="USD").model_dump() | said)
    answer = recommend(
        shelf({"bell": (candidate("mat", 9, 0.3),)}, (listed,)), beside("bell", min_stock=3, min_margin=0.05)
    )
    assert answer.left_out.get("mat") is reason


def test_a_share_of_the_orders_value_bounds_the_price_from_above() -> None:
    catalogue = (product("mat", price="20"), product("rope", price="19.99"))
    made = shelf({"bell": (candidate("mat", 9, 0.3), candidate("rope", 9, 0.2))}, catalogue)
    answer = recommend(made, beside("bell", under=Decimal(20)))
    assert [pick.product for pick in answer.picks] == ["rope"]
    assert answer.left_out["mat"] is LeftOut.TOO_DEAR


def test_what_is_banned_is_shown_nowhere_or_not_beside_one() -> None:
    made = shelf(
        {"bell": (candidate("mat", 9, 0.3), candidate("rope", 9, 0.2)), "bar": (candidate("rope", 9, 0.2),)},
        (),
        rules(bans=[{"product": "mat"}, {"product": "rope", "beside": "bell"}]),
    )
    answer = recommend(made, beside("bell"))
    assert answer.left_out == {"mat": LeftOut.BANNED, "rope": LeftOut.BANNED}
    assert shown(made, beside("bar")) == ["rope"]
    made.put_customer("c-1", has("bell", "bar"))
    assert shown(made, of_customer(made)) == []


def test_pins_and_warranties_lead_with_what_is_known_of_them() -> None:
    made = shelf(
        {"bell": (candidate("mat", 200, 0.5), candidate("rope", 150, 0.2))},
        (product("bell", "weights"), *map(product, ("mat", "rope", "care", "belt"))),
        rules(
            pins=[{"product": "bell", "show": ["rope"]}, {"category": "weights", "show": ["belt"]}],
            relations=[{"product": "care", "is": "warranty", "of": "bell"}],
        ),
        bell=counts("bell", 400),
    )
    found = recommend(made, beside("bell")).picks
    assert [(pick.product, pick.relation, pick.support) for pick in found] == [
        ("rope", "pinned", 150),
        ("belt", "pinned", 0),
        ("care", "warranty", 0),
        ("mat", "pair", 200),
    ]


def test_upsell_is_premium_by_hand_then_by_what_owners_moved_up_to_then_dearer() -> None:
    catalogue = (
        *(
            product(name, "mat", price)
            for name, price in (("std", "20"), ("pro", "40"), ("xl", "30"), ("top", "90"))
        ),
        product("thin", "mat", "10"),
        product("chalk", "grip", "50"),
    )
    made = shelf(
        {"std": says("std", candidate("chalk", 300, 0.5), upgrades=(upgrade("xl", 30, 0.2),))},
        catalogue,
        rules(relations=[{"product": "pro", "is": "premium", "of": "std"}]),
        **{name: counts(name, 10) for name in ("std", "pro", "xl", "top", "thin", "chalk")},
    )
    found = recommend(made, beside("std", strategy=Strategy.UPSELL)).picks
    assert [(pick.product, pick.relation) for pick in found] == [
        ("pro", "premium"),
        ("xl", "upgrade"),
        ("top", "category"),
    ]
    assert found[1].because == "std"


def test_a_customer_is_shown_upgrades_of_what_they_have() -> None:
    made = shelf({"std": says("std", upgrades=(upgrade("pro", 30, 0.2), upgrade("xl", 30, 0.1)))})
    made.put_customer("c-1", has("std", "xl"))
    assert shown(made, of_customer(made, strategy=Strategy.UPSELL)) == ["pro"]


def test_a_bundle_is_bought_together_and_has_one_price() -> None:
    catalogue = tuple(
        product(name, price=price) for name, price in (("bell", "40"), ("mat", "20"), ("rope", "9.50"))
    )
    late = candidate("rope", 90, 0.6).model_copy(update={"relation": "sequence"})
    made = shelf({"bell": (late, candidate("mat", 50, 0.3))}, (*catalogue, product("chalk")))
    answer = recommend(made, beside("bell", k=1, strategy=Strategy.BUNDLE))
    assert [(pick.product, pick.relation, pick.support) for pick in answer.picks] == [("mat", "bundle", 50)]
    assert answer.bundle is not None
    assert (answer.bundle.products, answer.bundle.price) == (("bell", "mat"), Decimal(60))
    assert (answer.bundle.currency, shown(made, beside("bell", k=2, strategy=Strategy.BUNDLE))) == (
        "USD",
        ["mat", "rope"],
    )


def test_a_bundle_leaves_out_what_cannot_be_priced_with_it() -> None:
    made = shelf(
        {"bell": (candidate("mat", 50, 0.3), candidate("rope", 50, 0.3), candidate("bar", 9, 0.1))},
        (product("bell", price="40"), product("mat"), product("rope", price="9", currency="EUR")),
    )
    answer = recommend(made, beside("bell", strategy=Strategy.BUNDLE))
    assert answer.left_out == {
        "mat": LeftOut.PRICE_UNKNOWN,
        "rope": LeftOut.OTHER_CURRENCY,
        "bar": LeftOut.NOT_IN_CATALOGUE,
    }
    assert (answer.picks, answer.bundle) == ((), None)


def test_a_bundle_with_what_has_no_price_names_none() -> None:
    made = shelf({"bell": (candidate("mat", 50, 0.3),)}, (product("bell"), product("mat", price="20")))
    bundle = recommend(made, beside("bell", strategy=Strategy.BUNDLE)).bundle
    assert bundle is not None
    assert bundle.price is None


def test_a_customers_own_come_up_when_they_are_needed_again() -> None:
    catalogue = (product("soap", consumable=True), product("balm"), product("lamp"), product("pods"))
    made = shelf(
        {
            "soap": says("soap", repurchase=MONTHLY),
            "lamp": says("lamp", repurchase=MONTHLY.model_copy(update={"share": 0.01})),
        },
        catalogue,
        rules(relations=[{"product": "pods", "is": "refill", "of": "lamp"}]),
    )
    made.put_customer("c-1", has(days_ago={"soap": 25, "lamp": 5}))
    customer = made.customers["c-1"]
    made.customers["c-1"] = Customer({**customer.owned, "balm": Owned(NOW - timedelta(days=80), SOON)})
    soap, balm, pods = recommend(made, of_customer(made, strategy=Strategy.REPLENISH)).picks
    assert (soap.product, soap.reorder_at) == ("soap", NOW + timedelta(days=5))
    assert (soap.relation, soap.support, soap.reliable) == ("replenishment", 300, True)
    assert (balm.product, balm.reorder_at) == ("balm", SOON)
    assert (pods.product, pods.relation, pods.because) == ("pods", "refill", "lamp")


def test_what_of_a_basket_is_used_up_comes_with_its_cycle() -> None:
    made = shelf(
        {"soap": says("soap", repurchase=MONTHLY)}, (product("soap", consumable=True), product("lamp"))
    )
    (soap,) = recommend(made, beside("soap", "lamp", strategy=Strategy.REPLENISH)).picks
    assert soap.gap is not None
    assert (soap.product, soap.gap.days, soap.reorder_at) == ("soap", (25, 30, 40), None)


def test_what_was_sent_back_is_not_replenished() -> None:
    made = shelf({"soap": says("soap", repurchase=MONTHLY)}, (product("soap", consumable=True),))
    made.put_customer("c-1", has(returned=["soap"]))
    wish = beside("soap", customer=made.customers["c-1"], strategy=Strategy.REPLENISH)
    assert recommend(made, wish).left_out == {"soap": LeftOut.RETURNED}


def test_same_brand_keeps_to_the_brand_best_going_with_it_first() -> None:
    catalogue = (
        product("vase", brand="Sill"),
        product("tray", brand="Sill"),
        product("frame", brand="Sill"),
        product("lamp", brand="Lumen"),
    )
    made = shelf(
        {"vase": (candidate("lamp", 200, 0.4), candidate("frame", 20, 0.1))},
        catalogue,
        **{name: counts(name, 90) for name in ("vase", "tray", "lamp")},
    )
    found = recommend(made, beside("vase", strategy=Strategy.SAME_BRAND)).picks
    assert [(pick.product, pick.relation, pick.because) for pick in found] == [
        ("frame", "brand", "vase"),
        ("tray", "brand", None),
    ]


def test_seasonal_keeps_to_the_season_its_own_category_before_others() -> None:
    catalogue = (
        product("throw", "textile"),
        product("wool", "textile", seasons=["winter", "autumn"]),
        product("candle", "light", seasons=["winter"]),
        product("fan", "air", seasons=["summer"]),
        product("sled", "garden", seasons=["winter"]),
    )
    made = shelf(
        {"throw": (candidate("fan", 200, 0.4), candidate("candle", 20, 0.1))},
        catalogue,
        wool=counts("wool", 5),
        sled=counts("sled", 90),
        fan=counts("fan", 9),
    )
    found = recommend(made, beside("throw", strategy=Strategy.SEASONAL, season="winter")).picks
    assert [(pick.product, pick.relation, pick.support) for pick in found] == [
        ("candle", "season", 20),
        ("wool", "season", 0),
        ("sled", "season", 0),
    ]
    assert shown(made, beside("throw", strategy=Strategy.SEASONAL, season="summer")) == ["fan"]


def test_seasons_are_northern_and_begin_with_the_month() -> None:
    found = [season_of(NOW.replace(month=month)) for month in range(1, 13)]
    assert found == [*["winter"] * 2, *["spring"] * 3, *["summer"] * 3, *["autumn"] * 3, "winter"]


VARIED = (
    *(product(f"bell-{size}", "weights", name=f"Kettlebell {size} kg") for size in (8, 12, 16)),
    product("bar", "weights"),
    product("disc", "weights"),
    product("mat", "floor"),
)
FIVE = tuple(candidate(name, 9, 0.5) for name in ("bell-8", "bell-12", "bell-16", "bar", "disc", "mat"))


def test_three_products_are_not_the_same_thing_thrice() -> None:
    made = shelf({"gloves": FIVE}, VARIED)
    answer = recommend(made, beside("gloves", k=3))
    assert [pick.product for pick in answer.picks] == ["bell-8", "bar", "mat"]
    assert answer.left_out == dict.fromkeys(("bell-12", "bell-16", "disc"), LeftOut.TOO_SIMILAR)
    assert shown(made, beside("gloves", k=3, diverse=False)) == ["bell-8", "bell-12", "bell-16"]


def test_what_is_alike_fills_places_that_nothing_else_can() -> None:
    made = shelf({"gloves": FIVE[:3]}, VARIED[:3])
    answer = recommend(made, beside("gloves", k=2))
    assert ([pick.product for pick in answer.picks], answer.left_out) == (
        ["bell-8", "bell-12"],
        {"bell-16": LeftOut.TOO_SIMILAR},
    )


def test_what_is_pinned_may_be_alike() -> None:
    pinned = rules(pins=[{"product": "gloves", "show": ["bell-8", "bell-12", "bell-16"]}])
    assert shown(shelf({}, VARIED, pinned), beside("gloves", k=3)) == ["bell-8", "bell-12", "bell-16"]


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        ("Kettlebell 8 kg", "Kettlebell 16kg", True),
        ("T-Shirt Red XL", "T-Shirt navy S", True),
        ("Daily SPF 30", "Daily SPF 50", False),
        ("Wool Throw", "Cotton Throw", False),
        ("XL", "M", False),
    ],
)
def test_a_name_is_compared_without_size_measure_and_colour(name: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert (stem(name) == stem(other)) is same


def test_what_sells_more_of_late_than_it_used_to_is_raised_in_a_basket() -> None:
    day = str(BUCKET * 28 + 27)
    made = shelf(
        {name: says(name, weights={"steady": 0.31, "rising": 0.3}) for name in ("bell", "bar")},
        steady=counts("steady", 400, bought=300.0, recent={day: 20}),
        rising=counts("rising", 400, bought=300.0, recent={day: 60}),
    )
    assert shown(made, beside("bell", "bar", k=2)) == ["rising", "steady"]
