"""Fitness, as its timing table says: by what was bought, on delivery, 3 and 60 days after; at most 4 in 14 days."""

from decimal import Decimal

import pytest

from demo.generate import worked_shops
from shared.events import Incentive
from tests.support import laws
from tests.support.stage import Stage
from tests.support.story import Story

pytestmark = pytest.mark.timeout(600)

BOUGHT = {
    "bea": ("ba-loop",),
    "chad": ("ch-liquid",),
    "duo": ("kb-8", "ma-std"),
    "hal": ("kb-12",),
    "kay": ("kb-12",),
    "kim": ("kb-16",),
    "mia": ("ma-std",),
    "pat": ("pb-door",),
}
GUIDE = ("1h", "email", "gear-guide")
DELIVERED = ("2d", "sms", "delivered")
BUNDLE = ("5d", "email", "home-gym-bundle")
NEXT = ("62d", "email", "next-level")


@pytest.fixture(scope="module")
async def story(stage: Stage) -> Story:
    """Tell of two months; all parcels come on the second day, and kim buys again on the thirteenth."""
    told = await Story.begin(stage, "fitness", ("America/Chicago", "IL"), worked_shops()["fitness"].products)
    shop = told.shop
    people = (shop.customer(name, "email", "sms", held=name == "hal") for name in BOUGHT)
    await told.happens(*people)
    await told.happens(*(shop.order(name, *skus) for name, skus in BOUGHT.items()))
    for moment in ("29m", "30m", "45m", "59m", "1h", "2h", "2d"):
        await told.at(moment)
    await told.happens(*(shop.shipment(name) for name in BOUGHT))
    for moment in ("4d23h", "5d", "12d12h"):
        await told.at(moment)
    await told.happens(shop.order("kim", "ma-cork", number=2))
    for moment in ("12d14h", "61d23h", "62d"):
        await told.at(moment)
    await told.close()
    return told


def _categories(story: Story, name: str, step: str) -> list[str | None]:
    return [product.category for product in story.offered(name, step)]


def _incentive(story: Story, name: str, step: str) -> Incentive:
    offer = story.decision(name, step).offer
    assert offer is not None
    return offer.incentive


def test_a_kettlebell_buyer_gets_a_mat_and_a_guide_at_one_hour_with_fifteen_percent_off(story: Story) -> None:
    assert story.timetable("kay") == [
        ("1h", "email", "kettlebell-bundle"),
        GUIDE,
        DELIVERED,
        BUNDLE,
        NEXT,
    ]
    assert _categories(story, "kay", "kettlebell-bundle") == ["mat", "guide"]
    mail = story.arrival("kay", "kettlebell-bundle")
    assert "Kettlebell 12 kg" in mail.title
    assert "15% off with the code BELL15" in mail.text


def test_a_band_buyer_gets_door_anchor_and_case_at_half_an_hour_with_free_shipping(story: Story) -> None:
    assert story.timetable("bea")[0] == ("30m", "email", "bands-add-on")
    assert _categories(story, "bea", "bands-add-on") == ["door-anchor", "case"]
    mail = story.arrival("bea", "bands-add-on")
    assert "Loop Band Trio" in mail.title
    assert "Free shipping with the code BANDSHIP" in mail.text


def test_a_mat_buyer_gets_block_and_strap_at_45_minutes_with_twelve_percent_off(story: Story) -> None:
    assert story.timetable("mia")[0] == ("45m", "email", "mat-add-on")
    assert _categories(story, "mia", "mat-add-on") == ["block", "strap"]
    mail = story.arrival("mia", "mat-add-on")
    assert "Exercise Mat" in mail.title
    assert "12% off with the code MAT12" in mail.text


def test_a_pull_up_bar_buyer_gets_bands_at_two_hours_with_ten_percent_off(story: Story) -> None:
    assert story.timetable("pat")[:2] == [GUIDE, ("2h", "email", "pull-up-bar-add-on")]
    assert _categories(story, "pat", "pull-up-bar-add-on") == ["bands"]
    mail = story.arrival("pat", "pull-up-bar-add-on")
    assert "Doorway Pull-up Bar" in mail.title
    assert "10% off with the code PULL10" in mail.text


def test_everyone_gets_the_gear_guide_at_one_hour(story: Story) -> None:
    for name in set(BOUGHT) - {"hal"}:
        assert GUIDE in story.timetable(name)
    assert "https://fitness.example.com/guides/first-week" in story.arrival("chad", "gear-guide").leads_to


def test_a_text_comes_on_the_day_of_delivery(story: Story) -> None:
    assert DELIVERED in story.timetable("kay")
    arrival = story.arrival("kay", "delivered")
    text = arrival.text
    assert text.startswith("Ironroom Fitness: ")
    assert "Kettlebell 12 kg" in text
    assert arrival.leads_to == ("https://fitness.example.com/guides/set-up",)


def test_a_single_item_grows_into_a_home_gym_three_days_after_delivery_with_twenty_percent_off(
    story: Story,
) -> None:
    for name in ("bea", "chad", "kay", "mia", "pat"):
        assert BUNDLE in story.timetable(name)
        assert len(story.offered(name, "home-gym-bundle")) == 3
        assert _incentive(story, name, "home-gym-bundle").value == Decimal(20)
    assert "20% off with the code HOMEGYM20" in story.arrival("kay", "home-gym-bundle").text


def test_whoever_bought_two_things_has_no_bundle_due(story: Story) -> None:
    assert story.timetable("duo") == [
        ("45m", "email", "mat-add-on"),
        ("1h", "email", "kettlebell-bundle"),
        GUIDE,
        DELIVERED,
        NEXT,
    ]
    assert "home-gym-bundle" not in story.verdicts("duo")
    assert _categories(story, "duo", "kettlebell-bundle") == ["guide"]


def test_sixty_days_after_delivery_the_heavier_and_the_stronger_are_due(story: Story) -> None:
    assert [product.product_id for product in story.offered("kay", "next-level")] == ["kb-16"]
    assert [product.product_id for product in story.offered("bea", "next-level")] == ["ba-heavy"]
    assert "After two months the next weight up is due." in story.arrival("kay", "next-level").text


def test_sixty_days_after_delivery_what_is_used_up_is_replenished(story: Story) -> None:
    assert [product.product_id for product in story.offered("chad", "next-level")] == ["ch-liquid"]


def test_the_fifth_message_in_a_fortnight_is_capped(story: Story) -> None:
    assert len(story.timetable("kim")) == 4
    assert story.verdicts("kim", 2) == {"mat-add-on": "skip capped", "gear-guide": "skip capped"}


def test_whoever_bought_again_is_offered_nothing_more_for_the_first_order(story: Story) -> None:
    assert story.verdicts("kim")["next-level"] == "skip converted"


def test_the_held_out_run_the_whole_journey_and_receive_nothing(story: Story) -> None:
    assert story.arrivals["hal"] == []
    assert set(story.verdicts("hal").values()) == {"ghost holdout"}
    assert set(story.verdicts("hal")) == set(story.verdicts("kay"))


def test_the_laws_of_every_shop_hold(story: Story) -> None:
    laws.check(story)
