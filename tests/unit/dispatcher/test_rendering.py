"""From a template and its context to text."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader

from services.dispatcher.content import building
from services.dispatcher.content.library import Library
from services.dispatcher.domain.rendering import Unrenderable, render_email, render_sms
from services.dispatcher.domain.segment import GSM7, UCS2
from tests.support.messages import CONTEXT

REAL = Library.of()
OPT_OUT = "Reply STOP to opt out"
OURS: dict[str, Any] = {
    "answer_links": {},
    "unsubscribe_url": "https://offers.example.com/u/token",
    "postal_address": "1 Example Street, Springfield",
}
VIEW: dict[str, Any] = {**CONTEXT, **OURS}
FALLBACK = "https://offers.example.com"
MJML = "<mjml><mj-body><mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section></mj-body></mjml>"


def _library(**files: str) -> Library:
    """A library of one shop, `a`; `mail_mjml` is the file `a/mail.mjml.j2`."""
    return Library(DictLoader({f"a/{name.replace('_', '.')}.j2": text for name, text in files.items()}))


def _email(text: str, html: str = "", **view: object) -> tuple[str, str, str]:
    library = _library(mail_txt=text, mail_mjml=MJML.format(html))
    rendered = render_email(library, "a/mail", view, "en-US")
    return rendered.subject, rendered.text, rendered.html


def _worded(incentive: dict[str, Any], locale: str, **more: object) -> str:
    text = "Subject: x\n{{ incentive.text }}|{{ incentive.expires_text }}|{{ add_more }}"
    library = _library(mail_txt=text, mail_de_txt=text, mail_mjml=MJML.format(""))
    return render_email(library, "a/mail", {"incentive": incentive, **more}, locale).text.strip()


def test_a_name_that_is_not_there_makes_the_message_unrenderable() -> None:
    with pytest.raises(Unrenderable, match="'nickname' is undefined"):
        _email("Subject: Hi {{ nickname }}")


def test_a_missing_template_is_named() -> None:
    with pytest.raises(Unrenderable, match=r"skincare/none\.txt\.j2"):
        render_email(REAL, "skincare/none", VIEW, "en-US")


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ items.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ 1 / 0 }}",
        "{% include '_words.yaml' %}",
        "{% include '../../../../pyproject.toml' %}",
        "{% include '/etc/hostname' %}",
        "[% include '../compose.py' %]",
        "[[ ''.__class__.__mro__ ]]",
        "[[ words.__init__.__globals__ ]]",
        "{{ items|attr('__class__') }}",
        "{{ 'x'|map(attribute='__class__')|list|first|string|length|frobnicate }}",
    ],
)
def test_a_template_reaches_nothing_but_its_data(attack: str) -> None:
    with pytest.raises(Unrenderable):
        _email(f"Subject: x\n{attack}", items=[])
    with pytest.raises(Unrenderable):
        _email("Subject: x", attack, items=[])


def test_a_page_is_compiled_once_however_many_messages_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def counting(mjml: str, real: Callable[[str], str] = building.compiled) -> str:
        compiled.append(mjml)
        return real(mjml)

    monkeypatch.setattr(building, "compiled", counting)
    library = _library(mail_txt="Subject: x", mail_mjml=MJML.format("{{ name }}"))
    pages = [render_email(library, "a/mail", {"name": f"n{number}"}, "en-US").html for number in range(3)]
    assert len(compiled) == 1
    assert ["n0" in pages[0], "n2" in pages[2]] == [True, True]


def test_mjml_includes_no_file() -> None:
    library = _library(
        mail_txt="Subject: x", mail_mjml=MJML.format('<mj-include path="/etc/hostname" type="html" />')
    )
    with pytest.raises(Unrenderable, match="mj-include"):
        render_email(library, "a/mail", {}, "en-US")


def test_what_templates_build_on_is_never_sent() -> None:
    with pytest.raises(Unrenderable, match="_base"):
        render_email(REAL, "_base", VIEW, "en-US")


def test_values_are_escaped_in_html_and_not_in_text() -> None:
    subject, text, html = _email("Subject: {{ name }}\n{{ name }}", "{{ name }}", name="<b>Tom & Co</b>")
    assert (subject, text) == ("<b>Tom & Co</b>", "<b>Tom & Co</b>\n")
    assert "&lt;b&gt;Tom &amp; Co&lt;/b&gt;" in html


def test_expressions_reach_html_as_they_were_written() -> None:
    html = _email(
        "Subject: x",
        '{% if a < 2 and b == "q" %}<a href="{{ {"u": c}["u"] }}">{{ "&" ~ b }}</a>{% endif %}',
        a=1,
        b="q",
        c="https://x",
    )[2]
    assert 'href="https://x"' in html
    assert ">&amp;q</a>" in html


def test_rows_made_in_a_loop_stay_in_their_table() -> None:
    rows = "</mj-text><mj-table>{% for i in items %}<tr><td>{{ i }}</td></tr>{% endfor %}</mj-table><mj-text>"
    html = _email("Subject: x", rows, items=["one", "two"])[2]
    row = r"<tr><td[^>]*>{}</td></tr>\s*"
    assert re.search(rf"<table[^>]*><tbody>\s*{row.format('one')}{row.format('two')}</tbody></table>", html)


def test_a_subject_cannot_carry_a_header() -> None:
    subject, _, _ = _email("Subject: {{ name }} now\nbody", name="Ana\u2028Bcc: x")
    assert subject == "Ana Bcc: x now"


def test_links_that_are_not_https_are_left_out() -> None:
    products = [
        {**CONTEXT["products"][0], "url": "javascript:alert(1)", "image_url": "http://x.example.com/a.png"}
    ]
    rendered = render_email(REAL, "skincare/complete-your-routine", {**VIEW, "products": products}, "en-US")
    assert "javascript:" not in rendered.html + rendered.text
    assert "<img" not in rendered.html


def test_every_email_shows_the_way_out_and_the_postal_address() -> None:
    rendered = render_email(REAL, "skincare/complete-your-routine", VIEW, "en-US")
    for part in (rendered.text, rendered.html):
        assert OURS["unsubscribe_url"] in part
        assert OURS["postal_address"] in part


def test_the_pair_stands_in_the_subject() -> None:
    rendered = render_email(REAL, "skincare/complete-your-routine", VIEW, "en-US")
    assert rendered.subject == "Your Gentle Oat Cleanser pairs perfectly with Rose Water Toner"
    assert "10% off" in rendered.html
    assert "ROUTINE10" in rendered.text


def test_styles_are_inlined_and_those_of_the_dark_scheme_kept() -> None:
    html = render_email(REAL, "skincare/complete-your-routine", VIEW, "en-US").html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert '<h1 style="' in html


@pytest.mark.parametrize(
    ("locale", "lang"), [("de-AT", "de"), ("de", "de"), ("en-US", "en"), ("fr-FR", "en"), ("", "en")]
)
def test_a_reader_gets_the_nearest_language_that_there_is(locale: str, lang: str) -> None:
    rendered = render_email(REAL, "skincare/complete-your-routine", VIEW, locale)
    assert f'<html lang="{lang}"' in rendered.html
    assert ("Danke" in rendered.text) == (lang == "de")


def test_terms_and_times_are_written_as_the_reader_writes_them() -> None:
    incentive = {
        "kind": "percent",
        "value": "12.5",
        "currency": None,
        "expires_at": "2026-03-06T05:00:00+00:00",
    }
    lacking = {"add_more_amount": "1200.5", "add_more_currency": "EUR", "time_zone": "America/New_York"}
    english = _worded(incentive, "en-US", **lacking).replace("\u202f", " ")
    assert english == "12.5% off|Thursday, March 5, 11:59 PM|€1,200.50"
    german = _worded(incentive, "de-DE", **lacking).replace("\xa0", " ")
    assert german == "12,5 % Rabatt|Donnerstag, 5. März, 23:59|1.200,50 €"
    money = {"kind": "money", "value": "5", "currency": "USD", "expires_text": None}
    assert _worded(money, "en-GB", add_more=None) == "US$5.00 off|None|None"


def test_a_context_from_before_the_figures_renders_with_its_own_words() -> None:
    old = {"kind": "odd", "value": None, "currency": None, "text": "a treat", "expires_text": "Thursday"}
    assert _worded(old, "en-US", add_more="$12.00") == "a treat|Thursday|$12.00"


def test_a_reason_is_told_in_the_templates_language_unless_the_journey_gave_its_own() -> None:
    own = {**CONTEXT["products"][0], "relation": None}
    ours = {**own, "relation": "pair"}
    view = {**VIEW, "products": [own, ours]}
    text = render_email(REAL, "skincare/complete-your-routine", view, "de-DE").text
    assert "Restores the balance after cleansing." in text
    assert "Wer „Gentle Oat Cleanser“ kauft, nimmt es oft dazu." in text


_names = st.text(min_size=1, max_size=120)


@given(name=_names | st.text(alphabet="<>&\"'{}%[]=/ab", min_size=1, max_size=40))
def test_no_name_changes_what_a_page_is_made_of(name: str) -> None:
    def page(said: str) -> str:
        product = {
            **CONTEXT["products"][0],
            "name": said,
            "why": said,
            "image_url": "https://x.example/a.png",
        }
        view = {**VIEW, "shop_name": said, "purchase": [said], "products": [product], "first_name": "Ana"}
        return render_email(REAL, "skincare/complete-your-routine", view, "en-US").html

    assert len(re.findall(r"[<>\"']", page(name))) == len(re.findall(r"[<>\"']", page("plain")))


@given(
    first=st.none() | _names,
    shop=_names,
    bought=_names,
    product=_names,
    code=st.none() | st.just("TONIGHT10"),
)
@pytest.mark.parametrize(
    ("name", "locale"),
    [
        ("skincare/expires-tonight", "en-US"),
        ("skincare/expires-tonight", "de-DE"),
        ("fitness/delivered", "en-US"),
        ("grocer/big-basket", "en-US"),
    ],
)
def test_an_sms_is_one_segment_with_one_link_and_the_way_out(  # noqa: PLR0913, PLR0917  what varies
    name: str, locale: str, first: str | None, shop: str, bought: str, product: str, code: str | None
) -> None:
    view = {
        **CONTEXT,
        "first_name": first,
        "shop_name": shop,
        "purchase": [bought],
        "products": [{**CONTEXT["products"][0], "name": product}],
        "incentive": {**CONTEXT["incentive"], "code": code},
    }
    text = render_sms(REAL, name, view, locale, FALLBACK)
    way_out = "Abmelden mit STOP" if locale == "de-DE" else OPT_OUT
    assert text.alphabet is GSM7
    assert text.units == GSM7.units(text.body) <= GSM7.limit
    assert text.body.endswith(f"https://dewy.example.com/p/rose-water-toner {way_out}")


PHRASES = dict.fromkeys(REAL.words("en").model_dump(exclude={"why"}), "")
RUSSIAN = {
    "_words.yaml": json.dumps({"en": PHRASES, "ru": {**PHRASES, "sms_opt_out": "Отказ STOP"}}),
    "a/note.ru.sms.j2": "{{ shop_name }}: {{ products[0].name }} для вас"
    "{% if first_name %}, {{ first_name }}{% endif %}.",
}


@given(shop=_names, product=_names, first=st.none() | _names)
def test_letters_that_gsm_lacks_make_a_segment_of_seventy_units(
    shop: str, product: str, first: str | None
) -> None:
    view = {
        "shop_name": f"Я{shop}",
        "products": [{"name": f"Ы{product}", "url": "https://s.example/aB3"}],
        "first_name": first,
    }
    text = render_sms(Library(DictLoader(RUSSIAN)), "a/note", view, "ru-RU", FALLBACK)
    assert text.alphabet is UCS2
    assert len(text.body.encode("utf-16-le")) // 2 == text.units <= 70
    assert text.body.endswith(" https://s.example/aB3 Отказ STOP")


def test_a_link_longer_than_a_segment_makes_a_text_unrenderable() -> None:
    view = {"shop_name": "Я", "products": [{"name": "Ы", "url": None}]}
    with pytest.raises(Unrenderable, match="no link is short enough"):
        render_sms(Library(DictLoader(RUSSIAN)), "a/note", view, "ru-RU", "https://example.com/" + "x" * 60)


def test_names_are_shortened_before_anything_is_cut() -> None:
    product = {**CONTEXT["products"][0], "name": "Extraordinarily long product name that goes on and on " * 2}
    text = render_sms(REAL, "skincare/expires-tonight", {**CONTEXT, "products": [product]}, "en-US", FALLBACK)
    assert "ends tonight, code ROUTINE10." in text.body
    assert not text.cut


def test_a_sentence_too_long_by_itself_is_said_to_be_cut() -> None:
    text = render_sms(_library(long_sms="word " * 60), "a/long", {}, "en-US", FALLBACK)
    assert text.cut
    assert text.body.endswith(f"word {FALLBACK} {OPT_OUT}")


def test_a_name_in_letters_that_cannot_be_sent_is_left_out() -> None:
    product = {**CONTEXT["products"][0], "name": "面膜"}
    text = render_sms(REAL, "skincare/expires-tonight", {**CONTEXT, "products": [product]}, "en-US", FALLBACK)
    assert text.body.startswith("Dewy & Co: 10% off ends tonight, code ROUTINE10.")


def test_the_views_own_link_goes_before_all_others() -> None:
    view = {**CONTEXT, "link": "https://dewy.example/k3"}
    text = render_sms(REAL, "skincare/expires-tonight", view, "en-US", FALLBACK)
    assert text.body.endswith(f" https://dewy.example/k3 {OPT_OUT}")


def test_a_link_too_long_for_a_text_gives_way_to_the_shops() -> None:
    product = {**CONTEXT["products"][0], "url": "https://dewy.example.com/" + "x" * 100}
    text = render_sms(REAL, "skincare/expires-tonight", {**CONTEXT, "products": [product]}, "en-US", FALLBACK)
    assert text.body.endswith(f" {FALLBACK} {OPT_OUT}")
