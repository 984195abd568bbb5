"""Every template that a journey names is there and renders with all that the scheduler may give it."""

from typing import Any

import pytest

from services.dispatcher.content.library import Library
from services.dispatcher.domain import gsm7
from services.dispatcher.domain.rendering import render_email, render_sms
from services.scheduler.journeys import load_journeys
from tests.support.messages import CONTEXT

REAL = Library.of()
OURS: dict[str, Any] = {
    "answer_links": {"happy": "https://offers.example.com/a/h", "unhappy": "https://offers.example.com/a/u"},
    "unsubscribe_url": "https://offers.example.com/u/token",
    "postal_address": "1 Example Street, Springfield",
}
FULL = {
    **CONTEXT,
    "answers": ["happy", "unhappy"],
    "guide": {"title": "Your first week", "url": "https://iron.example.com/guides/first-week"},
}
BARE: dict[str, Any] = {
    **CONTEXT,
    "first_name": None,
    "purchase": [],
    "products": [],
    "incentive": None,
    "answers": [],
    "guide": None,
}
SPARSE = {
    **FULL,
    "products": [{**CONTEXT["products"][0], "price": None, "currency": None, "url": None}],
    "incentive": {**CONTEXT["incentive"], "value": None, "code": None, "expires_text": None},
}
EMAIL_LIMIT_BYTES = 100_000
WITHOUT_OFFER = {"skincare/satisfaction-check", "fitness/gear-guide", "home-goods/care-and-styling"}


def _named() -> list[tuple[str, str]]:
    """Template and channel of every step of every journey."""
    steps = [leaf.step for journey in load_journeys().values() for leaf in journey.leaves]
    return sorted({(step.template, step.channel.value) for step in steps if step.template})


def _shipped() -> list[tuple[str, str]]:
    """Template and channel of every file that we ship, in the shop's own language."""
    channels = {"mjml": "email", "sms": "sms"}
    return sorted(
        {(name, channels[kind]) for name, locale, kind in REAL.files() if kind in channels and not locale}
    )


def test_journeys_and_templates_name_the_same() -> None:
    assert _named()
    assert _named() == _shipped()


@pytest.mark.parametrize("context", [FULL, SPARSE, BARE], ids=["full", "sparse", "bare"])
@pytest.mark.parametrize("name", [name for name, channel in _shipped() if channel == "email"])
def test_an_email_renders_whatever_is_missing(name: str, context: dict[str, Any]) -> None:
    answer_links = {answer: OURS["answer_links"][answer] for answer in context["answers"]}
    rendered = render_email(REAL, name, {**context, **OURS, "answer_links": answer_links}, "en-US")
    assert rendered.subject
    assert "None" not in rendered.subject + rendered.text + rendered.html
    assert len(rendered.html.encode()) < EMAIL_LIMIT_BYTES
    for part in (rendered.text, rendered.html):
        assert OURS["unsubscribe_url"] in part
        assert OURS["postal_address"] in part
        for product in context["products"] if name not in WITHOUT_OFFER else ():
            assert product["name"] in part


@pytest.mark.parametrize("context", [FULL, SPARSE, BARE], ids=["full", "sparse", "bare"])
@pytest.mark.parametrize("name", [name for name, channel in _shipped() if channel == "sms"])
def test_an_sms_is_one_segment_whatever_is_missing(name: str, context: dict[str, Any]) -> None:
    text = render_sms(REAL, name, context, "en-US", "https://offers.example.com").body
    assert gsm7.fits(text)
    assert text.count("https://") == 1
    assert "STOP" in text
    assert "None" not in text


def test_a_satisfaction_check_asks_with_two_links() -> None:
    rendered = render_email(REAL, "skincare/satisfaction-check", {**FULL, **OURS, "products": []}, "en-US")
    for link in OURS["answer_links"].values():
        assert link in rendered.text
        assert link in rendered.html
