"""From publications to what is in force: who stays with which version, who goes over, who is stopped."""

from datetime import datetime, timedelta

import pytest

from services.scheduler.domain import Edition, Journey, Programme, Published
from services.scheduler.domain.publishing import Publication, Waiting, current, published, version_of
from tests.support.deciding import MONDAY_NOON, SHOP, journey, step

T1, T2, T3 = (MONDAY_NOON + timedelta(days=days) for days in (1, 2, 3))
ONE, TWO, THREE = (journey(step(delay=delay)) for delay in ("45m", "1h", "2h"))


def publication(item: Journey | None, at: datetime, waiting: Waiting = "migrate") -> Publication:
    return Publication("journey", SHOP, "routine", item, waiting, at)


def editions(*publications: Publication) -> tuple[Edition, ...]:
    return published(publications).editions


def test_the_first_version_is_for_everyone_unless_it_is_to_begin_now() -> None:
    assert editions(publication(ONE, T1)) == (Edition(ONE),)
    assert editions(publication(ONE, T1, "pin")) == (Edition(ONE, T1),)


def test_pin_keeps_who_waits_with_their_version() -> None:
    assert editions(publication(ONE, T1), publication(TWO, T2, "pin")) == (
        Edition(ONE, None, T2),
        Edition(TWO, T2),
    )


def test_migrate_takes_who_waits_along() -> None:
    assert editions(publication(ONE, T1), publication(TWO, T2)) == (Edition(TWO),)


def test_drain_stops_who_waits() -> None:
    assert editions(publication(ONE, T1), publication(TWO, T2, "drain")) == (
        Edition(ONE, None, T2, drained=True),
        Edition(TWO, T2),
    )


def test_who_was_pinned_stays_so_when_those_after_them_go_over() -> None:
    steps = (publication(ONE, T1), publication(TWO, T2, "pin"), publication(THREE, T3))
    assert editions(*steps) == (Edition(ONE, None, T2), Edition(THREE, T2))


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ("migrate", (Edition(ONE),)),
        ("pin", (Edition(TWO, None, T3), Edition(ONE, T3))),
        ("drain", (Edition(TWO, None, T3, drained=True), Edition(ONE, T3))),
    ],
)
def test_a_roll_back_is_a_publication(waiting: Waiting, expected: tuple[Edition, ...]) -> None:
    steps = (publication(ONE, T1), publication(TWO, T2), publication(ONE, T3, waiting))
    assert editions(*steps) == expected


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ("migrate", ()),
        ("pin", (Edition(ONE, None, T2), Edition(TWO, T2, T3))),
        ("drain", (Edition(ONE, None, T2, drained=True), Edition(TWO, T2, T3, drained=True))),
    ],
)
def test_a_withdrawal_ends_it_for_those_it_names(waiting: Waiting, expected: tuple[Edition, ...]) -> None:
    steps = (publication(ONE, T1), publication(TWO, T2, "pin"), publication(None, T3, waiting))
    assert editions(*steps) == expected


def test_who_ordered_while_it_was_withdrawn_is_with_the_version_after_it_if_they_migrate() -> None:
    steps = (publication(ONE, T1), publication(None, T2, "pin"), publication(TWO, T3))
    assert editions(*steps) == (Edition(ONE, None, T2), Edition(TWO, T2))


def test_nobody_is_ever_with_two_versions_or_between_two() -> None:
    kinds: tuple[Waiting, ...] = ("pin", "migrate", "drain")
    for first in kinds:
        for second in kinds:
            for third in kinds:
                steps = [
                    publication(ONE, T1, first),
                    publication(TWO, T2, second),
                    publication(THREE, T3, third),
                ]
                found = editions(*steps)
                for moment in (T1, T2 - timedelta(seconds=1), T2, T3 - timedelta(seconds=1), T3):
                    assert sum(each.takes(moment) for each in found) == 1


def test_two_publications_at_one_moment_leave_no_version_for_nobody() -> None:
    assert editions(publication(ONE, T1, "pin"), publication(TWO, T1, "pin")) == (Edition(TWO, T1),)


def test_business_time_of_a_later_publication_is_not_before_an_earlier_ones() -> None:
    assert editions(publication(ONE, T2, "pin"), publication(TWO, T1, "pin")) == (Edition(TWO, T2),)


def test_what_ended_longer_ago_than_any_order_is_kept_is_forgotten() -> None:
    steps = (
        publication(ONE, T1),
        publication(TWO, T2, "pin"),
        publication(THREE, T2 + timedelta(days=400), "pin"),
    )
    assert [each.journey for each in editions(*steps)] == [TWO, THREE]
    sooner = T2 + timedelta(days=399)
    assert len(editions(*steps[:2], publication(THREE, sooner, "pin"))) == 3


def test_programmes_hold_from_the_latest_on_and_defaults_after_a_withdrawal() -> None:
    rules = Programme(shop=SHOP, approval="two")
    put = Publication("programme", SHOP, SHOP, rules, "migrate", T1)
    gone = Publication("programme", SHOP, SHOP, None, "migrate", T2)
    assert published([put]).programme(SHOP) == rules
    assert published([put, gone]).programme(SHOP).approval == "one"


def test_a_folder_for_everyone_is_what_its_first_publication_gives() -> None:
    assert published([publication(ONE, T1)]).fingerprint == Published.of([ONE]).fingerprint


def test_only_what_takes_in_new_orders_is_current() -> None:
    found = published([publication(ONE, T1), publication(TWO, T2, "drain")])
    assert current(found) == {"routine": TWO}
    assert current(published([publication(ONE, T1), publication(None, T2, "pin")])) == {}


def test_the_version_of_a_programme_follows_its_meaning() -> None:
    rules = Programme(shop=SHOP)
    assert version_of(rules) == version_of(Programme.model_validate({"shop": SHOP, "approval": "one"}))
    assert version_of(rules) != version_of(Programme(shop=SHOP, approval="two"))
    assert len(version_of(rules)) == 12
