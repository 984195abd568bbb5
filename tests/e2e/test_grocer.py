"""The grocer: a big basket earns free shipping by text at 4 hours, every basket a mail on the next day."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.events import Product
from tests.support import laws
from tests.support.stage import Stage
from tests.support.story import Story

pytestmark = pytest.mark.timeout(600)

SHELF = (
    ("basil", "HERBS", "2.50"),
    ("coffee", "COFFEE", "14.00"),
    ("oil", "OILS", "60.00"),
    ("parmesan", "CHEESE", "4.50"),
    ("pasta", "PASTA", "3.00"),
    ("sauce", "SAUCES", "4.00"),
    ("wine", "WINE", "18.00"),
)
PRODUCTS = {
    sku: Product(
        product_id=sku,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
        name=sku.title(),
        category=category,
        price=Decimal(price),
        currency="USD",
        url=f"https://grocer.example.com/p/{sku}",
    )
    for sku, category, price in SHELF
}


@pytest.fixture(scope="module")
async def story(stage: Stage) -> Story:
    """Tell of two days, after months in which pasta went with sauce, parmesan and basil."""
    told = await Story.begin(stage, "grocer", ("America/New_York", "NY"), PRODUCTS)
    shop = told.shop
    await told.happens(
        shop.past(8, "pasta", "sauce", label="sauce"),
        shop.past(6, "pasta", "parmesan", label="cheese"),
        shop.past(4, "pasta", "basil", label="herbs"),
    )
    await told.learned("pasta", {"sauce": 8, "parmesan": 6, "basil": 4})
    await told.happens(
        shop.customer("gus", "email", "sms"),
        shop.customer("lena", "email", "sms"),
        shop.customer("hal", "email", "sms", held=True),
    )
    await told.happens(
        shop.order("gus", "pasta", "oil"),
        shop.order("lena", "pasta", "wine"),
        shop.order("hal", "pasta", "oil"),
    )
    for moment in ("3h59m", "4h", "23h59m", "1d"):
        await told.at(moment)
    await told.close()
    return told


def test_a_big_basket_earns_free_shipping_by_text_and_every_basket_a_mail(story: Story) -> None:
    assert story.timetable("gus") == [("4h", "sms", "big-basket"), ("1d", "email", "next-basket")]
    assert story.timetable("lena") == [("1d", "email", "next-basket")]
    assert "free shipping today, add Sauce, code NEXTFREE" in story.arrival("gus", "big-basket").text


def test_what_is_offered_goes_with_the_basket_by_evidence(story: Story) -> None:
    offer = story.decision("gus", "next-basket").offer
    assert offer is not None
    assert {(one.product_id, one.relation, one.support) for one in offer.products} == {
        ("sauce", "pair", 8),
        ("parmesan", "pair", 6),
        ("basil", "pair", 4),
    }


def test_nothing_dear_is_offered_with_a_small_basket(story: Story) -> None:
    assert all((product.price or 0) < Decimal("5.25") for product in story.offered("lena", "next-basket"))


def test_the_held_out_run_the_whole_journey_and_receive_nothing(story: Story) -> None:
    assert story.arrivals["hal"] == []
    assert story.verdicts("hal") == {"big-basket": "ghost holdout", "next-basket": "ghost holdout"}


def test_the_laws_of_every_shop_hold(story: Story) -> None:
    laws.check(story)
