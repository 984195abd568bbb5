"""The templates of a folder, each built when first asked for and kept."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    TemplateNotFound,
    TemplateSyntaxError,
)

from services.dispatcher.content import building
from services.dispatcher.content.building import Place, Unbuildable
from services.dispatcher.domain import locales
from services.dispatcher.domain.rendering import Found, Unrenderable, environment
from services.dispatcher.domain.words import SHOP, WORDS, Shop, Words, read_shop, read_words

TEMPLATES = Path(__file__).parent.with_name("templates")
KINDS = {"mjml": "email", "txt": "email", "sms": "sms", "push": "push"}
"""Of each kind of file the channel that it is for."""


class Library(BaseLoader):
    """Built templates: `<shop>/<name>[.<locale>].<kind>.j2`, where kind is one of KINDS.

    Files whose names begin with `_` are for templates to build on and are never sent; what a folder lacks of them
    is taken from those that ship with Orderwake. A changed file needs a new library.
    """

    def __init__(self, loader: BaseLoader) -> None:
        shared = FileSystemLoader(TEMPLATES)
        self._sources = ChoiceLoader([loader, _Underscored(shared)])
        self._first_pass = building.first_pass(self._sources)
        self._messages = environment(self)
        self._words: dict[str, Words] = read_words(self._source(WORDS))
        self._shops: dict[str, Shop] = {}
        self._found: dict[tuple[str, str, str], Found] = {}

    @classmethod
    def of(cls, folder: Path = TEMPLATES) -> "Library":
        """The library of a folder."""
        return cls(FileSystemLoader(folder))

    def find(self, name: str, kind: str, locale: str) -> Found:
        """The template for a reader of `locale`: `de-AT` takes `de-at`, else `de`, else the one without a locale."""
        key = (name, kind, locale)
        if key not in self._found:
            if len(self._found) > 10_000:  # noqa: PLR2004  locales are the customers' own words
                self._found.clear()
            self._found[key] = self._find(*key)
        return self._found[key]

    def files(self) -> Iterator[tuple[str, str, str]]:
        """Name, locale (empty for the one without) and kind of every template that can be sent."""
        for file in sorted(self._sources.list_templates()):
            shop, _, rest = file.partition("/")
            parts = rest.split(".")
            if shop.startswith("_") or rest.startswith("_") or parts[-1] != "j2":
                continue
            if len(parts) in (3, 4) and parts[-2] in KINDS:
                yield f"{shop}/{parts[0]}", parts[1] if len(parts) == 4 else "", parts[-2]  # noqa: PLR2004

    def build(self) -> Iterator[str]:
        """Build everything that can be sent, ahead of the first message; yields what is wrong with what cannot be built."""
        for name, locale, kind in self.files():
            try:
                self.find(name, kind, locale)
            except Unrenderable as error:
                yield str(error)

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """What Jinja asks for: the built template."""
        del environment
        if any(part.startswith(("_", ".")) for part in template.split("/")):
            raise TemplateNotFound(template)
        return self.built(template), template, None

    def built(self, file: str) -> str:
        """A template after the first pass and both compilers. Raises Unbuildable, which says where the fault is."""
        self._source(file)  # before the language's phrases: most locales have no file of their own
        flat = building.flattened(self._first_pass, file, self._holds(file))
        try:
            self._messages.compile(flat, raw=True)
            return building.compiled(flat) if file.endswith(building.MJML) else flat
        except (TemplateSyntaxError, ValueError) as error:
            raise self._located(file, error) from None

    def located(self, file: str) -> tuple[str, list[Place]]:
        """A flattened template and where each of its lines was written."""
        marking = building.first_pass(building.Marking(self._sources))
        return building.unmarked(building.flattened(marking, file, self._holds(file)))

    def parsed(self, source: str) -> Any:  # noqa: ANN401  Jinja's own tree
        """The syntax tree of a flattened template."""
        return self._messages.parse(source)

    def language(self, file: str) -> str:
        """The language of a template's file: its locale's, else the shop's."""
        locale = _locale(file)
        return locale.partition("-")[0] if locale else self.shop(file.partition("/")[0]).language

    def words(self, language: str) -> Words:
        """The phrases of a language. Raises Unbuildable where there are none."""
        if language not in self._words:
            raise Unbuildable(WORDS, 0, f"no phrases for the language {language!r}; add them")
        return self._words[language]

    def shop(self, name: str) -> Shop:
        """A shop's look, or everyone's where it has none of its own."""
        if name not in self._shops:
            try:
                file, text = f"{name}/{SHOP}", self._source(f"{name}/{SHOP}")
            except TemplateNotFound:
                file, text = SHOP, self._source(SHOP)
            self._shops[name] = read_shop(text, file)
        return self._shops[name]

    def _find(self, name: str, kind: str, locale: str) -> Found:
        for end in (*(f".{tail}" for tail in locales.chain(locale)), ""):
            file = f"{name}{end}.{kind}.j2"
            try:
                template = self._messages.get_template(file)
                language = self.language(file)
                return Found(template, file, language, self.words(language))
            except TemplateNotFound:
                continue
            except Unbuildable as error:
                raise Unrenderable(str(error)) from None
        message = f"{name}.{kind}.j2: not in the folder of templates"
        raise Unrenderable(message)

    def _holds(self, file: str) -> dict[str, Any]:
        shop, language = self.shop(file.partition("/")[0]), self.language(file)
        return {
            "language": _locale(file) or language,
            "words": self.words(language).model_dump(),
            "light": shop.light.model_dump(),
            "dark": shop.dark.model_dump(),
            "style": shop.style.model_dump(),
        }

    def _located(self, file: str, error: Exception) -> Unbuildable:
        text, places = self.located(file)
        line, problem = building.fault(text) or (0, f"MJML: {error}")
        if isinstance(error, TemplateSyntaxError):
            line, problem = self._syntax_line(text), error.message or "syntax error"
        place = places[min(line, len(places)) - 1] if line else Place(file, 0)
        return Unbuildable(place.file or file, place.line, problem)

    def _syntax_line(self, text: str) -> int:
        try:
            self._messages.compile(text, raw=True)
        except TemplateSyntaxError as error:
            return error.lineno
        return 0

    def _source(self, file: str) -> str:
        return self._sources.get_source(self._first_pass, file)[0]


class _Underscored(BaseLoader):
    """Of another loader only what templates build on."""

    def __init__(self, loader: BaseLoader) -> None:
        self._loader = loader

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        if not template.startswith("_"):
            raise TemplateNotFound(template)
        return self._loader.get_source(environment, template)

    def list_templates(self) -> list[str]:
        """None: they are not for sending."""
        return []


def _locale(file: str) -> str:
    parts = file.rpartition("/")[2].split(".")
    return parts[1] if len(parts) == 4 else ""  # noqa: PLR2004  name, locale, kind, j2


__all__ = ["KINDS", "TEMPLATES", "Library"]
