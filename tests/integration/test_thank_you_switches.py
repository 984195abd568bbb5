"""Switches on the thank-you page: a pause offers nothing and writes nothing, a stop skips for good."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shared.events import Channel, Control, ControlSet
from shared.switches import EVERY, Scope, switch_key
from shared.topics import DECISIONS
from tests.support.paging import SHOP, Stand, ask, stand
from tests.support.samples import START
from tests.support.scheduling import envelope

SCOPES = [Scope(), Scope(SHOP), Scope(SHOP, f"{SHOP}-page"), Scope(None, None, Channel.PAGE)]


@pytest.fixture
async def page(database_url: str) -> AsyncIterator[Stand]:
    async with stand(database_url) as ready:
        yield ready


def throw(page: Stand, action: str, scope: Scope, minutes: int = 0) -> None:
    """Let the page's process read a control off its topic."""
    at = START + timedelta(minutes=minutes)
    control = Control.model_validate(
        {"action": action, "journey": scope.journey, "channel": scope.channel, "set_at": at, "set_by": "ada", "why": "w"}
    )  # fmt: skip
    event = ControlSet(**envelope(SHOP, None, at) | {"shopid": scope.shop or EVERY}, data=control)
    page.views.switches.take(switch_key(scope, control), event)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_while_paused_the_page_offers_nothing_and_after_it_what_it_would_have(
    page: Stand, scope: Scope
) -> None:
    throw(page, "pause", scope)
    async with page.client() as client:
        assert await ask(client) == {"offer": None, "reason": "paused"}
        assert await page.state() is None
        throw(page, "resume", scope, minutes=1)
        assert (await ask(client))["offer"]


async def test_while_stopped_the_page_skips_with_who_and_why(page: Stand) -> None:
    throw(page, "stop", Scope(SHOP))
    async with page.client() as client:
        assert await ask(client) == {"offer": None, "reason": "journey_stopped"}
    (decision,) = await page.written(DECISIONS)
    (rule,) = [each for each in decision["rules"] if each["rule"] == "journey_stopped"]
    assert (decision["verdict"], rule["inputs"]["stopped"]) == ("skip", "ada: w")


async def test_what_is_thrown_for_messages_leaves_the_page_alone(page: Stand) -> None:
    throw(page, "pause", Scope(SHOP, None, Channel.EMAIL))
    throw(page, "stop", Scope(SHOP, f"{SHOP}-routine"))
    async with page.client() as client:
        assert (await ask(client))["offer"]
