"""GSM-7: what fits into one SMS segment. Source: 3GPP TS 23.038, section 6.2.1."""

import re
import unicodedata

SEGMENT_UNITS = 160

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_LIKE = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u2032\u00b4`", "'"),  # single quotes and primes
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),  # double quotes
        **dict.fromkeys("\u2010\u2011\u2013\u2014\u2212\u2022\u00b7", "-"),  # dashes, minus and bullets
        "\u201a": ",",
        "\u2026": "...",
        "\u00d7": "x",
        **dict(zip("łŁđĐıœŒðþ", ("l", "L", "d", "D", "i", "oe", "OE", "d", "th"), strict=True)),
    }
)


def units(text: str) -> int:
    """Septets that `text` takes; it must be in GSM-7 already. Extension characters take two."""
    return sum(2 if character in _EXTENDED else 1 for character in text)


def carries(text: str) -> bool:
    """Whether every character of `text` is in GSM-7."""
    return all(character in _BASIC or character in _EXTENDED for character in text)


def fits(text: str) -> bool:
    """Whether `text` is in GSM-7 and one segment holds it."""
    return carries(text) and units(text) <= SEGMENT_UNITS


def written(text: str) -> str:
    """`text` in GSM-7 on one line: look-alikes replaced, accents dropped, what has no likeness left out.

    One curly quote would turn a whole message to UCS-2 and its limit from 160 to 70.
    """
    plain = "".join(_letter(character) for character in text.translate(_LIKE))
    return re.sub(r"\s+", " ", plain).strip()


def _letter(character: str) -> str:
    if character in _BASIC or character in _EXTENDED:
        return character
    if character.isspace():
        return " "
    return "".join(part for part in unicodedata.normalize("NFKD", character) if part in _BASIC)
