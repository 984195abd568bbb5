"""Skincare, as its timing table says: 45 minutes, 4 hours, 1 day and 3 days after delivery; at most 3 in 7 days."""

import json
from datetime import timedelta

import pytest

from demo.generate import worked_shops
from shared.events import Product
from tests.support import laws
from tests.support.shop import Shop
from tests.support.stage import Stage
from tests.support.story import Story

pytestmark = pytest.mark.timeout(600)

CHECK = ("3d", "email", "satisfaction-check")


WITH_CLEANSER = ("ada", "ben", "dan", "ella", "hal", "olga", "oona")


@pytest.fixture(scope="module")
async def story(stage: Stage) -> Story:
    """Tell of a week of eleven customers; whatever is delivered comes on the second day."""
    told = await Story.begin(
        stage, "skincare", ("America/New_York", "NY"), worked_shops()["skincare"].products
    )
    await told.happens(told.shop.past(6, "cl-gel", "to-rose", "se-hyal", "mo-day"))
    await told.learned("cl-gel", {"to-rose": 6, "se-hyal": 6, "mo-day": 6})
    await _introductions(told, told.shop)
    await _first_day(told, told.shop)
    await _delivered(told, told.shop)
    await told.close()
    return told


async def _introductions(story: Story, shop: Shop) -> None:
    """Let everyone say yes to mail, some to texts; hal is held out, olga has bought before."""
    with_texts = [shop.customer(name, "email", "sms") for name in ("ada", "cleo", "oona", "tess")]
    without = [shop.customer(name, "email") for name in ("ben", "dan", "ella", "olga", "sam", "serena")]
    hal = shop.customer("hal", "email", "sms", held=True)
    await story.happens(*with_texts, *without, hal, shop.order("olga", "to-rose", number=0, history=True))


async def _first_day(story: Story, shop: Shop) -> None:
    await story.happens(
        *(shop.order(name, "cl-gel") for name in WITH_CLEANSER),
        shop.order("serena", "se-vitc"),
        shop.order("tess", "cl-gel", test=True),
    )
    await story.at("44m")
    await story.at("45m")
    await story.at("1h")
    await story.clicks("oona", "Unsubscribe with one click")
    await story.at("3h59m")
    await story.at("4h")
    await story.at("9h")
    await story.happens(shop.order("cleo", "cl-gel"))
    for moment in ("9h45m", "13h", "22h59m", "23h"):
        await story.at(moment)


async def _delivered(story: Story, shop: Shop) -> None:
    await story.at("2d")
    await story.happens(*(shop.shipment(name) for name in (*WITH_CLEANSER, "sam")))
    await story.happens(shop.order("sam", "cl-gel", placed_at=story.begins_at))
    await story.at("2d12h")
    await story.happens(shop.sends_back("ella", "cl-gel"))
    await story.at("2d23h")
    await story.at("3d")
    await story.clicks("ben", "Yes, I am happy")
    await story.clicks("dan", "No, something is not right")
    await story.at("4d23h")
    await story.at("5d")


def _categories(products: list[Product]) -> list[str | None]:
    return [product.category for product in products]


def test_a_cleanser_is_followed_by_mail_text_and_question_and_the_fourth_message_is_capped(
    story: Story,
) -> None:
    assert story.timetable("ada") == [
        ("45m", "email", "complete-your-routine"),
        ("4h", "sms", "expires-tonight"),
        CHECK,
    ]
    assert story.verdicts("ada")["your-routine"] == "skip capped"


def test_the_first_mail_pairs_the_purchase_and_takes_ten_percent_off_for_48_hours(story: Story) -> None:
    mail, decision = (
        story.arrival("ada", "complete-your-routine"),
        story.decision("ada", "complete-your-routine"),
    )
    toner = story.offered("ada", "complete-your-routine")[0]
    assert (toner.product_id, toner.category) == ("to-rose", "toner")
    assert mail.title == "Your Gentle Gel Cleanser pairs perfectly with Rose Water Toner"
    assert "10% off with the code ROUTINE10" in mail.text
    assert story.shop.journey.step("complete-your-routine").offer.why["toner"] in mail.text  # type: ignore[union-attr]  # it has an offer
    assert decision.offer is not None
    assert decision.offer.incentive.expires_at == decision.decided_at + timedelta(hours=48)


def test_a_serum_is_paired_with_spf(story: Story) -> None:
    assert _categories(story.offered("serena", "complete-your-routine")) == ["spf"]
    assert story.arrival("serena", "complete-your-routine").title.startswith(
        "Your Vitamin C Serum pairs perfectly with "
    )


def test_the_text_says_that_the_offer_ends_tonight(story: Story) -> None:
    text = story.arrival("ada", "expires-tonight").text
    assert "10% off on Rose Water Toner ends tonight, code ROUTINE10" in text
    offer = story.decision("ada", "expires-tonight").offer
    assert offer is not None
    assert offer.incentive.expires_at == story.begins_at + timedelta(hours=14)  # Midnight in New York.


