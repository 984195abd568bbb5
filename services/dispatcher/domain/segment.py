"""One SMS segment: 160 septets of GSM-7, or 70 UTF-16 units of UCS-2 where a language's letters need it.

Sources: 3GPP TS 23.038 section 6.2 and TS 23.040 section 9.2.3.24; clusters after Unicode UAX 29, section 3.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.dispatcher.domain import gsm7

UCS2_UNITS = 70

_JOINER = "\u200d"
_MARKS = frozenset({"Mn", "Mc", "Me"})
_NOT_SENT = frozenset({"Cc", "Cs", "Co", "Cn"})  # controls, lone surrogates, what is no character


@dataclass(frozen=True)
class Alphabet:
    """How a segment is written and measured. `least` is the room that a sentence keeps beside a long link."""

    name: str
    limit: int
    least: int
    units: Callable[[str], int]
    written: Callable[[str], str]

    def shortened(self, text: str, limit: int) -> str:
        """`text` in at most `limit` units, cut between words if that leaves half, else between clusters."""
        if self.units(text) <= limit:
            return text
        kept, used = "", 0
        for cluster in clusters(text):
            used += self.units(cluster)
            if used > limit:
                break
            kept += cluster
        words = kept.rpartition(" ")[0].rstrip(" ,;:-")
        return words if 2 * len(words) >= limit else kept.rstrip()


def clusters(text: str) -> Iterator[str]:
    """What a reader sees as one character each: a letter with its marks, an emoji with its joints, a flag."""
    cluster = ""
    for character in text:
        if cluster and not _continues(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _continues(cluster: str, character: str) -> bool:
    if unicodedata.category(character) in _MARKS or character in (_JOINER, "\u200c"):
        return True
    if cluster[-1] == _JOINER or "\U0001f3fb" <= character <= "\U0001f3ff":  # joined, or a skin's tone
        return True
    if "\u1160" <= character <= "\u11ff" or "\U000e0020" <= character <= "\U000e007f":  # jamo, tags
        return True
    return _is_flag_half(character) and len(cluster) == 1 and _is_flag_half(cluster)


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _one_line(text: str) -> str:
    """`text` on one line in composed letters, without what no phone shows."""
    shown = "".join(
        character
        for character in unicodedata.normalize("NFC", text)
        if character.isspace() or unicodedata.category(character) not in _NOT_SENT
    )
    return re.sub(r"\s+", " ", shown).strip()


GSM7 = Alphabet("GSM-7", gsm7.SEGMENT_UNITS, 40, gsm7.units, gsm7.written)
UCS2 = Alphabet("UCS-2", UCS2_UNITS, 10, _utf16_units, _one_line)


def alphabet_of(phrase: str) -> Alphabet:
    """UCS-2 if `phrase` of a language has a letter that GSM-7 has no likeness of, else GSM-7."""
    lost = any(character.isalpha() and not gsm7.written(character) for character in phrase)
    return UCS2 if lost else GSM7
