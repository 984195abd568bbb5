"""Breakers, allowances, retries and hours: what flows, and when."""

from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.domain.allowance import Allowance, Rate
from services.dispatcher.domain.breaker import (
    CAMPAIGN_LOOKS_BACK,
    CAMPAIGN_REFUSALS,
    LONGEST_REST,
    QUOTA_REST,
    REFUSED_IN_A_ROW,
    SENDER_REST,
    TOO_MANY,
    Breaker,
    Campaign,
    Condition,
)
from services.dispatcher.domain.consent import Standing
from services.dispatcher.domain.faults import TREATMENTS, Fault, Result
from services.dispatcher.domain.hours import Window, window
from services.dispatcher.domain.policy import Withheld
from services.dispatcher.domain.retries import RETRIES, tried_again, wait_before_retry
from shared.events import Channel
from shared.law import ContactHours
from tests.support.messages import START, message

PAGE = Path(__file__).parents[3] / "docs" / "flow.md"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LAW = ContactHours.load()
LEAST = timedelta(seconds=30)


def hear(breaker: Breaker, fault: Fault | None, now: float, asked: float | None = None) -> bool:
    result = TREATMENTS[fault].result if fault else Result.ACCEPTED
    return breaker.hear(result, fault, "why", asked, now)


def failing(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    assert [hear(breaker, Fault.PASSING, now) for _ in range(TOO_MANY)] == [False] * (TOO_MANY - 1) + [True]
    return breaker


def test_a_provider_that_fails_now_and_then_is_not_left_alone() -> None:
    breaker = Breaker()
    for _ in range(20):
        hear(breaker, Fault.PASSING, 0)
        hear(breaker, None, 0)
        hear(breaker, Fault.PERMANENT, 0)
    assert breaker.room(0) == inf


def test_half_of_the_last_answers_faults_and_it_is_left_alone_for_a_second() -> None:
    breaker = failing()
    assert (breaker.room(0.9), breaker.condition(0.9), breaker.left_alone) == (0, Condition.OPEN, True)
    assert breaker.condition(1.0) is Condition.PROBING


def test_time_outs_count_as_faults() -> None:
    breaker = Breaker()
    for _ in range(TOO_MANY):
        hear(breaker, Fault.OPEN, 0)
    assert breaker.condition(0) is Condition.OPEN


def test_then_one_message_goes_as_a_probe_and_its_success_lets_all_through() -> None:
    breaker = failing()
    assert breaker.room(1) == 1
    breaker.begin(1)
    assert breaker.room(1) == 0
    hear(breaker, None, 2)
    assert (breaker.room(2), breaker.left_alone, breaker.reason) == (inf, False, None)


def test_a_refusal_of_the_message_shows_that_the_provider_works() -> None:
    breaker = failing()
    breaker.begin(1)
    hear(breaker, Fault.DEAD, 2)
    assert breaker.room(2) == inf


def test_a_probe_that_fails_doubles_the_rest_up_to_a_minute() -> None:
    breaker, now, rests = failing(), 0.0, []
    for _ in range(9):
        now += breaker.rests_for(now)
        breaker.begin(now)
        assert hear(breaker, Fault.PASSING, now) is False, "it is told once"
        rests.append(breaker.rests_for(now))
    assert rests[:4] == [2, 4, 8, 16]
    assert rests[-1] == LONGEST_REST


def test_a_probe_that_was_called_off_leaves_room_for_another() -> None:
    breaker = failing()
    breaker.begin(1)
    breaker.call_off()
    assert breaker.room(1) == 1


def test_answers_to_what_was_on_its_way_together_make_one_rest() -> None:
    breaker = failing()
    for _ in range(30):
        hear(breaker, Fault.PASSING, 0.5)
    assert breaker.rests_for(0.5) == 1


def test_a_limit_that_was_met_is_waited_out_and_needs_no_probe() -> None:
    breaker = Breaker()
    hear(breaker, Fault.BUSY, 0, asked=7)
    assert (breaker.room(6.9), breaker.room(7), breaker.left_alone) == (0, inf, False)
    hear(breaker, Fault.BUSY, 7)
    assert breaker.rests_for(7) == 2


def test_one_refusal_of_ourselves_may_be_about_one_country_and_several_in_a_row_are_not() -> None:
    breaker = Breaker()
    hear(breaker, Fault.SENDER, 0)
    assert breaker.first_refusal
    assert breaker.room(0) == inf
    opened = [hear(breaker, Fault.SENDER, 0) for _ in range(REFUSED_IN_A_ROW)]
    assert opened.count(True) == 1
    assert breaker.rests_for(0) == SENDER_REST


def test_a_quota_that_is_used_up_is_asked_for_again_after_an_hour_or_as_told() -> None:
    breaker = Breaker()
    assert hear(breaker, Fault.QUOTA, 0)
    assert breaker.rests_for(0) == QUOTA_REST
    other = Breaker()
    hear(other, Fault.QUOTA, 0, asked=2 * QUOTA_REST)
    assert other.rests_for(0) == 2 * QUOTA_REST


def test_a_campaign_is_held_after_so_many_refusals_of_its_content_and_counts_anew() -> None:
    campaign = Campaign()
    heard = [campaign.hear(Result.REJECTED, Fault.CONTENT) for _ in range(2 * CAMPAIGN_REFUSALS)]
    assert [each for each in heard if each] == [CAMPAIGN_REFUSALS] * 2


def test_refusals_among_many_acceptances_hold_nothing() -> None:
    campaign = Campaign()
    for _ in range(20):
        assert campaign.hear(Result.REJECTED, Fault.CONTENT) is None
        for _ in range(CAMPAIGN_LOOKS_BACK // CAMPAIGN_REFUSALS):
            assert campaign.hear(Result.ACCEPTED, None) is None
            assert campaign.hear(Result.NOT_TAKEN, Fault.PASSING) is None


def test_a_bucket_fills_at_its_rate_to_a_quarter_of_a_second() -> None:
    bucket = Allowance(Rate(per_second=100), 0.0, 0, NOON)
    left = [bucket.left(NOON + timedelta(seconds=after)) for after in (0, 0.1, 0.2, 0.25, 60)]
    assert left == [0, 10, 20, 25, 25]


def test_a_slow_rate_holds_one_token() -> None:
    bucket = Allowance(Rate(per_second=0.5), 0.0, 0, NOON)
    assert [bucket.left(NOON + timedelta(seconds=after)) for after in (1.9, 2, 60)] == [0, 1, 1]
    assert [bucket.wait(NOON, place) for place in (1, 2)] == [2, 4]


def test_a_days_quota_ends_with_the_utc_day() -> None:
    bucket = Allowance(Rate(per_day=10), 0.0, 10, NOON)
    assert bucket.used_up(NOON)
    assert (bucket.left(NOON), bucket.wait(NOON, 1)) == (0, 12 * 3600)
    assert bucket.left(NOON + timedelta(hours=12)) == 10


@given(st.uuids(), st.integers(1, 100), st.sampled_from(list(RETRIES)), st.floats(0, 7200))
def test_a_retry_waits_at_least_what_was_asked_and_never_much_longer(
    message_id: UUID, attempts: int, fault: Fault, asked: float
) -> None:
    retry, seconds = RETRIES[fault], wait_before_retry(message_id, attempts, fault, asked)
    assert max(asked, retry.first_seconds) <= seconds <= max(asked, retry.longest_seconds) * 1.25


def test_waits_double_and_messages_part_company() -> None:
    message_id = uuid4()
    assert wait_before_retry(message_id, 5) > 2 * wait_before_retry(message_id, 2)
    assert len({wait_before_retry(uuid4(), 3) for _ in range(20)}) > 10


def test_what_another_provider_can_have_does_not_wait_for_this_one() -> None:
    assert wait_before_retry(uuid4(), 9, Fault.QUOTA, 7200, elsewhere=True) < 0.5


@pytest.mark.parametrize("fault", list(Fault))
def test_only_what_was_certainly_not_taken_is_tried_again(fault: Fault) -> None:
    result = TREATMENTS[fault].result
    again = tried_again(result, fault, 1)
    assert again is (fault in RETRIES)
    assert not (again and result in (Result.ACCEPTED, Result.UNKNOWN))


def test_a_recipient_out_of_reach_is_tried_once_more() -> None:
    assert tried_again(Result.REJECTED, Fault.SOFT, 1)
    assert not tried_again(Result.REJECTED, Fault.SOFT, 2)


def test_a_limit_is_waited_for_as_long_as_the_message_is_valid() -> None:
    assert tried_again(Result.NOT_TAKEN, Fault.BUSY, 1000)


def test_an_open_answer_is_never_followed_by_another_try() -> None:
    assert not any(tried_again(Result.UNKNOWN, fault, 1) for fault in (*Fault, None))


def _at(hour: int, minute: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute)


def _window(now: datetime, standing: Standing | None = None, **changes: object) -> Window | Withheld:
    text = message(1, Channel.SMS, **changes).data
    return window(LAW, text, standing or Standing(known=True), now, LEAST)


def test_a_text_may_leave_within_the_laws_hours_and_is_valid_to_their_end() -> None:
    assert _window(_at(10)) == Window(_at(10), _at(20))


def test_a_text_is_valid_no_longer_than_its_message() -> None:
    assert _window(_at(10), valid_until=_at(11)) == Window(_at(10), _at(11))


def test_a_text_at_night_waits_for_the_morning_if_it_is_valid_then() -> None:
    tomorrow = timedelta(days=1)
    found = _window(_at(21), valid_until=NOON + 2 * tomorrow)
    assert found == Window(_at(9) + tomorrow, _at(20) + tomorrow)
    assert _window(_at(21), valid_until=_at(8) + tomorrow) is Withheld.QUIET_HOURS


def test_a_text_that_the_provider_may_hold_past_the_end_waits_too() -> None:
    assert _window(_at(19, 59) + timedelta(seconds=30)) == Window(
        _at(19, 59) + timedelta(seconds=30), _at(20)
    )
    late = _window(_at(19, 59) + timedelta(seconds=31), valid_until=NOON + timedelta(days=1))
    assert isinstance(late, Window)
    assert late.opens_at == _at(9) + timedelta(days=1)


def test_a_text_that_would_expire_at_the_provider_is_expired() -> None:
    assert _window(_at(10), valid_until=_at(10) + timedelta(seconds=29)) is Withheld.EXPIRED


def test_all_places_and_zones_that_are_known_must_permit_it() -> None:
    moved = Standing(known=True, country="US", region="CA", time_zone="America/Los_Angeles")
    found = _window(_at(10), moved)
    assert isinstance(found, Window)
    assert (found.opens_at, found.closes_at) == (_at(17), _at(20))  # 9:00 in California, 20:00 in London
    placed = _window(_at(10), places=(("US", "FL"),), time_zone=None)
    assert isinstance(placed, Window)
    assert placed.opens_at == _at(14)  # Florida's western zone opens at 8:00


def test_nobody_knows_where_it_goes_and_the_unknown_places_hours_hold() -> None:
    found = _window(START, time_zone=None, valid_until=START + timedelta(days=2))
    assert isinstance(found, Window)
    assert found.opens_at == _at(16)  # 11:00 in New York


def _words(seconds: float) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def test_the_page_tells_the_table_of_retries() -> None:
    section = PAGE.read_text().partition("## Tries\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if "| `" in line
    ]
    told = {Fault(name.strip("`")): cells for names, *cells in rows for name in names.split(", ")}
    tries = {None: "until no longer valid", 2: "2"}
    wanted = {
        fault: [_words(retry.first_seconds), _words(retry.longest_seconds), tries[retry.tries]]
        for fault, retry in RETRIES.items()
    }
    assert {fault: cells for fault, cells in told.items() if fault in RETRIES} == wanted
    assert told.keys() == set(Fault)
    assert all(told[fault][2].startswith("1") for fault in set(Fault) - RETRIES.keys())
