"""The complete framework, journeys/complete*.yaml: who is what to the shop, what they get and when, in moved time.

Every branch, variant and hand-over of the files is reached here, and shows in another message, time or verdict.
"""

from datetime import timedelta
from typing import Any

import pytest

from services.scheduler.domain import Published
from services.scheduler.journeys import load_folder
from shared.events import Channel, EngagementKind, OrderStatus, Reason, Verdict
from tests.support.living import MONDAY_NOON, Story, Ware, someone

SHOP = "complete"
FILES = load_folder()
COMPLETE = Published(
    tuple(each for each in FILES.editions if each.journey.shop == SHOP), {SHOP: FILES.programme(SHOP)}
)
JOURNEY = next(each.journey for each in COMPLETE.editions if each.journey.id == "complete-programme")
ALONE = Published(
    tuple(each for each in COMPLETE.editions if each.journey.id != "complete-season"), COMPLETE.programmes
)
"""Without the journey that competes for the offer slot, where a test is about the timetable."""

WARES = {
    "mat": Ware("mat", "42.00"),
    "mat-pro": Ware("mat", "95.00"),
    "block": Ware("block", "9.00"),
    "strap": Ware("strap", "8.00"),
    "bottle": Ware("bottle", "18.00"),
    "flask": Ware("flask", "20.00"),
    "soap": Ware("consumable", "12.00", consumable=True),
    "throw": Ware("throw", "30.00", brand="Loom"),
    "planter": Ware("planter", "25.00", brand="Loom"),
}
GOES_WITH = {
    "mat": ["block", "strap", "bottle"],
    "mat-pro": ["block", "strap", "bottle"],
    "soap": ["bottle", "block", "strap"],
    "bottle": ["block", "strap"],
    "throw": ["block", "planter", "strap"],
}
CONTROL = {
    "first_accessory": "fifteen-percent", "loyalty_bundle": "bundle", "text_delay": "four-hours",
    "cross_sell_strategy": "complements",
}  # fmt: skip


def story(
    published: Published = ALONE, *, held: bool = False, gap_days: float | None = None, **variants: str
) -> Story:
    """Return someone who signed up, is (not) held out of the journey only, and gets the controls unless told otherwise."""
    name = someone(
        JOURNEY, SHOP, held=held, salts=("complete-programme-1", "complete-season-1"), **CONTROL | variants
    )
    return Story(published, SHOP, WARES, GOES_WITH, customer=name, gap_days=gap_days).signs_up()


# -- the timetable


def test_a_first_small_order_goes_by_the_timetable() -> None:
    life = story(gap_days=35).orders("mat").wait(hours=5)
    life.responds("accessory", EngagementKind.OPENED)
    life.wait(hours=43).gets().wait(hours=3).responds("how-is-it", EngagementKind.ANSWERED, "happy")
    life.wait(days=20).responds("week-by-week", EngagementKind.OPENED).wait(days=70)
    assert life.timetable() == [
        ("0m", "thank-you", Verdict.SEND),  # at once, on the page
        ("45m", "accessory", Verdict.SEND),  # 30 to 60 minutes after purchase
        ("4h", "tonight", Verdict.SEND),  # 2 to 4 hours after, until midnight
        ("2d2h", "how-is-it", Verdict.SEND),  # on the day of delivery
        (
            "7d45m",
            "cross-sell",
            Verdict.SEND,
        ),  # 60 h after delivery, and then when the cap of 3 in 7 days had room
        ("7d4h", "usage", Verdict.SEND),  # 5 days after delivery
        ("9d2h", "review", Verdict.SEND),  # 7 days after delivery
        ("16d21h", "week-by-week", Verdict.SEND),  # weekly for four weeks, at ten
        ("23d21h", "week-by-week", Verdict.SEND),
        ("30d21h", "week-by-week", Verdict.SEND),
        ("35d20h30m", "what-comes-next", Verdict.SEND),  # at the predicted gap, at half past nine
        ("37d21h", "week-by-week", Verdict.SEND),
    ]


