"""What owners move up to."""

import pytest

from services.recommender.domain.shop import Listed, ShopCounts
from services.recommender.domain.upgrades import upgrade_of, upgrades
from shared.events import Candidate, Timing
from tests.support.ranking import listed, put

GAP = Timing(support=40, share=0.4, days=(50.0, 60.0, 70.0), mean_days=60.0)


@pytest.fixture
def shop() -> ShopCounts:
    """Give bands in three strengths, and what else the owners of the lightest bought later."""
    counts = ShopCounts()
    for product, price in {"light": "10", "medium": "15", "heavy": "20"}.items():
        counts.put_listing(product, listed("bands", price))
    follows = {"medium": 40, "heavy": 20, "mat": 50, "euro": 30, "unpriced": 30, "cheaper": 30, "rare": 2}
    put(counts, "light", 100, {}, buyers=80, follows=follows, timing={"medium": GAP})
    put(counts, "medium", 60, {}, buyers=60, follows={"light": 5, "heavy": 130})
    counts.put_listing("mat", listed("floor", "40"))
    counts.put_listing("euro", listed("bands", "30", "EUR"))
    counts.put_listing("unpriced", listed("bands"))
    counts.put_listing("cheaper", listed("bands", "10"))
    counts.put_listing("rare", listed("bands", "50"))
    return counts


def test_an_upgrade_is_dearer_of_the_same_category_and_currency_and_bought_later_by_owners(
    shop: ShopCounts,
) -> None:
    assert upgrades(shop, "light") == [
        Candidate(product_id="medium", score=0.4, support=40, relation="upgrade", reliable=False, gap=GAP),
        Candidate(product_id="heavy", score=0.2, support=20, relation="upgrade", reliable=False),
    ]


def test_a_hundred_owners_who_moved_up_are_reliable(shop: ShopCounts) -> None:
    (heavy,) = upgrades(shop, "medium")
    assert (heavy.product_id, heavy.support, heavy.reliable) == ("heavy", 130, True)


def test_what_as_many_owners_of_the_dearer_come_down_to_is_no_upgrade(shop: ShopCounts) -> None:
    put(shop, "heavy", 50, {}, follows={"light": 20})
    assert [one.product_id for one in upgrades(shop, "light")] == ["medium"]


@pytest.mark.parametrize("known", [Listed(), listed("bands"), listed(None, "10")])
def test_without_category_or_price_nothing_is_dearer(shop: ShopCounts, known: Listed) -> None:
    shop.put_listing("light", known)
    assert upgrades(shop, "light") == []


def test_a_product_that_nobody_bought_has_no_upgrades(shop: ShopCounts) -> None:
    assert upgrades(shop, "heavy") == []
    assert upgrade_of(shop, "heavy", "rare") == Candidate(
        product_id="rare", score=0.0, support=0, relation="upgrade"
    )
