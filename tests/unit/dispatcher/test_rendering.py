"""From a template and its context to text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, FileSystemLoader

from services.dispatcher.compose import TEMPLATES
from services.dispatcher.domain import gsm7
from services.dispatcher.domain.rendering import (
    OPT_OUT,
    Unrenderable,
    environment,
    money,
    render_email,
    render_sms,
)
from tests.support.messages import CONTEXT

REAL = environment(FileSystemLoader(TEMPLATES))
OURS: dict[str, Any] = {
    "answer_links": {},
    "unsubscribe_url": "https://offers.example.com/u/token",
    "postal_address": "1 Example Street, Springfield",
}
VIEW: dict[str, Any] = {**CONTEXT, **OURS}
FALLBACK = "https://offers.example.com"


def _email(text: str, html: str = "", **view: object) -> tuple[str, str, str]:
    templates = environment(DictLoader({"a.txt.j2": text, "a.html.j2": html}))
    rendered = render_email(templates, "a", view)
    return rendered.subject, rendered.text, rendered.html


def test_a_name_that_is_not_there_makes_the_message_unrenderable() -> None:
    with pytest.raises(Unrenderable, match="'nickname' is undefined"):
        _email("Subject: Hi {{ nickname }}")


def test_a_missing_template_is_named() -> None:
    with pytest.raises(Unrenderable, match=r"skincare/none\.txt\.j2"):
        render_email(REAL, "skincare/none", VIEW)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ items.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_reaches_nothing_but_its_data(attack: str) -> None:
    with pytest.raises(Unrenderable):
        _email(f"Subject: x\n{attack}", items=[])


def test_values_are_escaped_in_html_and_not_in_text() -> None:
    subject, text, html = _email("Subject: {{ name }}\n{{ name }}", "{{ name }}", name="<b>Tom & Co</b>")
    assert (subject, text) == ("<b>Tom & Co</b>", "<b>Tom & Co</b>\n")
    assert html == "&lt;b&gt;Tom &amp; Co&lt;/b&gt;"


def test_a_subject_cannot_carry_a_header() -> None:
    subject, _, _ = _email("Subject: {{ name }} now\nbody", name="Ana\u2028Bcc: x")
    assert subject == "Ana Bcc: x now"


def test_links_that_are_not_https_are_left_out() -> None:
    products = [
        {**CONTEXT["products"][0], "url": "javascript:alert(1)", "image_url": "http://x.example.com/a.png"}
    ]
    rendered = render_email(REAL, "skincare/complete-your-routine", {**VIEW, "products": products})
    assert "javascript:" not in rendered.html + rendered.text
    assert "<img" not in rendered.html


def test_every_email_shows_the_way_out_and_the_postal_address() -> None:
    rendered = render_email(REAL, "skincare/complete-your-routine", VIEW)
    for part in (rendered.text, rendered.html):
        assert OURS["unsubscribe_url"] in part
        assert OURS["postal_address"] in part


def test_the_pair_stands_in_the_subject() -> None:
    rendered = render_email(REAL, "skincare/complete-your-routine", VIEW)
    assert rendered.subject == "Your Gentle Oat Cleanser pairs perfectly with Rose Water Toner"
    assert "10% off" in rendered.html
    assert "ROUTINE10" in rendered.text


_names = st.text(min_size=1, max_size=120)


@given(
    first=st.none() | _names,
    shop=_names,
    bought=_names,
    product=_names,
    code=st.none() | st.just("TONIGHT10"),
)
@pytest.mark.parametrize("name", ["skincare/expires-tonight", "fitness/delivered", "grocer/big-basket"])
def test_an_sms_is_one_segment_with_one_link_and_the_way_out(  # noqa: PLR0913, PLR0917  what varies
    name: str, first: str | None, shop: str, bought: str, product: str, code: str | None
) -> None:
    view = {
        **CONTEXT,
        "first_name": first,
        "shop_name": shop,
        "purchase": [bought],
        "products": [{**CONTEXT["products"][0], "name": product}],
        "incentive": {**CONTEXT["incentive"], "code": code},
    }
    text = render_sms(REAL, name, view, FALLBACK)
    assert gsm7.fits(text)
    assert text.endswith(f"https://dewy.example.com/p/rose-water-toner {OPT_OUT}")


def test_names_are_shortened_before_anything_is_cut() -> None:
    product = {**CONTEXT["products"][0], "name": "Extraordinarily long product name that goes on and on " * 2}
    text = render_sms(REAL, "skincare/expires-tonight", {**CONTEXT, "products": [product]}, FALLBACK)
    assert "ends tonight, code ROUTINE10." in text


def test_a_link_too_long_for_a_text_gives_way_to_the_shops() -> None:
    product = {**CONTEXT["products"][0], "url": "https://dewy.example.com/" + "x" * 100}
    text = render_sms(REAL, "skincare/expires-tonight", {**CONTEXT, "products": [product]}, FALLBACK)
    assert text.endswith(f" {FALLBACK} {OPT_OUT}")


def test_money_is_written_with_its_sign_or_its_currency() -> None:
    assert [money("24.00", "USD"), money("24.00", "CHF"), money(None, "USD")] == ["$24.00", "24.00 CHF", ""]
