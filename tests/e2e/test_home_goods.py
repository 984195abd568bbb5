"""Home goods, as its timing table says: once a week for four weeks, from a confirmed delivery on; at most 4 in 28 days."""

from zoneinfo import ZoneInfo

import pytest

from demo.generate import worked_shops
from services.scheduler.domain.terms import Season
from shared.events import ShipmentStatus
from tests.support import laws
from tests.support.stage import Stage
from tests.support.story import Story

pytestmark = pytest.mark.timeout(600)

BOUGHT = {
    "cara": "ca-fig",
    "faye": "th-wool",
    "hal": "th-wool",
    "hana": "th-wool",
    "nina": "th-wool",
    "rita": "th-wool",
}
FOUR_WEEKS = [
    ("10d", "email", "care-and-styling"),
    ("17d", "email", "brand-story"),
    ("24d", "email", "early-access"),
    ("31d", "email", "again-or-in-season"),
]
SEASONS: tuple[Season, ...] = ("winter", "spring", "summer", "autumn")


@pytest.fixture(scope="module")
async def story(stage: Stage) -> Story:
    """Tell of five weeks; parcels come on the third day, otto's second order only on the twenty-fifth."""
    told = await Story.begin(
        stage, "home-goods", ("America/Los_Angeles", "CA"), worked_shops()["home-goods"].products
    )
    shop = told.shop
    people = (shop.customer(name, "email", "sms", held=name == "hal") for name in (*BOUGHT, "otto"))
    await told.happens(*people)
    await told.happens(
        *(shop.order(name, sku) for name, sku in BOUGHT.items()),
        shop.order("otto", "va-bud"),
        shop.order("otto", "la-reed", number=2),
    )
    await told.at("3d")
    await told.happens(
        *(shop.shipment(name) for name in ("cara", "hal", "hana", "otto", "rita")),
        shop.shipment("faye", ShipmentStatus.FAILED),
        shop.shipment("nina", ShipmentStatus.IN_TRANSIT),
    )
    for moment in ("9d23h", "10d", "15d"):
        await told.at(moment)
    await told.happens(shop.sends_back("rita", "th-wool"))
    for moment in ("17d", "24d", "25d"):
        await told.at(moment)
    await told.happens(shop.shipment("otto", number=2))
    for moment in ("31d", "32d"):
        await told.at(moment)
    await told.close()
    return told


def test_a_delivery_is_followed_by_four_weekly_mails(story: Story) -> None:
    assert story.timetable("hana") == FOUR_WEEKS
    assert "Wool Throw" in story.arrivals["hana"][0].title
    assert "https://home-goods.example.com/care-and-styling" in story.arrivals["hana"][0].leads_to


def test_without_a_confirmed_delivery_nothing_is_ever_due(story: Story) -> None:
    for name in ("faye", "nina"):
        assert story.arrivals[name] == []
        assert story.decisions[name] == []


def test_the_brand_story_shows_the_collection(story: Story) -> None:
    offered = story.offered("hana", "brand-story")
    assert [product.brand for product in offered] == ["Northloom"] * 3
    assert all(product.name in story.arrival("hana", "brand-story").text for product in offered)


def test_customers_see_up_to_three_new_things_first(story: Story) -> None:
    assert 1 <= len(story.offered("hana", "early-access")) <= 3


def test_consumables_are_replenished(story: Story) -> None:
    assert story.timetable("cara") == FOUR_WEEKS
    assert [product.product_id for product in story.offered("cara", "again-or-in-season")] == ["ca-fig"]


def test_durables_are_complemented_by_the_season(story: Story) -> None:
    decision = story.decision("hana", "again-or-in-season")
    terms = story.shop.journey.step("again-or-in-season").offer
    assert terms is not None
    month = decision.decided_at.astimezone(ZoneInfo(story.shop.zone)).month
    season = SEASONS[month % 12 // 3]
    sold = {product.category for product in story.shop.products.values()} - {"throw"}
    wanted = [category for category in terms.seasons[season] if category in sold]
    assert [product.category for product in story.offered("hana", "again-or-in-season")] == wanted


def test_a_return_stops_the_sequence_midway(story: Story) -> None:
    assert story.timetable("rita") == FOUR_WEEKS[:1]
    assert story.verdicts("rita") == {
        "care-and-styling": "send",
        "brand-story": "skip returned",
        "early-access": "skip returned",
        "again-or-in-season": "skip returned",
    }


def test_the_fifth_mail_in_four_weeks_is_capped(story: Story) -> None:
    assert story.timetable("otto") == FOUR_WEEKS
    assert story.verdicts("otto", 2) == {"care-and-styling": "skip capped"}


def test_the_held_out_run_the_whole_journey_and_receive_nothing(story: Story) -> None:
    assert story.arrivals["hal"] == []
    assert story.verdicts("hal") == {step: "ghost holdout" for _, _, step in FOUR_WEEKS}


def test_the_laws_of_every_shop_hold(story: Story) -> None:
    laws.check(story)
