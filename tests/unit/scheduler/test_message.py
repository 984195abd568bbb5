"""What a message holds."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from services.scheduler.domain import CustomerState, Journey, message
from services.scheduler.domain.message import WHY_IT_FITS
from shared.events import Channel, Message
from shared.events.affinity import Relation
from tests.support.deciding import (
    MONDAY_NOON,
    catalogue,
    context,
    decided,
    delivered,
    journey,
    only,
    order,
    product,
    profile,
    state,
    step,
)

KEYS = {
    "first_name",
    "shop_name",
    "order_id",
    "purchase",
    "products",
    "incentive",
    "add_more",
    "add_more_amount",
    "add_more_currency",
    "early_access_until",
    "answers",
    "guide",
    "time_zone",
}


def written(known: CustomerState, plan: Journey, name: str = "pair", **more: Any) -> Message:  # noqa: ANN401  see decided
    decision = decided(known, plan, name=name, **more)
    return message(known, only(known, plan, name), decision, plan, context(shelf=more.get("shelf")))


def ready() -> CustomerState:
    return state(profile(), order(products=("cleanser", "serum")), delivered())


def test_a_message_says_whom_what_and_why() -> None:
    terms = {
        "from": ["complements"],
        "count": 1,
        "max_price_share": None,
        "why": {"toner": "It readies the skin."},
        "incentive": {"kind": "percent", "value": 10, "code": "TEN", "valid_for": "48h"},
    }
    sent = written(ready(), journey(step(offer=terms)))
    assert (sent.recipient, sent.template, sent.locale) == ("ada@example.com", "skincare/pair", "en-US")
    assert sent.context == {
        "first_name": "Ada",
        "shop_name": "Dewpoint",
        "order_id": "o-1",
        "purchase": ["Serum", "Cleanser"],
        "products": [
            {
                "product_id": "toner",
                "name": "Toner",
                "price": "9.00",
                "currency": "USD",
                "url": "https://shop.example.com/toner",
                "image_url": None,
                "why": "It readies the skin.",
                "relation": None,
            }
        ],
        "incentive": {
            "kind": "percent",
            "value": "10",
            "currency": None,
            "code": "TEN",
            "text": "10% off",
            "expires_text": "Wednesday 4 March, 12:45 pm",
            "expires_at": "2026-03-04T17:45:00+00:00",
        },
        "add_more": None,
        "add_more_amount": None,
        "add_more_currency": None,
        "early_access_until": None,
        "answers": [],
        "guide": None,
        "time_zone": "America/New_York",
    }


def test_a_step_without_an_offer_has_all_keys_too() -> None:
    plan = journey(
        step(offer=None, asks=["happy", "unhappy"], guide={"title": "Care", "url": "https://e.com"})
    )
    sent = written(ready(), plan)
    assert set(sent.context) == KEYS
    assert sent.context["answers"] == ["happy", "unhappy"]
    assert sent.context["guide"] == {"title": "Care", "url": "https://e.com"}
    assert (sent.context["products"], sent.context["incentive"]) == ([], None)


def test_without_written_reasons_the_relation_gives_one() -> None:
    sent = written(ready(), journey())
    assert sent.context["products"][0]["why"] == "Customers who bought your Serum often take it along."


def test_whatever_relates_two_products_there_are_words_for_it() -> None:
    assert set(WHY_IT_FITS) == set(get_args(Relation))
    assert all(words.format(bought="your Serum").endswith(".") for words in WHY_IT_FITS.values())


def test_a_message_is_valid_until_its_step_expires() -> None:
    sent = written(ready(), journey(step(expires="2d")))
    assert sent.valid_until == MONDAY_NOON + timedelta(days=2, minutes=45)


def test_a_message_is_not_valid_after_its_incentive() -> None:
    terms = {
        "from": ["complements"],
        "max_price_share": None,
        "incentive": {"kind": "free_shipping", "valid_for": "tonight"},
    }
    sent = written(ready(), journey(step(offer=terms)))
    assert sent.valid_until == datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
    assert sent.context["incentive"]["expires_text"] == "Monday 2 March, 11:59 pm"
    assert sent.context["incentive"]["text"] == "free shipping"


def test_a_text_goes_to_the_phone_and_is_not_valid_into_the_night() -> None:
    sent = written(ready(), journey(step(channel="sms")))
    assert (sent.channel, sent.recipient) == (Channel.SMS, "+12025550142")
    assert sent.valid_until == datetime(2026, 3, 3, 1, 0, tzinfo=UTC)


def test_a_message_to_nobody_is_refused() -> None:
    plan = journey()
    decision = decided(ready(), plan)
    with pytest.raises(ValueError, match="nobody"):
        message(state(order()), only(ready(), plan), decision, plan, context())


def offering(incentive: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401  see written
    """Return the context of a message that offers the toner with an incentive."""
    terms = {"from": ["complements"], "count": 1, "max_price_share": None, "incentive": incentive}
    return written(ready(), journey(step(offer=terms)), **more).context


@pytest.mark.parametrize(
    ("incentive", "text"),
    [
        ({"kind": "money", "value": "5", "currency": "USD"}, "$5.00 off"),
        ({"kind": "percent", "value": "12.50"}, "12.5% off"),
        ({"kind": "free_shipping"}, "free shipping"),
        ({"kind": "early_access"}, "early access"),
    ],
)
def test_an_incentive_is_told_in_words(incentive: dict[str, Any], text: str) -> None:
    assert offering(incentive)["incentive"]["text"] == text


def test_below_a_threshold_the_message_says_how_much_to_add() -> None:
    threshold = {"amount": "60", "currency": "USD"}
    told = offering({"kind": "free_shipping", "threshold": threshold})
    assert told["add_more"] == "$12.00"
    assert (told["add_more_amount"], told["add_more_currency"]) == ("12.00", "USD")
    assert offering({"kind": "free_shipping"})["add_more"] is None


def test_early_access_says_until_when() -> None:
    told = offering({"kind": "early_access", "valid_for": "2d"})
    assert told["early_access_until"] == "Wednesday 4 March, 12:45 pm"
    assert told["incentive"]["kind"] == "early_access"
    assert offering({"kind": "percent", "value": 10, "valid_for": "2d"})["early_access_until"] is None
    assert offering({"kind": "early_access"})["early_access_until"] is None


@pytest.mark.parametrize(("currency", "price"), [("JPY", "9"), ("KWD", "9.000"), (None, "9.00")])
def test_prices_have_the_digits_of_their_currency(currency: str | None, price: str) -> None:
    shelf = catalogue(product("toner", currency=currency))
    (shown,) = offering({"kind": "free_shipping"}, shelf=shelf)["products"]
    assert (shown["price"], shown["currency"]) == (price, currency)


def test_a_step_may_ask_in_any_words() -> None:
    sent = written(ready(), journey(step(offer=None, asks=["yes-please", "not-now", "tell-me-more"])))
    assert sent.context["answers"] == ["yes-please", "not-now", "tell-me-more"]


def test_a_night_without_a_midnight_ends_a_minute_before_the_next_day() -> None:
    # In Cairo clocks went from 24:00 on 23 April 2026 to 01:00.
    at = datetime(2026, 4, 23, 9, 0, tzinfo=UTC)
    known = state(profile(time_zone="Africa/Cairo"), order(at=at))
    terms = {"from": ["complements"], "max_price_share": None}
    plan = journey(step(offer=terms | {"incentive": {"kind": "free_shipping", "valid_for": "tonight"}}))
    sent = written(known, plan)
    assert sent.valid_until == datetime(2026, 4, 23, 22, 0, tzinfo=UTC)
    assert sent.context["incentive"]["expires_text"] == "Thursday 23 April, 11:59 pm"