def test_nothing_about_a_delivery_goes_out_before_it() -> None:
    life = story().orders("mat").wait(days=9)
    assert {step for _, step, _ in life.timetable()} == {"thank-you", "accessory", "tonight"}


# -- who they are


@pytest.mark.parametrize(
    ("before", "bought", "step", "expected"),
    [
        (0, ["mat"], "accessory", ("45m", "complete/accessory")),
        (0, ["mat-pro"], "premium-upgrade", ("1h", "complete/premium-upgrade")),
        (1, ["mat"], "loyalty-bundle", ("45m", "complete/loyalty-bundle")),
        (4, ["mat"], "loyalty-bundle", ("45m", "complete/loyalty-bundle")),
        (5, ["throw"], "collection", ("1h", "complete/collection")),
        (8, ["throw"], "collection", ("1h", "complete/collection")),
        (9, ["mat"], "early-access", ("1h", "complete/early-access")),
        (0, ["bottle"], "add-more", ("45m", "complete/add-more")),
    ],
)
def test_a_segment_gets_its_own_first_letter(
    before: int, bought: list[str], step: str, expected: tuple[str, str]
) -> None:
    life = story().ordered_before(before, "flask").orders(*bought).wait(hours=2)
    assert life.sent(step) == expected
    assert sum(due.channel is Channel.EMAIL for due, _ in life.decided) == 1


@pytest.mark.parametrize(
    ("before", "bought", "step", "expected"),
    [
        (0, ["mat"], "accessory", "percent 15 until 2d45m"),
        (0, ["mat-pro"], "premium-upgrade", "none"),
        (1, ["mat"], "loyalty-bundle", "percent 20 until 3d45m"),
        (9, ["mat"], "early-access", "early_access until 2d1h"),
        (0, ["bottle"], "add-more", "free_shipping until 2d45m"),
    ],
)
def test_a_segments_offer_has_its_own_terms(before: int, bought: list[str], step: str, expected: str) -> None:
    assert story().ordered_before(before, "flask").orders(*bought).wait(hours=2).incentive(step) == expected


def test_a_converted_abandoner_gets_something_small_with_free_shipping() -> None:
    life = story().leaves_cart("mat").wait(minutes=50)
    life.wait(hours=2).leaves_cart("mat", order_id="o-1").orders("mat").wait(hours=1)
    assert life.sent("easy-add-on")[1] == "complete/easy-add-on"
    assert life.incentive("easy-add-on").startswith("free_shipping")
    assert len(life.products("easy-add-on")) == 1
    assert life.incentive("thank-you").startswith("free_shipping")


def test_whoever_orders_within_the_hour_has_left_no_cart() -> None:
    life = story().leaves_cart("mat").wait(minutes=30).leaves_cart("mat", order_id="o-1").orders("mat")
    assert life.wait(hours=1).incentive("thank-you").startswith("percent 10")
    assert "easy-add-on" not in {step for _, step, _ in life.timetable()}


def test_an_order_below_thirty_dollars_is_told_how_much_is_lacking() -> None:
    offer = story().orders("bottle").wait(hours=1).verdict("add-more").offer
    assert offer is not None
    assert str(offer.add_more) == "17.00"


def test_the_discount_climbs_with_each_offer_that_drew_nothing() -> None:
    life = story().orders("mat").wait(days=11)
    assert life.incentive("second-look").startswith(
        "percent 30"
    )  # page, mail and text had been on the lower rungs
    life.wait(days=40).orders("bottle", order_id="o-2").wait(days=11)
    assert life.incentive("second-look").startswith("percent 30")


def test_a_customer_who_buys_without_discounts_is_offered_none() -> None:
    life = story().ordered_before(2, "flask", every=timedelta(days=15)).orders("mat").wait(days=11)
    assert life.incentive("second-look") == "none"


def test_a_good_customer_gets_a_personal_note_in_place_of_a_discount() -> None:
    life = story().ordered_before(6, "mat-pro", every=timedelta(days=30)).orders("mat").wait(days=11)
    assert life.sent("second-look") == ("10d", "complete/personal-note")
    assert life.incentive("second-look") == "none"


