"""The last check and the waits between tries."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.domain.consent import Standing, allows
from services.dispatcher.domain.policy import (
    Held,
    Withheld,
    check,
    wait_while_held,
)
from shared.events import Channel, Consent, Control
from shared.switches import EVERY, Switch
from tests.support.messages import START, message

MESSAGE = message(1).data
GRANTED = Standing(known=True, consent={Channel.EMAIL: Consent(granted=True, changed_at=START)})
LATER = START + timedelta(hours=1)


def _pause(**changes: str) -> Switch:
    fields = {"action": "pause", "set_at": START, "set_by": "sre", "why": "test", **changes}
    return Switch("skincare", Control.model_validate(fields))


def test_a_valid_message_to_a_consenting_customer_may_leave() -> None:
    assert check("skincare", MESSAGE, GRANTED, [], START) is None


def test_it_may_leave_up_to_the_last_valid_moment() -> None:
    assert check("skincare", MESSAGE, GRANTED, [], MESSAGE.valid_until) is None
    after = MESSAGE.valid_until + timedelta(microseconds=1)
    assert check("skincare", MESSAGE, GRANTED, [], after) is Withheld.EXPIRED


def test_consent_on_another_channel_does_not_count() -> None:
    standing = Standing(known=True, consent={Channel.SMS: Consent(granted=True, changed_at=START)})
    assert check("skincare", MESSAGE, standing, [], START) is Withheld.NO_CONSENT


def test_a_customer_never_read_is_waited_for_and_an_erased_one_is_not() -> None:
    assert check("skincare", MESSAGE, Standing(), [], START) is Held.CONSENT_NOT_READ
    assert check("skincare", MESSAGE, Standing(known=True), [], START) is Withheld.NO_CONSENT


def test_a_pause_holds_its_shop_journey_and_channel_only() -> None:
    held = [_pause(), _pause(journey="skincare"), _pause(channel="email")]
    passing = [_pause(journey="other"), _pause(channel="sms"), _pause(action="resume")]
    assert [check("skincare", MESSAGE, GRANTED, [switch], START) for switch in held] == [Held.PAUSED] * 3
    assert [check("skincare", MESSAGE, GRANTED, [switch], START) for switch in passing] == [None] * 3
    assert check("fitness", MESSAGE, GRANTED, [_pause()], START) is None


def test_what_is_thrown_for_every_shop_bears_on_each() -> None:
    pause = Switch(EVERY, _pause(channel="email").control)
    assert check("skincare", MESSAGE, GRANTED, [pause], START) is Held.PAUSED
    assert check("fitness", MESSAGE, GRANTED, [pause], START) is Held.PAUSED


def test_a_stop_refuses_what_a_pause_would_hold() -> None:
    stop = _pause(action="stop", journey="skincare")
    assert check("skincare", MESSAGE, GRANTED, [stop], START) is Withheld.STOPPED
    assert check("skincare", MESSAGE, Standing(), [stop], START) is Withheld.STOPPED
    assert check("skincare", MESSAGE, GRANTED, [_pause(action="stop", journey="other")], START) is None


def test_a_withdrawal_wins_over_a_pause() -> None:
    refused = Standing(known=True, consent={Channel.EMAIL: Consent(granted=False, changed_at=START)})
    assert check("skincare", MESSAGE, refused, [_pause()], START) is Withheld.NO_CONSENT


@given(given_at=st.integers(0, 100), stopped_at=st.integers(0, 100))
def test_the_later_of_consent_and_opt_out_wins_and_a_tie_forbids(given_at: int, stopped_at: int) -> None:
    standing = Standing(
        known=True,
        consent={Channel.EMAIL: Consent(granted=True, changed_at=START + timedelta(minutes=given_at))},
        suppressed_since={Channel.EMAIL: START + timedelta(minutes=stopped_at)},
    )
    assert allows(standing, Channel.EMAIL) is (given_at > stopped_at)


def test_unread_consent_is_waited_for_ever_longer_up_to_half_a_minute() -> None:
    waits = [wait_while_held(Held.CONSENT_NOT_READ, put_back) for put_back in (0, 1, 2, 6, 7, 1000)]
    assert waits == [0.25, 0.5, 1.0, 16.0, 30.0, 30.0]


def test_what_may_end_at_any_moment_is_looked_at_every_second() -> None:
    assert [wait_while_held(held, 9) for held in (Held.PAUSED, Held.NEWS_STALE)] == [1.0, 1.0]
