"""When people may be texted."""

from datetime import UTC, datetime

import pytest

from shared.law import ContactHours, Place

LAW = ContactHours.load()
MONDAY, SUNDAY = 2, 8
NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def opens(moment: datetime, *zones: str, region: str | None = None, country: str = "US") -> datetime:
    stretch = LAW.permitted(moment, places=[Place(country, region)], zones=zones)
    assert stretch
    return stretch[0]


def test_inside_the_hours_the_moment_itself_is_permitted_until_they_close() -> None:
    stretch = LAW.permitted(at(MONDAY, 17), places=[Place("US", "NY")], zones=[NEW_YORK])
    assert stretch == (at(MONDAY, 17), at(MONDAY + 1, 1))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (at(MONDAY, 13, 59), at(MONDAY, 14)),
        (at(MONDAY, 14), at(MONDAY, 14)),
        (at(MONDAY + 1, 0, 59), at(MONDAY + 1, 0, 59)),
        (at(MONDAY + 1, 1), at(MONDAY + 1, 14)),
    ],
)
def test_a_window_opens_on_its_first_minute_and_closes_before_its_last(
    moment: datetime, expected: datetime
) -> None:
    assert opens(moment, NEW_YORK, region="NY") == expected


def test_a_state_rule_replaces_the_default() -> None:
    assert opens(at(MONDAY, 12), NEW_YORK, region="KY") == at(MONDAY, 15)
    assert opens(at(MONDAY, 12), NEW_YORK, region="US-MD") == at(MONDAY, 13)


def test_states_without_sundays_wait_for_monday() -> None:
    assert opens(at(SUNDAY, 18), "America/Chicago", region="LA") == at(SUNDAY + 1, 13)


def test_texas_sundays_begin_at_noon() -> None:
    assert opens(at(SUNDAY, 15), "America/Chicago", region="TX") == at(SUNDAY, 17)


def test_a_zone_outside_the_shipping_state_must_permit_it_too() -> None:
    assert opens(at(MONDAY, 14), NEW_YORK, region="CA") == at(MONDAY, 17)
    late = at(MONDAY + 1, 1)
    assert opens(late, NEW_YORK, region="CA") == at(MONDAY + 1, 17)


def test_without_a_zone_all_zones_of_the_state_count() -> None:
    assert opens(at(MONDAY, 12), region="TN") == at(MONDAY, 15)


def test_two_places_are_both_respected() -> None:
    stretch = LAW.permitted(at(MONDAY, 12), places=[("US", "NY"), ("US", "WA")], zones=[])
    assert stretch == (at(MONDAY, 17), at(MONDAY + 1, 1))


def test_nobody_knows_where_means_late_morning_in_the_east() -> None:
    assert opens(at(MONDAY, 12)) == at(MONDAY, 16)
    assert opens(at(MONDAY, 12), "Not/AZone") == at(MONDAY, 16)


def test_elsewhere_the_default_applies_in_the_persons_zone() -> None:
    assert opens(at(MONDAY, 7), "Europe/Berlin", region="NY", country="DE") == at(MONDAY, 8)


def test_places_that_share_no_hour_permit_nothing() -> None:
    zones = ["Asia/Tokyo", NEW_YORK, "Europe/Berlin"]
    assert LAW.permitted(at(MONDAY, 12), places=[], zones=zones) is None


def test_the_morning_moves_with_the_clocks() -> None:
    assert opens(at(SUNDAY, 2), NEW_YORK, region="NY") == at(SUNDAY, 13)


def test_no_rule_is_wider_than_the_federal_window() -> None:
    for state in LAW.states:
        for day in range(MONDAY, MONDAY + 7):
            for hour in (12, 1):
                stretch = LAW.permitted(at(day, hour), places=[("US", state)], zones=[])
                assert stretch
                for zone in LAW.zones_of(state):
                    opening, closing = (moment.astimezone(zone) for moment in stretch)
                    assert opening.hour >= 8
                    assert (closing.hour, closing.minute) <= (21, 0)


def test_every_state_is_there() -> None:
    assert len(LAW.states) == 51


@pytest.mark.parametrize(
    ("country", "zones"),
    [("FR", ["Europe/Paris"]), ("no", ["Europe/Oslo"]), ("PT", ["Europe/Lisbon"]), ("XX", []), ("US", [])],
)
def test_a_country_has_the_zones_that_the_time_zone_database_gives_it(country: str, zones: list[str]) -> None:
    known = [zone.key for zone in LAW.zones([(country, None)], [])]
    assert [name for name in known if name in zones or not zones] == zones
    assert len(LAW.countries) > 240


def test_elsewhere_without_a_zone_all_zones_of_the_country_count() -> None:
    """Brazil's four hours of zones, and no Sunday: from nine in Rio Branco to eight in Noronha."""
    stretch = LAW.permitted(at(SUNDAY, 12), places=[("BR", None)], zones=[])
    assert stretch == (at(SUNDAY + 1, 14), at(SUNDAY + 1, 22))


def test_a_country_too_wide_for_common_hours_is_texted_with_a_zone_only() -> None:
    assert LAW.permitted(at(MONDAY, 12), places=[("FR", None), ("NZ", None)], zones=[]) is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 4, 5, 10, tzinfo=UTC), datetime(2026, 4, 7, 7, tzinfo=UTC)),  # Easter, and its Monday
        (datetime(2026, 5, 14, 10, tzinfo=UTC), datetime(2026, 5, 15, 7, tzinfo=UTC)),  # Ascension
        (datetime(2026, 7, 14, 10, tzinfo=UTC), datetime(2026, 7, 15, 7, tzinfo=UTC)),
        (
            datetime(2027, 3, 29, 10, tzinfo=UTC),
            datetime(2027, 3, 30, 7, tzinfo=UTC),
        ),  # the next year's Easter
        (datetime(2026, 7, 15, 10, tzinfo=UTC), datetime(2026, 7, 15, 10, tzinfo=UTC)),
    ],
)
def test_france_is_left_alone_on_sundays_and_holidays(moment: datetime, expected: datetime) -> None:
    assert opens(moment, country="FR") == expected
    assert opens(moment, "Europe/Paris", country="FR") == expected


def test_a_zone_that_is_none_of_the_country_counts_beside_those_of_the_country() -> None:
    assert [zone.key for zone in LAW.zones([("FR", None)], ["Asia/Tokyo"])] == ["Asia/Tokyo", "Europe/Paris"]
    assert opens(at(MONDAY, 7), "Asia/Tokyo", country="FR") == at(MONDAY, 8)


def test_india_begins_at_ten() -> None:
    assert opens(at(MONDAY, 4), "Asia/Kolkata", country="IN") == at(MONDAY, 4, 30)


def test_no_country_is_wider_than_the_default() -> None:
    for country in LAW.countries:
        for moment in (at(MONDAY, 3), at(SUNDAY, 15)):
            stretch = LAW.permitted(moment, places=[(country, None)], zones=[])
            for zone in LAW.zones([(country, None)], []) if stretch else ():
                opening, closing = (each.astimezone(zone) for each in stretch or ())
                assert opening.hour >= 9
                assert (closing.hour, closing.minute) <= (20, 0)


@pytest.mark.parametrize(
    ("places", "limit"),
    [
        ([("US", "FL")], 3),
        ([(None, "US-OK")], 3),
        ([("US", "NY"), ("US", "MD")], 3),
        ([("US", "NY")], None),
        ([], None),
    ],
)
def test_some_states_limit_texts_a_day(
    places: list[tuple[str | None, str | None]], limit: int | None
) -> None:
    assert LAW.texts_a_day(places) == limit
