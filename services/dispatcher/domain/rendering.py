"""What a message looks like: from a built template and its context to text.

Templates run in a sandbox, see only the message's context and our own few links, and fail on a name that is not
there. Amounts, dates and terms are written as the template's language and the reader's country write them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.dispatcher.domain import locales
from services.dispatcher.domain.segment import Alphabet, alphabet_of
from services.dispatcher.domain.words import Words

LONGEST_LINK = 80
_SAFE = ("https://", "http://127.0.0.1:", "http://localhost:")  # where our own links lead through in a demo
NAME_LIMITS = (60, 40, 30, 24, 18, 14, 10)
EMAIL, TEXT, SMS, PUSH = "mjml", "txt", "sms", "push"
LONGEST_TITLE, LONGEST_NOTICE = 65, 240

_ABSENT: dict[str, Any] = {
    **dict.fromkeys(("first_name", "incentive", "add_more", "early_access_until", "guide")),
    **dict.fromkeys(("purchase", "products", "answers"), ()),
    "answer_links": {},
}


class Unrenderable(Exception):  # noqa: N818  it names the state found
    """A template is missing or broken, or the context lacks what it asks for. Says no personal data."""


@dataclass(frozen=True)
class Found:
    """The template nearest to a locale, its file's name, its language, and the phrases of that language."""

    template: Template
    file: str
    language: str
    words: Words


class Templates(Protocol):
    """Built templates. `kind` is `mjml`, `txt` or `sms`."""

    def find(self, name: str, kind: str, locale: str) -> Found:
        """The template for a reader of `locale`. Raises Unrenderable."""


@dataclass(frozen=True)
class RenderedEmail:
    """Subject on one line, text and HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class RenderedSms:
    """One segment of `units` in an alphabet; `cut` says that more than names had to be shortened."""

    body: str
    alphabet: Alphabet
    units: int
    cut: bool


@dataclass(frozen=True)
class RenderedPush:
    """A notification: title and body, each on one line."""

    title: str
    body: str


def environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    """The environment in which every message is rendered; built MJML escapes by itself."""
    made = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=lambda name: bool(name and name.endswith(f".{EMAIL}.j2")),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    for name in ("lipsum", "cycler", "joiner"):  # helpers of Jinja that are no message's data
        made.globals.pop(name)
    made.filters.update(money=_money, date=_date, deadline=_deadline, listed=_listed, upfirst=_upfirst)
    return made


def render_email(
    templates: Templates, name: str, view: Mapping[str, Any], locale: str, zone: str | None = None
) -> RenderedEmail:
    """Both parts of an e-mail. The text's first line is `Subject: ...`. Raises Unrenderable.

    `zone` is the reader's, where the context has no `time_zone`; unknown, it is UTC.
    """
    found = templates.find(name, TEXT, locale)
    safe = _seen(view, found, locale, zone)
    subject, _, body = _render(found, safe).partition("\n")
    if not subject.startswith("Subject: "):
        message = f"{found.file}: the first line is not `Subject: ...`"
        raise Unrenderable(message)
    page = templates.find(name, EMAIL, locale)
    if page.language != found.language:
        safe = _seen(view, page, locale, zone)
    plain = re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"
    return RenderedEmail(" ".join(subject.removeprefix("Subject: ").split()), plain, _render(page, safe))


def render_sms(
    templates: Templates, name: str, view: Mapping[str, Any], locale: str, fallback_link: str
) -> RenderedSms:
    """One segment: the template's sentence, one link, the way out. Raises Unrenderable.

    What is too long loses letters in names first, then words at the sentence's end; link and way out stay whole.
    """
    found = templates.find(name, SMS, locale)
    safe = _seen(view, found, locale, None)
    alphabet = alphabet_of(found.words.sms_opt_out)
    way_out = alphabet.written(found.words.sms_opt_out)
    longest = min(LONGEST_LINK, alphabet.limit - alphabet.least - alphabet.units(way_out) - 2)
    ending = f" {link_in_sms(safe, longest, fallback_link)} {way_out}"
    room = alphabet.limit - alphabet.units(ending)
    if room < 0:
        message = f"{found.file}: no link is short enough for one segment of {alphabet.name}"
        raise Unrenderable(message)
    sentence = ""
    for limit in NAME_LIMITS:
        sentence = alphabet.written(_render(found, _with_short_names(safe, limit, alphabet)))
        if alphabet.units(sentence) <= room:
            break
    body = alphabet.shortened(sentence, room) + ending
    return RenderedSms(body, alphabet, alphabet.units(body), alphabet.units(sentence) > room)


def render_push(
    templates: Templates, name: str, view: Mapping[str, Any], locale: str, zone: str | None = None
) -> RenderedPush:
    """Title and body of a notification: the template's first line, and the rest. Raises Unrenderable."""
    found = templates.find(name, PUSH, locale)
    title, _, body = _render(found, _seen(view, found, locale, zone)).strip().partition("\n")
    if not title or not body.strip():
        message = f"{found.file}: the first line is the title, and the text stands below it"
        raise Unrenderable(message)
    return RenderedPush(_brief(title, LONGEST_TITLE), _brief(body, LONGEST_NOTICE))


