"""When two products are the same thing in another size: their names without sizes, measures and colours."""

import re

_MEASURE = re.compile(
    r"\b\d+(?:[.,]\d+)?\s*(?:kg|g|mg|lbs?|oz|ml|cl|l|cm|mm|m|in|inch|ft|w|pcs?|pack|count|ct|pair|gb|tb)\b"
)
_VARIANT = re.compile(
    r"\b(?:xxs|xs|s|m|l|xl|xxl|small|medium|large|mini|big|black|white|gr[ea]y|red|blue|green|yellow|orange|pink"
    r"|purple|brown|beige|navy|gold|silver)\b"
)
_WORD = re.compile(r"[^\W_]+")


def stem(name: str) -> str:
    """Return what is left of a name; the name itself, in lower case, if nothing is."""
    lower = name.lower()
    return " ".join(_WORD.findall(_VARIANT.sub(" ", _MEASURE.sub(" ", lower)))) or lower