# -- what is compared


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("fifteen-percent", ("45m", "percent 15 until 2d45m")),
        ("ten-percent", ("45m", "percent 10 until 2d45m")),
        ("free-shipping", ("45m", "free_shipping until 2d45m")),
        ("at-thirty-minutes", ("30m", "percent 15 until 2d30m")),
    ],
)
def test_a_first_order_takes_part_in_one_variant_of_terms_or_delay(
    variant: str, expected: tuple[str, str]
) -> None:
    life = story(first_accessory=variant).orders("mat").wait(hours=1)
    assert (life.sent("accessory")[0], life.incentive("accessory")) == expected
    assert life.verdict("accessory").exposures["first-accessory"] == variant


@pytest.mark.parametrize(
    ("variant", "count", "terms"),
    [("bundle", 3, "percent 20"), ("single", 1, "percent 20"), ("five-off", 3, "money 5")],
)
def test_a_returning_customer_takes_part_in_one_variant_of_the_bundle(
    variant: str, count: int, terms: str
) -> None:
    life = story(loyalty_bundle=variant).ordered_before(1, "flask").orders("mat").wait(hours=1)
    assert len(life.products("loyalty-bundle")) == count
    assert life.incentive("loyalty-bundle").startswith(terms)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("four-hours", ("4h", "complete/tonight")),
        ("two-hours", ("2h", "complete/tonight")),
        ("by-email", ("4h", "complete/tonight-mail")),
    ],
)
def test_the_last_call_differs_in_delay_or_channel(variant: str, expected: tuple[str, str]) -> None:
    life = story(text_delay=variant).orders("mat").wait(hours=5)
    assert life.sent("tonight") == expected
    assert life.incentive("tonight") == "percent 10 until 12h"  # midnight in New York


@pytest.mark.parametrize(
    ("variant", "expected"), [("complements", ["block", "strap"]), ("same-brand", ["planter"])]
)
def test_the_cross_sell_differs_in_strategy(variant: str, expected: list[str]) -> None:
    life = story(cross_sell_strategy=variant).orders("throw").wait(days=2).gets().wait(days=8)
    assert life.products("cross-sell") == expected


def test_held_out_people_live_through_the_same_and_are_sent_nothing() -> None:
    life = story(held=True).orders("mat").wait(days=2).gets().wait(days=10)
    verdicts = {decision.verdict for due, decision in life.decided if due.channel is not Channel.EVENT}
    assert Verdict.SEND not in verdicts
    assert Verdict.GHOST in verdicts
    assert [step for _, step, said in life.timetable() if said == Reason.HOLDOUT][:3] == [
        "thank-you", "accessory", "tonight",
    ]  # fmt: skip


# -- what they say, and what happens


def test_an_unhappy_customer_is_sold_nothing_more_and_support_is_told() -> None:
    life = story().orders("mat").wait(days=2).gets().wait(hours=3)
    life.responds("how-is-it", EngagementKind.ANSWERED, "unhappy").wait(days=60)
    assert life.sent("tell-support") == ("2d3h", "support")
    assert life.sent("ask-support-again") == ("9d3h", "support")
    after = [(step, said) for _, step, said in life.timetable()][5:]
    assert {said for step, said in after if step != "ask-support-again"} == {Reason.UNHAPPY}


@pytest.mark.parametrize(
    ("answer", "template"), [("happy", "complete/review-happy"), (None, "complete/review")]
)
def test_the_review_is_asked_for_as_they_answered(answer: str | None, template: str) -> None:
    life = story().orders("mat").wait(days=4).gets().wait(hours=3)
    life.responds("how-is-it", EngagementKind.ANSWERED, answer) if answer else life.wait(hours=1)
    assert life.wait(days=12).sent("review")[1] == template


