"""Whether a shop's colours can be read. Source: WCAG 2.2, success criterion 1.4.3 and its definition of contrast."""

from collections.abc import Iterator

from services.dispatcher.domain.words import Colours, Shop

LEAST = 4.5  # of text to its ground; the larger sizes would need 3 only
_PAIRS = (
    ("ink", "card"),
    ("ink", "tint"),
    ("muted", "card"),
    ("muted", "tint"),
    ("accent_text", "card"),
    ("accent_text", "tint"),
    ("on_accent", "accent"),
    ("on_header", "header"),
)


def too_faint(shop: Shop) -> Iterator[str]:
    """Each pair of text and ground that is too faint, by day or by night."""
    for scheme, colours in (("light", shop.light), ("dark", shop.dark)):
        for text, ground in _PAIRS:
            if (ratio := _contrast(colours, text, ground)) < LEAST:
                yield f"{scheme}: {text} on {ground} has a contrast of {ratio:.1f}; readers need {LEAST}"


def _contrast(colours: Colours, text: str, ground: str) -> float:
    one, other = sorted(
        (_luminance(getattr(colours, text)), _luminance(getattr(colours, ground))), reverse=True
    )
    return (one + 0.05) / (other + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4  # noqa: PLR2004  sRGB's own figures
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
