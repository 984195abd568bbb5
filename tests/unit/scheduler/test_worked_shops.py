"""The shops' journeys, each step decided for an order that it is meant for."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.scheduler.domain import (
    Catalogue,
    Context,
    Due,
    Published,
    apply,
    decide,
    due,
    message,
    page_due,
)
from services.scheduler.domain.customer import CustomerState
from services.scheduler.journeys import load_journeys
from shared import events, ids
from shared.events import Candidate, Decision, Message, Verdict
from tests.support.deciding import MONDAY_NOON, candidates, law, profile

JOURNEYS = load_journeys()
CUSTOMER = "c-1"
CATEGORIES = {
    "skincare": "cleanser toner serum spf moisturizer eye-cream mask exfoliant",
    "fitness": "kettlebell mat guide bands door-anchor case block strap pull-up-bar bench dumbbell chalk",
    "home-goods": "candle diffuser vase throw cushion lamp rug tableware planter",
    "grocer": "milk bread cheese",
}
CONSUMABLE = {"chalk", "candle", "diffuser"}
PRICES = ("20.00", "35.00")


def shelf(shop: str) -> Catalogue:
    """Two products of each category, the second dearer; one brand. `mat-0` is the first mat."""
    return Catalogue(
        events.Product(
            product_id=f"{category}-{number}",
            updated_at=MONDAY_NOON,
            name=f"{category} {number}",
            category=category,
            brand="House",
            price=Decimal(price),
            currency="USD",
            consumable=category in CONSUMABLE,
            url=f"https://{shop}.example.com/{category}-{number}",
        )
        for category in CATEGORIES[shop].split()
        for number, price in enumerate(PRICES)
    )


def envelope(shop: str, *about: object) -> dict[str, object]:
    return {
        "id": ids.event_id(shop, *about),
        "source": "/tests",
        "time": MONDAY_NOON,
        "shopid": shop,
        "customerid": CUSTOMER,
    }


def customer(shop: str, *bought: str) -> CustomerState:
    """Someone who may be written to, with one order of these products, delivered after two days."""
    lines = [
        {"product_id": each, "quantity": 1, "unit_price": "20.00", "category": each.rpartition("-")[0]}
        for each in bought
    ]
    data = events.Order.model_validate(
        {
            "order_id": "o-1",
            "placed_at": MONDAY_NOON,
            "currency": "USD",
            "total": 200,
            "lines": lines,
        }
    )
    arrived = events.Shipment(
        shipment_id="s-1",
        order_id="o-1",
        status=events.ShipmentStatus.DELIVERED,
        occurred_at=MONDAY_NOON + timedelta(days=2),
    )
    state = CustomerState(shop=shop, customer_id=CUSTOMER)
    for event in (
        events.CustomerRecorded.model_validate(envelope(shop, "profile") | {"data": profile().data}),
        events.OrderRecorded.model_validate(envelope(shop, "order") | {"data": data}),
        events.ShipmentRecorded.model_validate(envelope(shop, "shipment") | {"data": arrived}),
    ):
        state = apply(state, event)
    return state


def steps(state: CustomerState) -> dict[str, Due]:
    return {each.step: each for each in due(state, Published.of(JOURNEYS.values())).values()}


def outcome(
    state: CustomerState, step: str, proposed: tuple[Candidate, ...] = ()
) -> tuple[Decision, Message]:
    """Decide and write a step as if nobody were held out."""
    occurrence = steps(state)[step]
    journey = JOURNEYS[occurrence.journey]
    everyone = journey.model_copy(update={"holdout": journey.holdout.model_copy(update={"share": 0.0})})
    context = Context(shelf(state.shop), law())
    decision = decide(state, occurrence, everyone, proposed, context, occurrence.due_at)
    assert decision.verdict is Verdict.SEND, [each for each in decision.rules if each.outcome != "pass"]
    return decision, message(state, occurrence, decision, everyone, context)


@pytest.mark.parametrize(
    ("shop", "bought", "step", "products", "text"),
    [
        ("skincare", "cleanser-0", "complete-your-routine", ["toner-0"], "10% off"),
        ("skincare", "serum-0", "complete-your-routine", ["spf-0"], "10% off"),
        ("skincare", "cleanser-0", "expires-tonight", ["toner-0"], "10% off"),
        ("skincare", "cleanser-0", "your-routine", ["toner-0", "serum-0", "spf-0"], None),
        ("fitness", "kettlebell-0", "kettlebell-bundle", ["mat-0", "guide-0"], "15% off"),
        ("fitness", "bands-0", "bands-add-on", ["door-anchor-0", "case-0"], "free shipping"),
        ("fitness", "mat-0", "mat-add-on", ["block-0", "strap-0"], "12% off"),
        ("fitness", "pull-up-bar-0", "pull-up-bar-add-on", ["bands-0"], "10% off"),
        ("fitness", "mat-0", "home-gym-bundle", ["kettlebell-0", "bands-0", "pull-up-bar-0"], "20% off"),
        ("fitness", "kettlebell-0", "next-level", ["kettlebell-1"], None),
        ("fitness", "chalk-0", "next-level", ["chalk-0"], None),
        ("home-goods", "vase-0", "brand-story", ["candle-0", "cushion-0", "diffuser-0"], None),
        ("home-goods", "vase-0", "early-access", ["throw-0", "cushion-0", "lamp-0"], "early access"),
        ("home-goods", "candle-0", "again-or-in-season", ["candle-0"], None),
        ("home-goods", "lamp-0", "again-or-in-season", ["vase-0", "planter-0", "tableware-0"], None),
    ],
)
def test_each_selling_step_offers_what_was_agreed_at_the_agreed_terms(
    shop: str, bought: str, step: str, products: list[str], text: str | None
) -> None:
    decision, sent = outcome(customer(shop, bought), step)
    assert decision.offer
    assert [each.product_id for each in decision.offer.products] == products
    assert (sent.context["incentive"] or {}).get("text") == text
    assert all(each["why"] for each in sent.context["products"])


@pytest.mark.parametrize(
    ("shop", "bought", "step"),
    [
        ("skincare", "cleanser-0", "satisfaction-check"),
        ("fitness", "kettlebell-0", "gear-guide"),
        ("fitness", "kettlebell-0", "delivered"),
        ("home-goods", "vase-0", "care-and-styling"),
    ],
)
def test_steps_that_sell_nothing_go_without_products(shop: str, bought: str, step: str) -> None:
    decision, sent = outcome(customer(shop, bought), step)
    assert decision.offer is None
    assert sent.context["answers"] or sent.context["guide"]


def test_the_grocers_next_basket_is_what_evidence_says_under_a_quarter_of_the_total() -> None:
    _, sent = outcome(
        customer("grocer", "milk-0"), "next-basket", candidates("bread-0", "cheese-1", "milk-0")
    )
    assert [each["product_id"] for each in sent.context["products"]] == ["bread-0", "cheese-1"]
    _, text = outcome(customer("grocer", "milk-0"), "big-basket", candidates("bread-0"))
    assert text.context["incentive"]["text"] == "free shipping"


def test_a_small_basket_gets_no_text() -> None:
    state = customer("grocer", "milk-0")
    small = replace(state.orders["o-1"], total=Decimal("59.99"))
    assert set(steps(replace(state, orders={"o-1": small}))) == {"next-basket"}


def test_the_home_gym_bundle_is_for_single_items_only() -> None:
    assert "home-gym-bundle" in steps(customer("fitness", "mat-0"))
    assert "home-gym-bundle" not in steps(customer("fitness", "mat-0", "block-0"))


@pytest.mark.parametrize("shop", CATEGORIES)
def test_every_shop_has_one_journey_and_its_own_salt(shop: str) -> None:
    mine = [each for each in JOURNEYS.values() if each.shop == shop]
    assert len(mine) == 1
    assert mine[0].holdout.share == 0.10
    assert len({each.holdout.salt for each in JOURNEYS.values()}) == len(JOURNEYS)


@pytest.mark.parametrize(
    ("shop", "bought", "product"),
    [
        ("skincare", "cleanser-0", "toner-0"),
        ("skincare", "serum-0", "spf-0"),
        ("fitness", "kettlebell-0", "mat-0"),
        ("fitness", "bands-0", "door-anchor-0"),
    ],
)
def test_the_thank_you_page_completes_the_purchase(shop: str, bought: str, product: str) -> None:
    state = customer(shop, bought)
    [occurrence] = page_due(state, Published.of(JOURNEYS.values()), "o-1")
    journey = JOURNEYS[occurrence.journey]
    decision = decide(state, occurrence, journey, (), Context(shelf(shop), law()), occurrence.due_at)
    assert decision.offer
    assert [each.product_id for each in decision.offer.products] == [product]
