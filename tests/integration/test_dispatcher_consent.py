"""The consent behind each message: kept with the send, shown to people, and what erasure leaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from services.dispatcher.commands_consent import consent
from services.dispatcher.domain.states import Cause
from services.dispatcher.providers.base import Fault, Said
from shared.clock import ManualClock
from shared.events import Channel, Consent
from tests.support.dispatching import Bench, bench
from tests.support.messages import START, customer, message
from tests.support.reporting_back import handed, hearing_of, said

WORDING = "Yes, text me offers. Reply STOP at any time."


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def stack(
    database_url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    async with bench(database_url, tmp_path, clock) as made:
        yield made


async def test_each_send_keeps_the_consent_that_it_stood_on(stack: Bench, clock: ManualClock) -> None:
    first, second = message(1, Channel.SMS), message(1, Channel.SMS)
    given = Consent(granted=True, changed_at=START, source="checkout", wording=WORDING)
    person = customer(1)
    await stack.take(person.model_copy(update={"data": _with(person.data, given, 7)}), first)
    await handed(stack, "sms-1", Cause.TAKEN)
    clock.advance(timedelta(hours=1))
    renewed = Consent(granted=True, changed_at=clock.business(), source="account page")
    await stack.take(person.model_copy(update={"data": _with(person.data, renewed, 8)}), second)
    await handed(stack, "sms-1", Cause.TAKEN)
    later, former = (await _shown())["sends"]
    assert (former["message_id"], later["message_id"]) == (
        str(first.data.message_id),
        str(second.data.message_id),
    )
    assert former["consent"] == {
        "granted": True,
        "changed_at": "2026-03-02T09:00:00Z",
        "source": "checkout",
        "wording": WORDING,
    }
    assert (former["consent_version"], later["consent_version"]) == (7, 8)
    assert (later["consent"]["source"], later["provider"], later["state"]) == (
        "account page",
        "sms-1",
        "accepted",
    )
    plain = await _output()
    assert WORDING in plain
    assert first.data.recipient not in plain + json.dumps(await _shown())


async def test_suppressions_and_dead_addresses_are_shown(stack: Bench) -> None:
    text, mail = message(1, Channel.SMS), message(1)
    await stack.take(customer(1), text, mail)
    await handed(stack, "all", Cause.TAKEN)
    stop = said(Said.STOPPED, occurred_at=START, address=text.data.recipient, reason="stop")
    await hearing_of(stack).take("all", Channel.SMS, [stop])
    bounce = said(Said.UNDELIVERED, mail, occurred_at=START, reason="smtp_550", fault=Fault.DEAD)
    await hearing_of(stack).take("all", Channel.EMAIL, [bounce])
    shown = await _shown()
    (suppressed,), (dead,) = shown["suppressions"], shown["addresses"]
    assert (suppressed["channel"], suppressed["reason"], suppressed["stopped_by"]) == ("sms", "stop", "all")
    assert (dead["channel"], dead["reason"]) == ("email", "smtp_550")
    assert "suppressed since" in await _output()


async def test_erasure_leaves_hashes_of_stops_but_nothing_that_leads_to_the_person(stack: Bench) -> None:
    event = message(1, Channel.SMS)
    await stack.take(customer(1), event)
    await handed(stack, "twilio", Cause.TAKEN)
    stop = said(Said.STOPPED, occurred_at=START, address=event.data.recipient)
    await hearing_of(stack).take("twilio", Channel.SMS, [stop])
    await stack.erase(1)
    assert (await _shown())["consent"] == {}
    assert "erased" in await _output()
    again = message(2, Channel.SMS, recipient=event.data.recipient)
    await stack.take(customer(2), again)
    await handed(stack, "twilio")
    assert (await stack.state(again), await stack.reason(again)) == ("withheld", "no_consent")


async def test_who_was_never_read_is_told_as_such(stack: Bench) -> None:
    assert stack.pool
    result = await _run("show", "nobody", "--shop", "skincare")
    assert result.exit_code == 1
    assert "check both ids" in result.output


def _with(data: Any, given: Consent, version: int) -> Any:  # noqa: ANN401  a customer's data
    return data.model_copy(update={"consent": {Channel.SMS: given}, "version": version})


async def _shown() -> Any:  # noqa: ANN401  JSON
    return json.loads(await _output("--json"))


async def _output(*options: str) -> str:
    result = await _run("show", "c1", "--shop", "skincare", *options)
    assert result.exit_code == 0, result.output
    return str(result.output)


async def _run(*options: str) -> Any:  # noqa: ANN401  click's result
    return await asyncio.to_thread(CliRunner().invoke, consent, options)
