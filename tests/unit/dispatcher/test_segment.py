"""One segment in either alphabet, never cut within what a reader sees as one character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.domain.segment import GSM7, UCS2, Alphabet, alphabet_of, clusters


@given(st.text())
@pytest.mark.parametrize("alphabet", [GSM7, UCS2], ids=["GSM-7", "UCS-2"])
def test_what_is_written_is_on_one_line_and_stays_as_it_is(alphabet: Alphabet, text: str) -> None:
    written = alphabet.written(text)
    assert "\n" not in written
    assert alphabet.written(written) == written


@given(st.text(), st.integers(0, 80))
@pytest.mark.parametrize("alphabet", [GSM7, UCS2], ids=["GSM-7", "UCS-2"])
def test_what_is_shortened_fits_and_ends_with_a_whole_character(
    alphabet: Alphabet, text: str, limit: int
) -> None:
    written = alphabet.written(text)
    short = alphabet.shortened(written, limit)
    assert alphabet.units(short) <= limit
    whole = list(clusters(written))
    assert any(
        "".join(whole[:count]).startswith(short) and len("".join(whole[:count]).rstrip(" ,;:-")) <= len(short)
        for count in range(len(whole) + 1)
    )


@given(st.text())
def test_clusters_are_the_text_in_pieces(text: str) -> None:
    assert "".join(clusters(text)) == text


@pytest.mark.parametrize(
    "seen", ["👩🏽‍🚀", "🇩🇪", "e\u0301", "नि", "🏴\U000e0067\U000e0062\U000e007f", "❤️", "\u1100\u1161\u11a8"]
)
def test_what_a_reader_sees_as_one_is_not_cut(seen: str) -> None:
    assert list(clusters(f"a{seen}b")) == ["a", seen, "b"]
    assert UCS2.shortened(f"{seen}{seen}", UCS2.units(seen) + 1) == seen


def test_two_flags_are_two_characters() -> None:
    assert list(clusters("🇩🇪🇫🇷")) == ["🇩🇪", "🇫🇷"]


def test_astral_characters_take_two_units() -> None:
    assert UCS2.units("Я🙂") == 3


@pytest.mark.parametrize(
    ("phrase", "alphabet"),
    [
        ("Reply STOP", GSM7),
        ("Wyślij STOP, aby się wypisać", GSM7),
        ("Отказ: STOP", UCS2),
        ("退订回STOP", UCS2),
    ],
)
def test_a_languages_letters_choose_the_alphabet(phrase: str, alphabet: Alphabet) -> None:
    assert alphabet_of(phrase) is alphabet
