"""One segment, in letters that a phone network has."""

from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.domain import gsm7
from services.dispatcher.domain.segment import GSM7


@given(st.text())
def test_whatever_is_written_is_in_gsm7_on_one_line(text: str) -> None:
    written = gsm7.written(text)
    assert "\n" not in written
    assert gsm7.fits(written) or gsm7.units(written) > gsm7.SEGMENT_UNITS
    assert gsm7.written(written) == written


def test_extension_characters_count_twice_and_are_not_split() -> None:
    assert gsm7.units("5 €") == 4
    assert GSM7.shortened("€€€", 5) == "€€"


def test_a_curly_quote_does_not_cost_a_segment() -> None:
    assert (
        gsm7.written("Ana\u2019s \u201cglow\u201d \u2013 50\u00a0% off\u2026")
        == 'Ana\'s "glow" - 50 % off...'
    )


def test_accents_stay_where_the_alphabet_has_them_and_fall_where_not() -> None:
    assert gsm7.written("é ü ñ ł ő ç 中") == "é ü ñ l o c"


def test_words_are_kept_whole_where_that_leaves_enough() -> None:
    assert GSM7.shortened("Barrier Serum with Ceramides", 20) == "Barrier Serum with"
    assert GSM7.shortened("Donaudampfschifffahrtsgesellschaft", 10) == "Donaudampf"
