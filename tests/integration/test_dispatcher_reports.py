"""What providers report, over HTTP and into the ledger, on real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import timedelta
from io import BytesIO
from itertools import permutations
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.dispatcher.callbacks import LARGEST_BODY, CallBacks
from services.dispatcher.domain.breaker import CAMPAIGN_REFUSALS
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Move
from services.dispatcher.providers.base import Fault, Forged, Report, Said, Unreadable, Unverifiable
from services.dispatcher.reports import Hearing, TooEarly
from shared.clock import ManualClock
from shared.events import Channel, ControlSet, EngagementKind, MessageRequested
from shared.topics import CONTROLS
from tests.support.dispatching import Bench, bench, queries, running
from tests.support.messages import START, customer, engagement, message
from tests.support.reporting_back import Scripted, handed, hearing_of, ledger_of, said

MAIL, TEXT = Channel.EMAIL, Channel.SMS


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, clock) as made:
        yield made


def report(what: Said, event: MessageRequested | None = None, **more: Any) -> Report:  # noqa: ANN401  any field
    return said(what, event, **({"occurred_at": START} | more))


async def test_a_report_confirms_what_was_accepted_and_is_told_once(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.TAKEN)
    delivered = report(Said.DELIVERED, event)
    assert await hearing_of(stack).take("smtp", MAIL, [delivered, delivered]) == 1
    assert await hearing_of(stack).take("smtp", MAIL, [delivered]) == 0
    assert await stack.state(event) == "confirmed"
    assert [one.kind for one in await stack.told()] == ["accepted", "delivered"]


@pytest.mark.parametrize("cause", [None, Cause.NO_ANSWER, Cause.NOT_TAKEN_YET])
async def test_a_call_back_settles_what_was_never_answered_and_stops_a_second_hand_over(
    stack: Bench, cause: Cause | None
) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=cause)
    await hearing_of(stack).take("smtp", MAIL, [report(Said.TAKEN, event)])
    assert await stack.state(event) == "accepted"
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}
    assert stack.mailed() == []
    assert [one.kind for one in await stack.told()][-1] == "accepted"


async def test_a_call_back_that_overtakes_the_hand_overs_write_wins(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    ledger = ledger_of(stack)
    async with stack.pool.acquire() as connection, connection.transaction():
        await ledger.claim(connection, 10)
    await hearing_of(stack).take("smtp", MAIL, [report(Said.DELIVERED, event)])
    assert await stack.state(event) == "confirmed"


@pytest.mark.parametrize("order", list(permutations((Said.TAKEN, Said.DELIVERED, Said.UNDELIVERED))))
async def test_reports_in_any_order_lead_to_the_same_state(stack: Bench, order: tuple[Said, ...]) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.NO_ANSWER)
    for what in order:
        await hearing_of(stack).take("smtp", MAIL, [report(what, event, reason="bounced")])
    assert await stack.state(event) == "undelivered"
    assert sorted({one.kind for one in await stack.told()}) == [
        "accepted",
        "delivered",
        "rejected",
        "unknown",
    ]


async def test_failure_reported_by_a_former_provider_says_nothing_of_the_latter(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, "mail-2", Cause.TAKEN)
    await hearing_of(stack).take("mail-1", MAIL, [report(Said.UNDELIVERED, event, fault=Fault.SOFT)])
    assert await stack.state(event) == "accepted"


async def test_opens_and_clicks_are_told_each(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.TAKEN)
    reports = [report(Said.OPENED, event), report(Said.OPENED, event), report(Said.CLICKED, event)]
    await hearing_of(stack).take("smtp", MAIL, reports)
    told = await stack.told()
    assert [one.kind for one in told] == ["accepted", "opened", "opened", "clicked"]
    assert {one.occurred_at for one in told} == {START}
    assert await stack.state(event) == "confirmed"


async def test_a_report_by_reference_finds_its_message_and_waits_for_it(
    stack: Bench, clock: ManualClock
) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack)
    early = report(Said.DELIVERED, reference="ref-smtp")
    with pytest.raises(TooEarly):
        await hearing_of(stack).take("smtp", MAIL, [early])
    ledger = ledger_of(stack)
    async with stack.pool.acquire() as connection, connection.transaction():
        await ledger.learn(connection, Cause.PROOF_TAKEN, [Move(event.data.message_id, reference="ref-smtp")])
    assert await hearing_of(stack).take("smtp", MAIL, [early]) == 1
    assert await stack.state(event) == "confirmed"
    clock.advance(timedelta(minutes=5))
    foreign = report(Said.DELIVERED, reference="another system's")
    assert await hearing_of(stack).take("smtp", MAIL, [foreign]) == 1


async def test_a_stop_stops_every_customer_whom_that_provider_wrote_to_there(
    stack: Bench, clock: ManualClock
) -> None:
    number = "+15550100001"
    await stack.take(customer(1), customer(2), customer(3))
    await stack.take(message(1, TEXT, recipient=number), message(2, TEXT, recipient=number))
    await handed(stack, "sms-1", Cause.TAKEN)
    await stack.take(message(3, TEXT, recipient=number))
    await handed(stack, "sms-2", Cause.TAKEN)
    clock.advance(timedelta(minutes=1))
    stop = report(Said.STOPPED, address=number.removeprefix("+"), reason="stop")
    await hearing_of(stack).take("sms-1", TEXT, [stop])
    assert [one.kind for one in await stack.told()].count(EngagementKind.UNSUBSCRIBED) == 2
    later = [message(each, TEXT, recipient=number) for each in (1, 2, 3)]
    await stack.take(*later)
    async with running([stack.worker()]):
        assert await stack.settled(*later) == {"withheld": 2, "accepted": 1}
    assert await stack.state(later[2]) == "accepted"


async def test_a_stop_between_decision_and_hand_over_wins_even_at_a_new_address(stack: Bench) -> None:
    event = message(1, TEXT)
    await stack.take(customer(1), event)
    await hearing_of(stack).take("twilio", TEXT, [report(Said.STOPPED, address=event.data.recipient)])
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}
    assert stack.twilio.received() == []
    assert [one.kind for one in await stack.told()] == ["withheld", "unsubscribed"]


async def test_a_stop_wins_over_what_is_claimed_already(stack: Bench) -> None:
    former, event = message(1, TEXT), message(1, TEXT)
    await stack.take(customer(1), former)
    await handed(stack, "twilio", Cause.TAKEN)
    await stack.take(event)
    await hearing_of(stack).take("twilio", TEXT, [report(Said.STOPPED, address=event.data.recipient)])
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}
    assert await stack.reason(event) == "no_consent"


async def test_start_lifts_what_that_stop_suppressed_and_nothing_else(
    stack: Bench, clock: ManualClock
) -> None:
    former = message(1, TEXT)
    await stack.take(customer(1), former)
    await handed(stack, "twilio", Cause.TAKEN)
    address = former.data.recipient
    await hearing_of(stack).take("twilio", TEXT, [report(Said.STOPPED, address=address)])
    stops = [one for one in await stack.told() if one.kind == "unsubscribed"]
    clock.advance(timedelta(minutes=1))
    await hearing_of(stack).take("twilio", TEXT, [report(Said.STARTED, address=address)])
    again = message(1, TEXT)
    await stack.take(again)
    assert len(stops) == 1
    async with running([stack.worker()]):
        assert await stack.settled(again) == {"accepted": 1}
    await stack.take(engagement(1, EngagementKind.COMPLAINED, clock.business()))
    mail = message(1)
    await stack.take(mail)
    await hearing_of(stack).take("smtp", MAIL, [report(Said.STARTED, address=mail.data.recipient)])
    async with running([stack.worker()]):
        assert await stack.settled(mail) == {"withheld": 1}


async def test_a_dead_address_gets_nothing_more_and_a_new_one_does(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.TAKEN)
    bounce = report(Said.UNDELIVERED, event, reason="smtp_550", fault=Fault.DEAD)
    await hearing_of(stack).take("smtp", MAIL, [bounce])
    assert await stack.state(event) == "undelivered"
    told = (await stack.told())[-1]
    assert (told.kind, told.reason) == ("bounced", "smtp_550")
    same = message(1, recipient=event.data.recipient.upper())
    moved = message(1, recipient="new@example.com")
    await stack.take(same, moved)
    async with running([stack.worker()]):
        assert await stack.settled(same, moved) == {"withheld": 1, "accepted": 1}
    assert await stack.reason(same) == "dead_address"


async def test_an_address_dies_of_three_soft_failures_in_a_row(stack: Bench) -> None:
    async def fail(what: Said) -> str:
        event = message(1)
        await stack.take(event)
        await handed(stack, cause=Cause.TAKEN)
        await hearing_of(stack).take("smtp", MAIL, [report(what, event, fault=Fault.SOFT, reason="full")])
        return str((await stack.told())[-1].kind)

    await stack.take(customer(1))
    softs = [Said.UNDELIVERED, Said.UNDELIVERED, Said.DELIVERED, *[Said.UNDELIVERED] * 3]
    kinds = [await fail(what) for what in softs]
    assert kinds == ["rejected", "rejected", "delivered", "rejected", "rejected", "bounced"]


async def test_a_complaint_suppresses_and_is_told_as_such(stack: Bench) -> None:
    event, later = message(1), message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.TAKEN)
    await hearing_of(stack).take("smtp", MAIL, [report(Said.COMPLAINED, event)])
    assert [one.kind for one in await stack.told()] == ["accepted", "complained"]
    await stack.take(later)
    async with running([stack.worker()]):
        assert await stack.settled(later) == {"withheld": 1}


async def test_content_that_carriers_refuse_later_holds_its_campaign(stack: Bench) -> None:
    flow = stack.worker().flow
    hearing = Hearing(stack.pool, ledger_of(stack), stack.clock, lambda: None, flow.hear_report)
    events = [message(number, TEXT) for number in range(CAMPAIGN_REFUSALS)]
    await stack.take(*[customer(number) for number in range(CAMPAIGN_REFUSALS)], *events)
    await handed(stack, "twilio", Cause.TAKEN)
    for event in events:
        filtered = report(Said.UNDELIVERED, event, reason="twilio_30007", fault=Fault.CONTENT)
        await hearing.take("twilio", TEXT, [filtered])
    (held,) = await stack.pool.fetch(queries.thrown, CONTROLS.name)
    control = ControlSet.model_validate_json(held["value"]).data
    assert (control.action, control.journey, control.channel) == ("pause", "skincare", "sms")
    assert "twilio_30007" in str(control.why)


async def test_reports_are_forgotten_with_age(stack: Bench, clock: ManualClock) -> None:
    stop = report(Said.STOPPED, address="+15550100009")
    assert await hearing_of(stack).take("twilio", TEXT, [stop]) == 1
    clock.advance(timedelta(days=20))
    await hearing_of(stack).prune(timedelta(days=14))
    assert await hearing_of(stack).take("twilio", TEXT, [stop]) == 1


@pytest.fixture
def provider() -> Scripted:
    return Scripted()


@pytest.fixture
async def client(stack: Bench, provider: Scripted) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    callbacks = CallBacks(
        {"smtp": provider}, hearing_of(stack), stack.clock, "https://go.example.com/orderwake/"
    )
    app = web.Application()
    app.add_routes(callbacks.routes())
    async with TestClient(TestServer(app)) as made:
        yield made


async def test_a_call_back_is_read_as_the_provider_sent_it_and_answered_after_the_commit(
    stack: Bench, client: TestClient[web.Request, web.Application], provider: Scripted
) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.TAKEN)
    provider.reports = [report(Said.DELIVERED, event)]
    answer = await client.post(
        "/callbacks/smtp?k=a%20b&x=1", data=b'{"a": 1}\r\n', headers={"X-Signature": "s"}
    )
    assert (answer.status, answer.content_type, await answer.read()) == (200, "text/xml", b"<Response/>")
    (seen,) = provider.seen
    assert seen.url == "https://go.example.com/orderwake/callbacks/smtp?k=a%20b&x=1"
    assert (seen.body, seen.headers["x-signature"]) == (b'{"a": 1}\r\n', "s")
    assert await stack.state(event) == "confirmed"


@pytest.mark.parametrize(("raised", "status"), [(Forged(), 403), (Unreadable(), 400), (Unverifiable(), 503)])
async def test_what_cannot_be_believed_changes_nothing(
    client: TestClient[web.Request, web.Application], provider: Scripted, raised: Exception, status: int
) -> None:
    provider.reports = raised
    assert (await client.post("/callbacks/smtp", data=b"x")).status == status


async def test_unknown_names_and_great_bodies_are_refused(
    client: TestClient[web.Request, web.Application],
) -> None:
    assert (await client.post("/callbacks/nobody", data=b"x")).status == 404
    assert (await client.post("/callbacks/smtp", data=BytesIO(b"x" * (LARGEST_BODY + 1)))).status == 413


async def test_a_call_back_comes_again_while_the_database_is_away(
    stack: Bench,
    client: TestClient[web.Request, web.Application],
    provider: Scripted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.reports = [report(Said.STOPPED, address="someone@example.com")]

    def away(*_: object) -> None:
        raise asyncpg.CannotConnectNowError

    with monkeypatch.context() as patched:
        patched.setattr(stack.people.__class__, "stop", away)
        assert (await client.post("/callbacks/smtp", data=b"x")).status == 503
    assert (await client.post("/callbacks/smtp", data=b"x")).status == 200
