"""What every mail says in a language, and how each shop looks: `_words.yaml` and `<shop>/_shop.yaml`, checked."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import TemplatesError

WORDS = "_words.yaml"
SHOP = "_shop.yaml"
DEFAULT_LANGUAGE = "en"

T = TypeVar("T", bound=BaseModel)
Hex = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Data):
    """Phrases of one language. Those of mails may hold Jinja for a message's own data; `{value}` is an amount."""

    greeting: str
    your: str
    bought: str
    details: str
    look: str
    code: str
    until: str
    because: str
    unsubscribe: str
    unsubscribe_text: str
    percent_off: str
    money_off: str
    free_shipping: str
    early_access: str
    sms_opt_out: str
    why: dict[str, str] = {}
    """Why a product was chosen, by relation, with `{bought}`; without it the scheduler's English stays."""


class Colours(_Data):
    """A palette of `#rrggbb`. `on_…` is text on that ground; `accent_text` is the accent where it is text on a card."""

    page: Hex
    header: Hex
    on_header: Hex
    accent: Hex
    on_accent: Hex
    accent_text: Hex
    tint: Hex
    card: Hex
    line: Hex
    ink: Hex
    muted: Hex


class Fonts(_Data):
    """Families and the header's manner."""

    title: str
    body: str
    title_weight: str = "bold"
    header_align: str = "left"
    name_spacing: str = "0"
    name_case: str = "none"
    name_weight: str = "bold"
    radius: str = "10px"


class Shop(_Data):
    """How a shop's mails look by day and by night, and the language of its templates without a locale in their name."""

    language: str = DEFAULT_LANGUAGE
    light: Colours
    dark: Colours
    style: Fonts


def read_words(text: str, name: str = WORDS) -> dict[str, Words]:
    """Phrases by language. Raises TemplatesError, which names file and key."""
    return {
        language: _read(Words, phrases, f"{name}: {language}")
        for language, phrases in _yaml(text, name).items()
    }


def read_shop(text: str, name: str) -> Shop:
    """A shop's look. Raises TemplatesError, which names file and key."""
    return _read(Shop, _yaml(text, name), name)


def _yaml(text: str, name: str) -> Mapping[str, Any]:
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        message = f"{name}: {error}"
        raise TemplatesError(message) from error
    if not isinstance(read, dict):
        message = f"{name}: a mapping is wanted"
        raise TemplatesError(message)
    return read


def _read(model: type[T], data: object, name: str) -> T:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        message = f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise TemplatesError(message) from error