def _brief(text: str, limit: int) -> str:
    """On one line and, where screens would cut it, cut after a word."""
    plain = " ".join(text.split())
    if len(plain) <= limit:
        return plain
    cut = plain[: limit - 1]
    return (cut.rpartition(" ")[0] or cut).rstrip(" ,;:") + "…"


def link_in_sms(view: Mapping[str, Any], longest: int, fallback: str) -> str:
    """The one link of a text: `link` of the view, else the guide's or a product's that is short enough."""
    guide, products = view.get("guide"), view["products"]
    candidates = [
        view.get("link"),
        guide.get("url") if guide else None,
        *(product.get("url") for product in products),
    ]
    short = [url for url in candidates if url and url.isascii() and len(url) <= longest]
    return short[0] if short else fallback


def _render(found: Found, view: Mapping[str, Any]) -> str:
    try:
        return found.template.render(view)
    except TemplateError as error:
        # An undefined name or a missing file is said by the error; it quotes names, never values.
        message = f"{found.file}: {type(error).__name__}: {error.message}"
        raise Unrenderable(message) from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        message = f"{found.file}: {type(error).__name__}"
        raise Unrenderable(message) from None


def _seen(view: Mapping[str, Any], found: Found, locale: str, zone: str | None) -> dict[str, Any]:
    """All that a template sees: safe links only, and what the scheduler wrote in English in its language."""
    reading = locales.reading(found.language, locale)
    seen = {**_ABSENT, **view, "locale": reading, "time_zone": view.get("time_zone") or zone or "UTC"}
    seen["purchase"] = seen["purchase"] or ()
    seen["products"] = [
        _https_only(_reasoned(product, found.words, seen["purchase"])) for product in seen["products"] or ()
    ]
    seen["guide"] = _https_only(seen["guide"]) if seen["guide"] else None
    if incentive := seen["incentive"]:
        seen["incentive"] = worded = {**incentive, "text": _terms(incentive, found.words, reading)}
        if incentive.get("expires_at"):
            worded["expires_text"] = locales.deadline(incentive["expires_at"], seen["time_zone"], reading)
            if incentive.get("kind") == "early_access":
                seen["early_access_until"] = worded["expires_text"]
    if view.get("add_more_amount"):
        seen["add_more"] = locales.money(view["add_more_amount"], view.get("add_more_currency"), reading)
    return seen


def _terms(incentive: Mapping[str, Any], words: Words, locale: str) -> str:
    kind, value = incentive.get("kind"), incentive.get("value")
    if kind == "percent" and value:
        return words.percent_off.format(value=locales.percent(value, locale))
    if kind == "money" and value:
        return words.money_off.format(value=locales.money(value, incentive.get("currency"), locale))
    plain = {"free_shipping": words.free_shipping, "early_access": words.early_access}
    return plain.get(str(kind)) or str(incentive.get("text") or "")


def _reasoned(product: Mapping[str, Any], words: Words, purchase: Sequence[str]) -> Mapping[str, Any]:
    """The product with its reason in the template's language, unless the journey gave one in its own words."""
    phrase = words.why.get(product.get("relation") or "")
    bought = purchase[0] if purchase else words.bought
    return {**product, "why": phrase.format(bought=bought)} if phrase else product


def _https_only(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if name in ("url", "image_url") and not str(value).startswith(_SAFE) else value
        for name, value in item.items()
    }


def _with_short_names(view: Mapping[str, Any], limit: int, alphabet: Alphabet) -> dict[str, Any]:
    """The view with names in at most `limit` units; a name of which the alphabet leaves nothing is left out."""

    def short(text: str | None) -> str:
        return alphabet.shortened(alphabet.written(text), limit) if text else ""

    products = [{**product, "name": short(product.get("name"))} for product in view["products"]]
    return {
        **view,
        "shop_name": short(view.get("shop_name")),
        "first_name": short(view["first_name"]) or None,
        "purchase": [name for name in map(short, view["purchase"]) if name],
        "products": [product for product in products if product["name"]],
    }


@pass_context
def _money(context: Context, amount: str | None, currency: str | None) -> str:
    return locales.money(amount, currency, context["locale"])


@pass_context
def _date(context: Context, moment: str) -> str:
    return locales.date(moment, context["time_zone"], context["locale"])


@pass_context
def _deadline(context: Context, moment: str) -> str:
    return locales.deadline(moment, context["time_zone"], context["locale"])


@pass_context
def _listed(context: Context, items: list[str]) -> str:
    return locales.listed(items, context["locale"])


def _upfirst(text: str) -> str:
    """`text` with a capital first letter."""
    return text[:1].upper() + text[1:]