@pytest.mark.parametrize(
    ("before", "bought", "template"),
    [
        (0, "mat", "complete/usage"),
        (0, "soap", "complete/usage-consumable"),
        (3, "mat", "complete/usage-often"),
    ],
)
def test_the_follow_up_on_usage_fits_what_was_bought_and_how_often(
    before: int, bought: str, template: str
) -> None:
    life = (
        story()
        .ordered_before(before, "flask", every=timedelta(days=20))
        .orders(bought)
        .wait(days=3)
        .gets()
        .wait(days=12)
    )
    assert life.sent("usage")[1] == template


def test_what_runs_out_is_offered_again_when_it_is_foretold_to() -> None:
    life = story().orders("soap").needs_again("soap", at=MONDAY_NOON + timedelta(days=50)).wait(days=55)
    assert life.sent("again") == ("50d20h", "complete/again")
    assert life.products("again") == ["soap"]
    assert life.verdict("again").offer.products[0].relation == "replenishment"  # type: ignore[union-attr]  # sent


def test_whoever_keeps_coming_back_is_offered_a_subscription() -> None:
    life = story().ordered_before(3, "soap", every=timedelta(days=25)).orders("soap")
    life.needs_again("soap", at=MONDAY_NOON + timedelta(days=25)).wait(days=30)
    assert life.sent("subscribe") == ("25d", "subscription")
    assert life.sent("again")[1] == "complete/subscribe"


def test_who_notices_nothing_is_handed_on_and_who_does_is_not() -> None:
    assert story().orders("mat").wait(days=80).sent("silent") == ("75d", "win_back")
    noticed = story().orders("mat").wait(hours=2).responds("accessory", EngagementKind.CLICKED).wait(days=80)
    assert "silent" not in {step for _, step, _ in noticed.timetable()}


def test_a_cart_that_is_left_is_handed_to_recovery_and_one_that_is_ordered_is_not() -> None:
    assert story().leaves_cart("mat").wait(hours=2).sent("recover") == ("1h", "cart_recovery")
    ordered = story().leaves_cart("mat").wait(minutes=40).leaves_cart("mat", order_id="o-1").orders("mat")
    assert "recover" not in {step for _, step, _ in ordered.wait(days=1).timetable()}
    small = story().leaves_cart("bottle").wait(hours=2)
    assert small.timetable() == []


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (lambda life: life.orders("mat", version=2, status=OrderStatus.CANCELLED), Reason.ORDER_CANCELLED),
        (lambda life: life.orders("mat", version=2, status=OrderStatus.DISPUTED), Reason.ORDER_CANCELLED),
        (lambda life: life.sends_back("mat"), Reason.RETURNED),
        (lambda life: life.signs_up(Channel.SMS), Reason.NO_CONSENT),
        (lambda life: life.signs_up(staff=True), Reason.STAFF),
        (lambda life: life.signs_up(email=None), Reason.NO_ADDRESS),
    ],
)
def test_what_happens_before_a_step_is_due_stops_it(happens: Any, reason: Reason) -> None:  # noqa: ANN401  a lambda
    life = story().orders("mat").wait(minutes=20)
    happens(life)
    assert life.wait(hours=1).verdict("accessory").reason is reason


# -- several journeys


def test_the_offer_slot_goes_to_the_journey_of_higher_priority_and_the_other_waits() -> None:
    life = story(COMPLETE).orders("mat").wait(days=20)
    seasonal = [decision for due, decision in life.decided if due.step == "in-season"]
    assert seasonal[0].verdict is Verdict.DEFER
    assert seasonal[0].reason is Reason.OUTBID
    assert seasonal[-1].verdict is Verdict.SEND
    assert life.verdict("second-look").verdict is Verdict.SEND


def test_a_second_order_within_a_week_begins_nothing_new() -> None:
    life = story().orders("mat").wait(days=3).orders("bottle", order_id="o-2").wait(days=2)
    assert {due.order_id for due, _ in life.decided} == {"o-1"}
    later = story().orders("mat").wait(days=8).orders("bottle", order_id="o-2").wait(days=2)
    assert "o-2" in {due.order_id for due, _ in later.decided}
