"""Money, dates and lists as readers write them."""

import pytest

from services.dispatcher.domain import locales


def test_a_template_is_looked_for_from_the_nearest_name_on() -> None:
    assert locales.chain("de-AT") == ("de-at", "de")
    assert locales.chain("zh_Hant_TW") == ("zh-hant-tw", "zh-hant", "zh")
    assert locales.chain("../x") == ()


@pytest.mark.parametrize(
    ("language", "locale", "name"),
    [
        ("en", "de-AT", "en_AT"),
        ("de", "de-AT", "de_AT"),
        ("de", "", "de"),
        ("en", "nonsense!", "en"),
        ("qq", "qq", "en_US"),
    ],
)
def test_a_language_is_written_as_where_its_reader_is(language: str, locale: str, name: str) -> None:
    assert locales.reading(language, locale) == name


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        ("24.00", "USD", "en_US", "$24.00"),
        ("1200", "JPY", "en_US", "¥1,200"),
        ("24.00", "EUR", "de_DE", "24,00 €"),
        ("24.00", None, "en_US", "24"),
        (None, "USD", "en_US", ""),
        ("many", "USD", "en_US", "many USD"),
    ],
)
def test_money(amount: str | None, currency: str | None, locale: str, text: str) -> None:
    assert locales.money(amount, currency, locale).replace("\xa0", " ") == text


def test_where_a_day_begins_a_deadline_is_the_evening_before() -> None:
    midnight = "2026-03-06T00:00:00-05:00"
    assert (
        locales.deadline(midnight, "America/New_York", "en_US").replace("\u202f", " ")
        == "Thursday, March 5, 11:59 PM"
    )
    assert locales.deadline(midnight, "Europe/Berlin", "de_DE") == "Freitag, 6. März, 06:00"


def test_an_unknown_zone_is_utc() -> None:
    assert locales.date("2026-03-06T12:00:00+00:00", "Mars/Olympus", "en_US") == "March 6, 2026"


def test_lists_are_joined_as_the_language_joins_them() -> None:
    assert locales.listed(["a", "b", "c"], "en_US") == "a, b, and c"
    assert locales.listed(["a", "b"], "de_DE") == "a und b"
