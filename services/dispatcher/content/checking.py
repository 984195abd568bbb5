"""Every template rendered with sample data and its hard cases, and what is wrong with it, by file and line."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jinja2 import TemplateNotFound, meta, nodes

from services.dispatcher.content.building import Unbuildable
from services.dispatcher.content.contrast import too_faint
from services.dispatcher.content.inspecting import Fault, Rule, email_faults, push_faults, sms_faults
from services.dispatcher.content.library import KINDS, Library
from services.dispatcher.content.samples import LINK, cases, full
from services.dispatcher.domain.rendering import (
    EMAIL,
    TEXT,
    Unrenderable,
    render_email,
    render_push,
    render_sms,
)
from services.dispatcher.domain.words import SHOP

SEEN = frozenset(full("any")) | {"locale", "time_zone"}
_GLOBALS = frozenset({"range", "dict", "namespace"})


@dataclass(frozen=True)
class Finding:
    """What is wrong with a template. `line` is in `file`, 0 where nobody can say; `case` is the sample it shows in."""

    template: str
    locale: str
    rule: Rule
    detail: str
    file: str
    line: int = 0
    case: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.rule}: {self.detail}" + (f" ({self.case})" if self.case else "")

    def plain(self) -> dict[str, Any]:
        """The finding for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Mail:
    """One template of one locale (empty for the shop's own language) and channel, with the kinds of files it has."""

    name: str
    locale: str
    channel: str
    kinds: frozenset[str]

    def file(self, kind: str) -> str:
        """Its file of a kind."""
        return f"{self.name}{f'.{self.locale}' if self.locale else ''}.{kind}.j2"


def mails(library: Library, shop: str | None = None, template: str | None = None) -> list[Mail]:
    """All templates of the library, or those of a shop or of one name, `<shop>/<name>` or `<name>`."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for name, locale, kind in library.files():
        wanted = shop in (None, name.partition("/")[0]) and template in (None, name, name.partition("/")[2])
        if wanted:
            found.setdefault((name, locale, KINDS[kind]), set()).add(kind)
    return [Mail(*which, frozenset(kinds)) for which, kinds in found.items()]


def check(library: Library, which: list[Mail]) -> list[Finding]:
    """What is wrong with templates, each fault once, with the first sample that shows it."""
    found: dict[tuple[str, str, str], Finding] = {}
    for shop in dict.fromkeys(mail.name.partition("/")[0] for mail in which if mail.channel == "email"):
        for detail in too_faint(library.shop(shop)):
            found[shop, "", detail] = Finding(shop, "", Rule.TOO_FAINT, detail, f"{shop}/{SHOP}")
    for mail in which:
        for finding in _findings(library, mail):
            what = re.sub(r"\d+", "#", finding.detail)  # a size differs from sample to sample
            found.setdefault((mail.file(mail.channel), finding.rule, what), finding)
    return list(found.values())


def sample_locale(library: Library, mail: Mail) -> str:
    """A locale whose readers get this very template."""
    return mail.locale or library.shop(mail.name.partition("/")[0]).language


def _findings(library: Library, mail: Mail) -> Iterator[Finding]:
    kinds = (TEXT, EMAIL) if mail.channel == "email" else (mail.channel,)
    sound = True
    for kind in kinds:
        for finding in _build_findings(library, mail, kind):
            sound = sound and finding.rule is Rule.UNKNOWN_VARIABLE
            yield finding
    if sound:
        for case, view in cases(mail.name.partition("/")[0]):
            for rule, detail in _faults(library, mail, case, view):
                yield Finding(mail.name, mail.locale, rule, detail, mail.file(kinds[-1]), case=case)


def _build_findings(library: Library, mail: Mail, kind: str) -> Iterator[Finding]:
    file = mail.file(kind)
    if kind not in mail.kinds:
        yield Finding(mail.name, mail.locale, Rule.MISSING_PART, "an e-mail has both parts", file)
        return
    try:
        library.words(library.language(file))
    except Unbuildable as error:
        yield Finding(mail.name, mail.locale, Rule.NO_PHRASES, error.problem, error.file)
        return
    try:
        library.built(file)
    except Unbuildable as error:
        yield Finding(mail.name, mail.locale, Rule.CANNOT_BUILD, error.problem, error.file, error.line)
        return
    yield from _unknown(library, mail, file)


def _unknown(library: Library, mail: Mail, file: str) -> Iterator[Finding]:
    text, places = library.located(file)
    tree = library.parsed(text)
    unknown = meta.find_undeclared_variables(tree) - SEEN - _GLOBALS
    for name in sorted(unknown):
        lines = [node.lineno for node in tree.find_all(nodes.Name) if node.name == name]
        place = places[min(lines) - 1] if lines else places[0]
        detail = f"{name!r} is nothing that a message has; docs/journeys/README.md lists what has"
        yield Finding(mail.name, mail.locale, Rule.UNKNOWN_VARIABLE, detail, place.file or file, place.line)


def _faults(library: Library, mail: Mail, case: str, view: Mapping[str, Any]) -> Iterator[Fault]:
    locale = sample_locale(library, mail)
    try:
        if mail.channel == "sms":
            yield from sms_faults(render_sms(library, mail.name, view, locale, LINK))
        elif mail.channel == "push":
            pushed = render_push(library, mail.name, view, locale)
            yield from push_faults(f"{pushed.title}\n{pushed.body}")
        else:
            rendered = render_email(library, mail.name, view, locale)
            yield from email_faults(rendered, view, markup=case == "HTML in names")
    except (Unrenderable, TemplateNotFound) as error:
        yield Rule.CANNOT_RENDER, re.sub(r"\s+", " ", str(error))
