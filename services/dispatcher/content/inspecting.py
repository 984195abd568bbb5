"""What must hold of a rendered message, whatever its template: faults of one e-mail or text, as rules and details."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from services.dispatcher.content.samples import MARKUP
from services.dispatcher.domain.rendering import RenderedEmail, RenderedSms

LARGEST_BYTES = 100_000  # beyond 102 kB Gmail cuts a mail, and the way out with it
_LEFT_OVER = re.compile(r"\{\{|\{%|%\}|\}\}|\[%|%\]|\[\[|\]\]|jinja\d{4}x|</?mj-|\bNone\b|\bUndefined\b")
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_WAYS_OUT = re.compile(r"\b(STOP|STOPALL|UNSUBSCRIBE|CANCEL|END|QUIT|ARRET)\b")  # what providers act on
_INVISIBLE = re.compile(r"[\s\u034f\u200c\u00a0\u2007]+")


class Rule(StrEnum):
    """What was broken."""

    CANNOT_BUILD = "cannot_build"
    CANNOT_RENDER = "cannot_render"
    UNKNOWN_VARIABLE = "unknown_variable"
    MISSING_PART = "missing_part"
    NO_PHRASES = "no_phrases"
    LEFT_OVER = "left_over"
    UNESCAPED = "unescaped"
    BAD_LINK = "bad_link"
    NO_ALT = "no_alt"
    NO_LANG = "no_lang"
    NO_PREHEADER = "no_preheader"
    NO_SUBJECT = "no_subject"
    NO_UNSUBSCRIBE = "no_unsubscribe"
    NO_POSTAL_ADDRESS = "no_postal_address"
    NO_DARK_SCHEME = "no_dark_scheme"
    TOO_FAINT = "too_faint"
    TOO_LARGE = "too_large"
    SMS_TOO_LONG = "sms_too_long"
    SMS_LINKS = "sms_links"
    SMS_NO_WAY_OUT = "sms_no_way_out"


Fault = tuple[Rule, str]


def email_faults(rendered: RenderedEmail, view: Mapping[str, Any], *, markup: bool) -> Iterator[Fault]:
    """Each fault of an e-mail; `markup` says that names in the view hold HTML."""
    page = _Page()
    page.feed(rendered.html)
    if not rendered.subject.strip():
        yield Rule.NO_SUBJECT, "the subject is empty"
    if not page.lang:
        yield Rule.NO_LANG, "<html> has no lang"
    if not page.preheader:
        yield Rule.NO_PREHEADER, "the preheader is empty: fill the block `preheader`"
    if "light dark" not in page.scheme or "prefers-color-scheme: dark" not in page.styles:
        yield Rule.NO_DARK_SCHEME, "no color-scheme meta, or no styles for it: extend the shared base"
    if (size := len(rendered.html.encode())) > LARGEST_BYTES:
        yield Rule.TOO_LARGE, f"{size} bytes of HTML, of which {LARGEST_BYTES} are shown"
    for source in page.without_alt:
        yield Rule.NO_ALT, f"an image has no alt text: {source}"
    yield from _duties(rendered, view, page)
    for link in (*page.links, *_URL.findall(rendered.text)):
        if problem := _link_problem(link):
            yield Rule.BAD_LINK, f"{link or '(empty)'}: {problem}"
    yield from _leftovers(rendered, page, markup=markup)


def sms_faults(rendered: RenderedSms) -> Iterator[Fault]:
    """Each fault of a text."""
    if rendered.cut:
        yield (
            Rule.SMS_TOO_LONG,
            f"its sentence was cut to fit {rendered.alphabet.limit} {rendered.alphabet.name} units",
        )
    links = _URL.findall(rendered.body)
    if len(links) != 1:
        yield Rule.SMS_LINKS, f"{len(links)} links instead of one"
    for link in links:
        if problem := _link_problem(link):
            yield Rule.BAD_LINK, f"{link}: {problem}"
    if not _WAYS_OUT.search(rendered.body.rpartition("://")[2]):
        yield Rule.SMS_NO_WAY_OUT, "`sms_opt_out` of its language names no word that providers act on"
    if found := _LEFT_OVER.search(rendered.body):
        yield Rule.LEFT_OVER, f"{found[0]!r} in the text"


def push_faults(text: str) -> Iterator[Fault]:
    """Each fault of a notification's title and body."""
    if found := _LEFT_OVER.search(text):
        yield Rule.LEFT_OVER, f"{found[0]!r} in the notification"


def _duties(rendered: RenderedEmail, view: Mapping[str, Any], page: "_Page") -> Iterator[Fault]:
    if view["unsubscribe_url"] not in page.links:
        yield Rule.NO_UNSUBSCRIBE, "no link to unsubscribe in HTML"
    if view["unsubscribe_url"] not in rendered.text:
        yield Rule.NO_UNSUBSCRIBE, "no link to unsubscribe in the text part"
    if view["postal_address"] not in page.text:
        yield Rule.NO_POSTAL_ADDRESS, "no postal address in HTML"
    if view["postal_address"] not in rendered.text:
        yield Rule.NO_POSTAL_ADDRESS, "no postal address in the text part"


def _leftovers(rendered: RenderedEmail, page: "_Page", *, markup: bool) -> Iterator[Fault]:
    for part, text in (("subject", rendered.subject), ("text part", rendered.text), ("HTML", page.text)):
        if found := _LEFT_OVER.search(text):
            yield Rule.LEFT_OVER, f"{found[0]!r} in the {part}"
    if not markup and (found := _TAG.search(rendered.text)):
        yield Rule.LEFT_OVER, f"{found[0]!r} in the text part"
    if markup and MARKUP.partition(">")[0] in rendered.html:
        yield Rule.UNESCAPED, "a name reaches HTML as markup: leave out `|safe`"


def _link_problem(link: str) -> str | None:
    if re.search(r"[\s{}\[\]<>]", link.strip()):
        return "holds what no address may hold"
    parts = urlsplit(link.strip())
    if parts.scheme == "mailto":
        return None if "@" in parts.path else "mailto: without an address"
    if parts.scheme != "https":
        return "is not https" if parts.scheme else "is relative: a mail has no address of its own"
    return None if "." in (parts.hostname or "") else "has no host"


class _Page(HTMLParser):
    """What a check needs of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.lang, self.scheme, self.styles, self.text, self.preheader = "", "", "", "", ""
        self.links: list[str] = []
        self.without_alt: list[str] = []
        self._inside = ""
        self._in_preheader = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Gather links, images and declarations."""
        given = {name: value or "" for name, value in attrs}
        self._inside = tag
        if tag == "html":
            self.lang = given.get("lang", "").replace("und", "")
        elif tag == "meta" and given.get("name") == "color-scheme":
            self.scheme = given.get("content", "")
        elif tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "img":
            self.links.append(given.get("src", ""))
            if not given.get("alt", "").strip():
                self.without_alt.append(given.get("src", ""))
        elif tag == "div":
            self._in_preheader = "display:none" in given.get("style", "").replace(" ", "")

    def handle_endtag(self, tag: str) -> None:
        """End the preheader with its division."""
        self._inside = ""
        if tag == "div":
            self._in_preheader = False

    def handle_data(self, data: str) -> None:
        """Gather text and styles."""
        if self._inside == "style":
            self.styles += data
        elif self._in_preheader:
            self.preheader += _INVISIBLE.sub(" ", data).strip()
            self.text += data
        else:
            self.text += data
