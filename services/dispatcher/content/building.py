"""What is built once for each template: MJML to HTML with its CSS inlined, Jinja for the message's data left intact.

A template is text for two passes of Jinja. The first, here, has its own marks (`[% %]`, `[[ ]]`) and knows only what
holds for every message: the base that a template extends, the shop's colours, the language's phrases. The second, per
message, has Jinja's usual marks. Between them MJML is compiled and CSS inlined, which takes a hundred times as long
as the second pass. Neither compiler ever sees the second pass's Jinja: each expression travels as a word of its own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from css_inline import CSSInliner
from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound, TemplateSyntaxError
from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mjml import mjml2html

MJML = ".mjml.j2"
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_WORD = re.compile(r"jinja(\d{4})x")
_PLACES = (
    re.compile(  # what may hold a word: a comment (Outlook's own markup), a style or title, a tag, or text
        r"(?P<fixed><!--.*?-->|<(?P<name>style|title)\b.*?</(?P=name)>|<[^>]*>)|(?P<text>[^<]+)", re.DOTALL
    )
)
_OPEN_TABLE = re.compile(  # outside comments, and followed by a row
    r"<!--(?!jinja\d{4}x-->).*?-->|(?P<table><table\b[^>]*>)(?=(?:\s|<!--jinja\d{4}x-->)*<tr\b)", re.DOTALL
)
_MARK = re.compile("\ue000([^\ue001]*)\ue001")
_ELEMENT = re.compile(r"</?(mj-[\w-]+)")
_NAMES = (
    "head body title preview attributes all class style breakpoint font html-attributes html-attribute selector raw "
    "section column group wrapper hero text button image table divider spacer social social-element navbar "
    "navbar-link accordion accordion-element accordion-title accordion-text carousel carousel-image"
)
KNOWN = frozenset(f"mj-{name}" for name in _NAMES.split())


class Unbuildable(Exception):  # noqa: N818  it names the state found
    """A template cannot be built. `line` is in `file`, or 0 where nobody can say."""

    def __init__(self, file: str, line: int, problem: str) -> None:
        super().__init__(f"{file}:{line}: {problem}" if line else f"{file}: {problem}")
        self.file, self.line, self.problem = file, line, problem


@dataclass(frozen=True)
class Place:
    """Where a line of a flattened template was written."""

    file: str
    line: int


def first_pass(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    """The environment of the first pass: its own marks, the same sandbox."""
    return ImmutableSandboxedEnvironment(
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        loader=loader,
        undefined=StrictUndefined,
        autoescape=False,  # what holds for every message was written by the templates' authors
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        cache_size=-1,
    )


def flattened(passes: Environment, name: str, holds: Mapping[str, Any]) -> str:
    """A template after the first pass. Raises Unbuildable, and TemplateNotFound if there is none of that name."""
    try:
        return passes.get_template(name).render(holds)
    except TemplateNotFound as error:
        if error.name == name:
            raise
        raise Unbuildable(name, 0, f"{error.name} is not in the folder of templates") from None
    except TemplateSyntaxError as error:
        raise Unbuildable(error.name or name, error.lineno, error.message or "syntax error") from None
    except JinjaError as error:
        raise Unbuildable(name, 0, error.message or type(error).__name__) from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise Unbuildable(name, 0, type(error).__name__) from None


class Marking(BaseLoader):
    """Another loader's templates with each line marked with its file and number, to find a fault's place."""

    def __init__(self, loader: BaseLoader) -> None:
        self._loader = loader

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """The marked source. Lines that end within the first pass's marks stay as they are."""
        source, name, fresh = self._loader.get_source(environment, template)
        lines, opened = [], 0
        for number, line in enumerate(source.split("\n"), 1):
            opened += len(re.findall(r"\[[%\[#]", line)) - len(re.findall(r"[%\]#]\]", line))
            lines.append(line if opened > 0 else f"{line}\ue000{template}:{number}\ue001")
        return "\n".join(lines), name, fresh


def unmarked(text: str) -> tuple[str, list[Place]]:
    """A flattened text without its marks, and where each of its lines was written."""
    places, last = [], Place("", 0)
    for line in text.split("\n"):
        if found := _MARK.search(line):
            file, _, number = found[1].rpartition(":")
            last = Place(file, int(number))
        places.append(last)
    return _MARK.sub("", text), places


def compiled(mjml: str) -> str:
    """HTML with inlined CSS from flattened MJML. Raises ValueError where it is no MJML."""
    if not KNOWN.issuperset(_ELEMENT.findall(mjml)):
        message = "an element that is unknown"  # MRML would leave it in the page, or read another file
        raise ValueError(message)
    kept: list[str] = []

    def word(found: re.Match[str]) -> str:
        if found[0].startswith("{#"):
            return ""
        kept.append(found[0])
        return f"jinja{len(kept) - 1:04d}x"

    html = mjml2html(_JINJA.sub(word, mjml))
    safe = _PLACES.sub(lambda place: place["fixed"] or _shielded(place["text"], kept), html)
    # A row opens a body by itself, after a statement that stands before it: the body is opened before both.
    whole = _OPEN_TABLE.sub(lambda found: f"{found[0]}<tbody>" if found["table"] else found[0], safe)
    inlined = _INLINER.inline(whole)
    bare = re.sub(r"<!--(jinja\d{4}x)-->", r"\1", inlined)
    return _WORD.sub(lambda found: kept[int(found[1])], bare)


def _shielded(text: str, kept: list[str]) -> str:
    """Text in which statements are comments: between the rows of a table, text would be moved out of it."""
    return _WORD.sub(
        lambda found: f"<!--{found[0]}-->" if kept[int(found[1])].startswith("{%") else found[0], text
    )


def fault(mjml: str) -> tuple[int, str] | None:
    """The line of flattened MJML that has an unknown element, or that no reader of XML can take, and why."""
    for number, line in enumerate(mjml.split("\n"), 1):
        if unknown := [name for name in _ELEMENT.findall(line) if name not in KNOWN]:
            return number, f"<{unknown[0]}> is not an element that templates may use"
    plain = _JINJA.sub(lambda found: "\n" * found[0].count("\n"), mjml)
    declared = "".join(f'<!ENTITY {name} " ">' for name in ("nbsp", "zwnj", "shy", "copy", "middot"))
    try:
        ET.fromstring(f"<!DOCTYPE mjml [{declared}]>{plain}")  # noqa: S314  text from our own folder
    except ET.ParseError as error:
        return error.position[0], str(error)
    return None


_INLINER = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
