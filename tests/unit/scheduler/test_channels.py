"""Journeys whose steps reach browsers and the shop's own server."""

import json
from typing import Any

import pytest

from services.scheduler.domain import message
from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.journey import Journey
from shared.events import Channel, PushSubscription, Reason, Verdict
from tests.support.deciding import context, decided, journey, only, order, profile, state, step

OLD, NEW = (
    {
        "endpoint": f"https://push.example.net/{name}",
        "expirationTime": None,
        "keys": {"p256dh": "B" * 87, "auth": "a" * 22},
    }
    for name in ("old", "new")
)


def known(**changes: Any) -> CustomerState:  # noqa: ANN401  any field
    return state(profile(**changes), order(products=("cleanser", "serum")))


def plan(channel: Channel) -> Journey:
    return journey(step(channel=channel))


def refused_by(channel: Channel, **changes: Any) -> Reason | None:  # noqa: ANN401  any field
    decision = decided(known(**changes), plan(channel))
    assert decision.verdict is Verdict.SKIP
    return decision.reason


def test_a_push_step_reaches_the_newest_browser() -> None:
    ready = known(push=[OLD, NEW])
    decision = decided(ready, plan(Channel.PUSH))
    assert decision.verdict is Verdict.SEND
    sent = message(ready, only(ready, plan(Channel.PUSH)), decision, plan(Channel.PUSH), context())
    assert PushSubscription.model_validate_json(sent.recipient).endpoint == NEW["endpoint"]
    assert json.loads(sent.recipient)["keys"] == NEW["keys"]


def test_a_webhook_step_names_the_customer_by_id() -> None:
    ready = known(email=None, phone=None)
    decision = decided(ready, plan(Channel.WEBHOOK))
    assert decision.verdict is Verdict.SEND
    sent = message(ready, only(ready, plan(Channel.WEBHOOK)), decision, plan(Channel.WEBHOOK), context())
    assert sent.recipient == ready.customer_id


def test_nobody_is_pushed_to_without_a_browser() -> None:
    assert refused_by(Channel.PUSH) is Reason.NO_ADDRESS


@pytest.mark.parametrize("channel", [Channel.PUSH, Channel.WEBHOOK])
def test_both_need_consent_of_their_own(channel: Channel) -> None:
    email = {"email": {"granted": True, "changed_at": "2026-01-01T00:00:00Z"}}
    assert refused_by(channel, consent=email, push=[NEW]) is Reason.NO_CONSENT


@pytest.mark.parametrize("channel", [Channel.PUSH, Channel.WEBHOOK])
def test_both_count_towards_caps_and_name_a_template(channel: Channel) -> None:
    capped = journey(step(channel=channel), caps=[{"count": 1, "per": "7d"}])
    assert channel in capped.caps[0].channels
    with pytest.raises(ValueError, match="has template"):
        journey(step(channel=channel, template=None))
