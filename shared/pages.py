"""The pages behind links in messages, in the reader's language: one column, no script but the answers', no cookie."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Words:
    """What the pages say in one language, by name of the page: heading, sentence, and the button's word."""

    pages: Mapping[str, tuple[str, str, str]]


_ENGLISH = Words(
    {
        "unsubscribe": (
            "Unsubscribe?",
            "Press the button, and this shop will send you no more offers this way.",
            "Unsubscribe",
        ),
        "unsubscribed": (
            "You are unsubscribed",
            "This shop will send you no more offers this way. There is nothing else to do.",
            "",
        ),
        "answer": ("Thank you", "Your answer is on its way.", "Send my answer"),
        "answered": ("Thank you", "We have your answer.", ""),
        "expired": (
            "This link has expired",
            "The offer behind it is over. The shop itself is open as ever.",
            "",
        ),
        "unknown": ("This link does not work", "It is not complete, or not one of ours.", ""),
        "busy": ("Please try again", "This could not be saved just now. Try once more in a moment.", ""),
    }
)
_GERMAN = Words(
    {
        "unsubscribe": (
            "Abbestellen?",
            "Nach einem Klick auf den Knopf schickt Ihnen dieser Shop auf diesem Weg keine Angebote mehr.",
            "Abbestellen",
        ),
        "unsubscribed": (
            "Sie sind abgemeldet",
            "Dieser Shop schickt Ihnen auf diesem Weg keine Angebote mehr. Mehr ist nicht zu tun.",
            "",
        ),
        "answer": ("Vielen Dank", "Ihre Antwort ist unterwegs.", "Antwort senden"),
        "answered": ("Vielen Dank", "Ihre Antwort ist angekommen.", ""),
        "expired": (
            "Dieser Link ist abgelaufen",
            "Das Angebot dahinter ist vorbei. Der Shop selbst ist weiter geöffnet.",
            "",
        ),
        "unknown": ("Dieser Link geht nicht", "Er ist unvollständig oder nicht von uns.", ""),
        "busy": (
            "Bitte noch einmal",
            "Das ließ sich gerade nicht speichern. Bitte versuchen Sie es gleich noch einmal.",
            "",
        ),
    }
)
LANGUAGES: Mapping[str, Words] = MappingProxyType({"en": _ENGLISH, "de": _GERMAN})

_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>{title}</title><style>
:root {{ --page: #f3f4f6; --card: #fff; --ink: #1f2733; --muted: #566072; --accent: #24406e; --on: #fff }}
@media (prefers-color-scheme: dark) {{
:root {{ --page: #12161d; --card: #1c222c; --ink: #eef1f6; --muted: #a9b3c3; --accent: #9dbcf2; --on: #10203b }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; min-height: 100vh; display: flex; align-items: center; justify-content: center; padding: 1rem;
background: var(--page); color: var(--ink); font: 17px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif }}
main {{ width: 100%; max-width: 30rem; background: var(--card); border-radius: 1rem; padding: 2.5rem 2rem;
text-align: center; box-shadow: 0 1px 3px rgba(0, 0, 0, .08), 0 8px 30px rgba(0, 0, 0, .06) }}
h1, p {{ text-wrap: balance }}
h1 {{ margin: 0 0 .75rem; font-size: 1.6rem; line-height: 1.25 }}
p {{ margin: 0; color: var(--muted) }}
button {{ width: 100%; margin-top: 1.75rem; min-height: 3rem; padding: .8rem 1.4rem; border: 0; border-radius: .6rem;
font: inherit; font-weight: 600; background: var(--accent); color: var(--on); cursor: pointer }}
button:focus-visible {{ outline: 3px solid var(--ink); outline-offset: 3px }}
</style></head><body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>"""
_FORM = '<form method="post"><button>{button}</button></form>'
_BY_ITSELF = "<script>document.forms[0].submit()</script>"
_STATUS = {
    "expired": HTTPStatus.GONE,
    "unknown": HTTPStatus.NOT_FOUND,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
}
_AHEAD = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Language"}


def page(name: str, language: str, *, by_itself: bool = False) -> web.Response:
    """One page with its status; `by_itself` presses the button for people whose browser runs scripts."""
    title, text, button = LANGUAGES[language].pages[name]
    form = _FORM.format(button=escape(button)) if button else ""
    body = _PAGE.format(
        language=language,
        title=escape(title),
        text=escape(text),
        form=form + (_BY_ITSELF if by_itself else ""),
    )
    return web.Response(
        status=_STATUS.get(name, HTTPStatus.OK), text=body, content_type="text/html", headers=_HEADERS
    )


def language_of(locale: str, accepted: str) -> str:
    """The language of the message (a locale such as `de-AT`), else the first one that the browser asks for and we have."""
    asked = [locale, *(entry.partition(";")[0] for entry in accepted.split(","))]
    known = (entry.strip().lower().replace("_", "-").partition("-")[0] for entry in asked)
    return next((language for language in known if language in LANGUAGES), "en")


def looks_ahead(request: web.Request) -> bool:
    """Whether the request says that no person has clicked: HEAD, or one that fetches ahead."""
    purposes = (request.headers.get(name, "").lower() for name in _AHEAD)
    return request.method == "HEAD" or any(
        "prefetch" in purpose or "preview" in purpose for purpose in purposes
    )
