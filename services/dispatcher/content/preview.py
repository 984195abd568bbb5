"""Templates as pages to look at: HTML, text and an index with a phone's and a desk's width; pictures where a browser is."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from services.dispatcher.content.browser import camera
from services.dispatcher.content.checking import Mail, sample_locale
from services.dispatcher.content.library import Library
from services.dispatcher.content.samples import LINK, PICTURES, cases
from services.dispatcher.domain.rendering import render_email, render_push, render_sms

WIDTHS = (375, 800)
_PICTURE = re.compile(re.escape(PICTURES) + r"\d+\.png")
_STAND_IN = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 104 104'><rect width='104' height='104' fill='#cfc4bb'/>"
    "<circle cx='52' cy='44' r='20' fill='#f4efe9'/><rect x='22' y='70' width='60' height='14' rx='7' fill='#a99a8d'/></svg>"
)
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Templates</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 24px; }}
section {{ margin: 0 0 48px; }}
.frames {{ display: flex; gap: 24px; overflow-x: auto; align-items: flex-start; }}
iframe {{ border: 1px solid #8888; flex: none; height: 760px; background: #fff; }}
pre {{ white-space: pre-wrap; border: 1px solid #8888; padding: 12px; max-width: 640px; }}
</style></head><body><h1>{count} templates with sample data</h1>{sections}</body></html>
"""


@dataclass(frozen=True)
class Shown:
    """One template as files: `page` is None for texts. `title` is its name and locale, `line` subject or size."""

    title: str
    line: str
    text: Path
    page: Path | None


def write(library: Library, which: list[Mail], out: Path, case: str = "full") -> list[Shown]:
    """Write every template of `which` with a case of the sample data, and `index.html`. Raises Unrenderable."""
    shown = [_write_one(library, mail, out, case) for mail in which]
    sections = "".join(_section(one, out) for one in shown)
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(_PAGE.format(count=len(shown), sections=sections))
    return shown


async def photograph(shown: list[Shown], browser: str) -> int:
    """Put pictures beside every page, at each width, light and dark; returns how many."""
    count = 0
    async with camera(browser) as page:
        for one in shown:
            for width, dark in ((width, dark) for width in WIDTHS for dark in (False, True)):
                if one.page:
                    address = one.page.absolute().as_uri()
                    target = one.page.with_suffix(f".{width}.{'dark' if dark else 'light'}.png")
                    target.write_bytes(await page.picture(address, width, dark=dark))
                    count += 1
    return count


def _write_one(library: Library, mail: Mail, out: Path, case: str) -> Shown:
    shop, _, name = mail.name.partition("/")
    view, locale = dict(cases(shop))[case], sample_locale(library, mail)
    stem = f"{name}.{mail.locale}" if mail.locale else name
    text = out / shop / f"{stem}.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    title = f"{mail.name} {mail.locale}".strip()
    if mail.channel == "push":
        text = text.with_name(f"{stem}.push.txt")
        pushed = render_push(library, mail.name, view, locale)
        text.write_text(f"{pushed.title}\n{pushed.body}\n")
        return Shown(title, "a notification", text, None)
    if mail.channel == "sms":
        sms = render_sms(library, mail.name, view, locale, LINK)
        text.write_text(f"{sms.body}\n")
        return Shown(title, f"{sms.units} of {sms.alphabet.limit} units, {sms.alphabet.name}", text, None)
    mailed = render_email(library, mail.name, view, locale)
    text.write_text(f"Subject: {mailed.subject}\n\n{mailed.text}")
    page = out / shop / f"{stem}.html"
    page.write_text(_PICTURE.sub(f"data:image/svg+xml,{quote(_STAND_IN)}", mailed.html))
    return Shown(title, f"{mailed.subject} · {len(mailed.html.encode()) / 1000:.1f} kB", text, page)


def _section(shown: Shown, out: Path) -> str:
    return f"<section><h2>{html.escape(shown.title)}</h2><p>{html.escape(shown.line)}</p>{''.join(_frames(shown, out))}</section>"


def _frames(shown: Shown, out: Path) -> Iterator[str]:
    if shown.page is None:
        yield f"<pre>{html.escape(shown.text.read_text())}</pre>"
        return
    address = quote(str(shown.page.relative_to(out)))
    yield '<div class="frames">'
    for width in WIDTHS:
        title = html.escape(f"{shown.title}, {width} px", quote=True)
        yield f'<iframe title="{title}" width="{width}" src="{address}" loading="lazy"></iframe>'
    yield f'</div><p><a href="{address}">HTML</a> · <a href="{quote(str(shown.text.relative_to(out)))}">text</a></p>'
