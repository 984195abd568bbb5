"""What a message looks like: from a template and its context to text.

Templates run in a sandbox, see only the message's context and our own few links, and fail on a name that is
not there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.dispatcher.domain import gsm7

OPT_OUT = "Reply STOP to opt out"
LONGEST_LINK = 80
NAME_LIMITS = (60, 40, 30, 24, 18, 14, 10)

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


class Unrenderable(Exception):  # noqa: N818  it names the state found
    """A template is missing or broken, or the context lacks what it asks for. Says no personal data."""


@dataclass(frozen=True)
class RenderedEmail:
    """Subject on one line, text and HTML."""

    subject: str
    text: str
    html: str


def environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    """The environment in which every template runs; `.html.j2` escapes by itself."""
    made = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    made.filters["money"] = money
    return made


def money(price: str | None, currency: str | None) -> str:
    """`24.00` and `USD` as `$24.00`; empty without a price."""
    if price is None:
        return ""
    symbol = _SYMBOLS.get(currency or "")
    return f"{symbol}{price}" if symbol else f"{price} {currency or ''}".strip()


def render_email(
    templates: ImmutableSandboxedEnvironment, name: str, view: Mapping[str, Any]
) -> RenderedEmail:
    """Both parts of an e-mail. The text's first line is `Subject: ...`. Raises Unrenderable."""
    safe = {**view, **_without_unsafe_links(view)}
    text = _render(templates, f"{name}.txt.j2", safe)
    subject, _, body = text.partition("\n")
    if not subject.startswith("Subject: "):
        message = f"{name}.txt.j2: the first line is not `Subject: ...`"
        raise Unrenderable(message)
    html = _render(templates, f"{name}.html.j2", safe)
    plain = re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"
    return RenderedEmail(" ".join(subject.removeprefix("Subject: ").split()), plain, html)


def render_sms(
    templates: ImmutableSandboxedEnvironment, name: str, view: Mapping[str, Any], fallback_link: str
) -> str:
    """One GSM-7 segment: the template's sentence, one link, the way out. Raises Unrenderable.

    What is too long loses letters in names first, then words at the sentence's end; link and way out stay
    whole.
    """
    safe = {**view, **_without_unsafe_links(view)}
    ending = f" {_link(safe, fallback_link)} {OPT_OUT}"
    room = gsm7.SEGMENT_UNITS - gsm7.units(ending)
    sentence = ""
    for limit in NAME_LIMITS:
        sentence = gsm7.written(_render(templates, f"{name}.sms.j2", _with_short_names(safe, limit)))
        if gsm7.units(sentence) <= room:
            break
    return gsm7.shortened(sentence, room) + ending


def _render(templates: ImmutableSandboxedEnvironment, name: str, view: Mapping[str, Any]) -> str:
    try:
        return templates.get_template(name).render(view)
    except TemplateError as error:
        # An undefined name or a missing file is said by the error; it quotes names, never values.
        message = f"{name}: {type(error).__name__}: {error.message}"
        raise Unrenderable(message) from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        message = f"{name}: {type(error).__name__}"
        raise Unrenderable(message) from None


def _without_unsafe_links(view: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "products": [_https_only(product) for product in view.get("products", ())],
        "guide": _https_only(view["guide"]) if view.get("guide") else None,
    }


def _https_only(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if name in ("url", "image_url") and not str(value).startswith("https://") else value
        for name, value in item.items()
    }


def _link(view: Mapping[str, Any], fallback: str) -> str:
    guide, products = view.get("guide"), view.get("products") or ()
    candidates = [guide.get("url") if guide else None, *(product.get("url") for product in products)]
    written = [url for url in candidates if url and gsm7.fits(url) and len(url) <= LONGEST_LINK]
    return written[0] if written else fallback


def _with_short_names(view: Mapping[str, Any], limit: int) -> dict[str, Any]:
    def short(text: str | None) -> str | None:
        return gsm7.shortened(gsm7.written(text), limit) if text else text

    products = [{**product, "name": short(product.get("name"))} for product in view.get("products") or ()]
    return {
        **view,
        "first_name": short(view.get("first_name")),
        "purchase": [short(name) for name in view.get("purchase") or ()],
        "products": products,
    }