def test_a_text_that_falls_into_the_night_waits_for_the_morning(story: Story) -> None:
    assert story.timetable("cleo") == [
        ("9h45m", "email", "complete-your-routine"),
        ("23h", "sms", "expires-tonight"),
    ]
    assert story.verdicts("cleo")["expires-tonight"] == "defer quiet_hours, send"


def test_the_routine_comes_on_the_third_day_with_three_products(story: Story) -> None:
    assert story.timetable("ben") == [
        ("45m", "email", "complete-your-routine"),
        CHECK,
        ("5d", "email", "your-routine"),
    ]
    offered = story.offered("ben", "your-routine")
    assert len(offered) == 3
    assert {"to-rose", "se-hyal", "mo-day"} & {product.product_id for product in offered}
    assert all(product.name in story.arrival("ben", "your-routine").text for product in offered)


def test_without_consent_to_texts_there_is_no_text(story: Story) -> None:
    assert story.verdicts("ben")["expires-tonight"] == "skip no_consent"


def test_the_question_is_one_question_and_offers_nothing(story: Story) -> None:
    assert "Gentle Gel Cleanser" in story.arrival("ben", "satisfaction-check").title
    assert story.decision("ben", "satisfaction-check").offer is None


def test_whoever_is_unhappy_is_sold_nothing_more(story: Story) -> None:
    assert story.timetable("dan")[-1] == CHECK
    assert story.verdicts("dan")["your-routine"] == "skip unhappy"


def test_a_returned_order_ends_its_journey(story: Story) -> None:
    assert story.timetable("ella") == [("45m", "email", "complete-your-routine")]
    assert story.verdicts("ella")["satisfaction-check"] == "skip returned"
    assert story.verdicts("ella")["your-routine"] == "skip returned"


def test_whoever_unsubscribes_from_mail_gets_no_more_mail_but_may_still_get_texts(story: Story) -> None:
    assert story.timetable("oona") == [
        ("45m", "email", "complete-your-routine"),
        ("4h", "sms", "expires-tonight"),
    ]
    assert story.verdicts("oona")["satisfaction-check"] == "skip no_consent"
    assert story.verdicts("oona")["your-routine"] == "skip no_consent"


def test_what_is_owned_gives_way_to_another_toner(story: Story) -> None:
    offered = story.offered("olga", "complete-your-routine")
    assert _categories(offered) == ["toner"]
    assert offered[0].product_id != "to-rose"


def test_the_held_out_run_the_whole_journey_and_receive_nothing(story: Story) -> None:
    assert story.arrivals["hal"] == []
    assert story.verdicts("hal") == {
        "complete-your-routine": "ghost holdout",
        "expires-tonight": "ghost holdout",
        "satisfaction-check": "ghost holdout",
        "your-routine": "skip capped",
    }


def test_a_test_order_starts_nothing(story: Story) -> None:
    assert story.arrivals["tess"] == []
    assert story.decisions["tess"] == []


def test_a_parcel_that_is_heard_of_before_its_order_starts_its_steps(story: Story) -> None:
    assert story.timetable("sam") == [CHECK, ("5d", "email", "your-routine")]
    assert story.verdicts("sam")["complete-your-routine"] == "skip late"


def test_the_laws_of_every_shop_hold(story: Story) -> None:
    laws.check(story)


async def test_why_shows_what_was_sent_and_what_was_not_and_because_of_what(story: Story) -> None:
    code, printed = await story.stage.command("why", story.shop.ids["ada"], "--shop", "skincare")
    assert code == 0
    assert "SEND, message accepted" in printed
    assert "SKIP because capped" in printed
    code, printed = await story.stage.command("why", story.shop.ids["ada"], "--json")
    shown = {block["step"]: (block["verdict"], block["reason"]) for block in json.loads(printed)["shown"]}
    assert shown["complete-your-routine"] == ("send", None)
    assert shown["your-routine"] == ("skip", "capped")


async def test_the_report_adds_up_and_agrees_with_what_was_received(story: Story) -> None:
    code, printed = await story.stage.command("report", "--shop", "skincare", "--json")
    assert code == 0
    counts = json.loads(printed)["counts"]
    sent = sum(counts["sent"].values())
    assert counts["handed_over"] == 1
    assert (
        counts["decided"] == sent + 1 + sum(counts["skipped"].values()) + counts["deferred"] + counts["ghost"]
    )
    assert sent == sum(counts["accepted"].values()) == sum(map(len, story.arrivals.values()))
    assert counts["orders_not_counted"]["test"] == 1
    assert counts["ghost"] == 3
    assert counts["duplicates"] == 0
