"""Routes, limits, breakers, priorities and hours at hand-over, on real PostgreSQL, with providers that answer as they are told."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from services.dispatcher import reconcile
from services.dispatcher.delivery import Delivery, ShopSender
from services.dispatcher.domain.states import Cause, sources, target
from services.dispatcher.flow import Flow, Lot
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import Answer, Fault, Parcel, Provider
from services.dispatcher.providers.config import Limits
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.smtp import SmtpConfig
from services.dispatcher.providers.twilio import TwilioConfig
from shared import metrics
from shared.clock import ManualClock
from shared.errors import SettingsError
from shared.events import Channel, CustomerRecorded, EngagementKind, MessageRequested
from shared.secrets import Secret
from tests.support.dispatching import Bench, Worker, bench, running
from tests.support.messages import START, customer, engagement, message
from tests.support.waiting import eventually

DAY = timedelta(days=1)
Told = Callable[[Parcel], Answer]


def takes(_: Parcel) -> Answer:
    return Answer.accepted()


def says(fault: Fault, asked: float | None = None) -> Told:
    return lambda _: Answer.of(fault, f"told_{fault}", asked)


@dataclass
class Scripted:
    """A provider that answers as it is told, and remembers what it was handed and what it took."""

    name: str
    channel: Channel = Channel.EMAIL
    answer: Told = takes
    once: bool = False
    handed: list[Parcel] = field(default_factory=list)
    taken: list[UUID] = field(default_factory=list)

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, parcel: Parcel) -> Answer:
        """Answer as told; an answer `drop_taken` was taken, whatever is said."""
        self.handed.append(parcel)
        answer = self.answer(parcel)
        if answer.result == "accepted" or answer.reason == "lost_after_it_was_taken":
            self.taken.append(parcel.message_id)
        return answer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, clock) as made:
        await made.place(clock.machine() + 9 * DAY)
        yield made


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    heard: list[str] = []

    def all_of_it() -> str:
        heard.extend(capfd.readouterr())
        return "".join(heard)

    return all_of_it


def mails(
    stack: Bench,
    *providers: Scripted,
    shops: dict[str, ShopSender] | None = None,
    **limits: Any,  # noqa: ANN401  any limit
) -> None:
    """Let these carry all e-mail, in this order, each with these limits."""
    per_sender = limits.pop("sender_limits", None)
    configs = [
        SmtpConfig(name=each.name, host="127.0.0.1", limits=Limits(**limits), sender_limits=per_sender)
        for each in providers
    ]
    stack.delivery = Delivery(providers=tuple(configs), shops=shops or {})
    stack.providers = {each.name: _provider(each) for each in providers}


def texts(stack: Bench, provider: Scripted) -> None:
    """Let this one carry all texts."""
    config = TwilioConfig(name=provider.name, account="AC0", token=Secret.given("x"), sender="+15550001")
    stack.delivery = Delivery(providers=(config,))
    stack.providers = {provider.name: _provider(provider)}


def _provider(scripted: Scripted) -> Provider:
    return scripted


def many(count: int, **changes: Any) -> list[MessageRequested]:  # noqa: ANN401  any field
    return [message(1, **({"valid_until": START + 5 * DAY} | changes)) for _ in range(count)]


def of_shop(shop: str, events: Sequence[MessageRequested]) -> list[MessageRequested]:
    return [event.model_copy(update={"shopid": shop}) for event in events]


def person_of(shop: str) -> CustomerRecorded:
    return customer(1).model_copy(update={"shopid": shop})


async def turns(workers: Sequence[Worker], count: int = 3) -> None:
    """Let each worker look, hand over, and write what was answered."""
    for _ in range(count):
        for worker in workers:
            await worker.sender.start_batch(20)
            await worker.sender.settle()


async def test_three_workers_share_one_rate(stack: Bench, clock: ManualClock) -> None:
    mail = Scripted("mail")
    mails(stack, mail, per_second=40)
    await stack.take(customer(1), *many(60))
    workers = [stack.worker() for _ in range(3)]
    await turns(workers)
    assert len(mail.taken) == 10, "a quarter of a second's worth"
    for seconds in range(1, 6):
        clock.advance(timedelta(seconds=0.25))
        await turns(workers)
        assert len(mail.taken) == 10 * (seconds + 1)
    assert max(Counter(mail.taken).values()) == 1
    assert {row["attempts"] for row in (await stack.states()).values()} == {1}


async def test_all_of_a_queue_goes_at_its_rate_in_the_end(database_url: str, tmp_path: Path) -> None:
    from shared.clock import SystemClock  # noqa: PLC0415  only here does time run

    class Running(SystemClock):
        def business(self) -> Any:  # noqa: ANN401  a datetime
            return START

    async with bench(database_url, tmp_path, Running()) as stack:
        mail = Scripted("mail")
        mails(stack, mail, per_second=200)
        events = many(100)
        await stack.take(customer(1), *events)
        async with running([stack.worker(), stack.worker(), stack.worker()]):
            assert await stack.settled(*events) == {"accepted": 100}
        assert max(Counter(mail.taken).values()) == 1


async def test_a_days_quota_holds_the_rest_until_the_next_utc_day(stack: Bench, clock: ManualClock) -> None:
    mail = Scripted("mail")
    mails(stack, mail, per_day=5)
    events = many(8)
    await stack.take(customer(1), *events)
    workers = [stack.worker(), stack.worker()]
    await turns(workers)
    clock.set(START.replace(hour=23, minute=59))
    await turns(workers)
    assert len(mail.taken) == 5
    assert Counter([await stack.reason(event) for event in events]) == {None: 5, "quota_used": 3}
    clock.set(START.replace(hour=0) + DAY + timedelta(seconds=1))
    await turns([stack.worker()])
    assert len(mail.taken) == 8


async def test_a_shops_limit_is_its_own(stack: Bench) -> None:
    mail = Scripted("mail")
    mails(stack, mail, shops={"skincare": ShopSender(limits=Limits(per_day=2))})
    await stack.take(customer(1), person_of("fitness"), *many(5), *of_shop("fitness", many(5)))
    await turns([stack.worker(), stack.worker()])
    assert Counter(parcel.shop for parcel in mail.handed) == {"skincare": 2, "fitness": 5}


async def test_each_senders_address_has_a_limit_of_its_own_at_a_provider(stack: Bench) -> None:
    mail = Scripted("mail")
    shops = {"fitness": ShopSender(email="hi@fit.example.com")}
    mails(stack, mail, shops=shops, sender_limits=Limits(per_day=2))
    await stack.take(customer(1), person_of("fitness"), *many(4), *of_shop("fitness", many(4)))
    await turns([stack.worker()])
    assert Counter(parcel.sender for parcel in mail.handed) == {"": 2, "hi@fit.example.com": 2}


async def test_tokens_for_which_nothing_goes_are_given_back(stack: Bench) -> None:
    mail = Scripted("mail")
    mails(stack, mail, per_day=2)
    await stack.take(customer(1, granted=False), customer(2), *many(2))
    worker = stack.worker()
    await turns([worker])
    assert mail.taken == []
    await stack.take(*[message(2) for _ in range(2)])
    await turns([worker])
    assert len(mail.taken) == 2


async def test_no_limits_cost_no_statement(stack: Bench, clock: ManualClock) -> None:
    mails(stack, Scripted("mail"))
    no_database: Any = None
    flow = Flow(stack.delivery, stack.providers, no_database, clock)
    claimed = [Claimed(event.data.message_id, event, 0, 0) for event in many(3)]
    shares = await flow.share_out(claimed)
    assert all(isinstance(share, Lot) for share in shares.values())
    await flow.give_back(shares.values())


async def test_no_more_are_claimed_than_providers_bear_at_once(stack: Bench) -> None:
    mails(stack, Scripted("mail"), concurrency=4)
    await stack.take(customer(1), *many(20))
    worker = stack.worker()
    assert await worker.sender.start_batch(20) == 4
    await worker.sender.settle()


@pytest.mark.parametrize("fault", [Fault.PASSING, Fault.BUSY, Fault.SENDER, Fault.QUOTA])
async def test_what_one_provider_certainly_did_not_take_the_next_one_has(
    stack: Bench, clock: ManualClock, fault: Fault
) -> None:
    first, second = Scripted("first", answer=says(fault, 3600)), Scripted("second")
    mails(stack, first, second)
    events = many(30)
    await stack.take(customer(1), *events)
    worker = stack.worker()
    await turns([worker])
    clock.advance(timedelta(seconds=1))
    await turns([worker])
    assert first.taken == []
    assert Counter(second.taken) == Counter(event.data.message_id for event in events)
    assert {row["provider"] for row in (await stack.states()).values()} == {"second"}


@pytest.mark.parametrize("seed", range(3))
async def test_no_message_is_ever_taken_by_two_providers(stack: Bench, clock: ManualClock, seed: int) -> None:
    chance = Random(seed)  # noqa: S311  no secret

    def anything(_: Parcel) -> Answer:
        fault = chance.choice([None, None, None, *Fault])
        if fault is None:
            return Answer.accepted()
        lost = fault is Fault.OPEN and chance.random() < 0.5
        return Answer.of(fault, "lost_after_it_was_taken" if lost else "told")

    first, second = Scripted("first", answer=anything), Scripted("second", answer=anything)
    mails(stack, first, second)
    events = many(80)
    await stack.take(customer(1), *events)
    for round_ in range(12):
        if round_ == 8:
            first.answer = second.answer = takes
        await turns([stack.worker(), stack.worker()], 1)
        clock.advance(timedelta(hours=3))
    taken = Counter(first.taken) + Counter(second.taken)
    rows = await stack.states()
    assert max(taken.values()) == 1
    assert {row["state"] for row in rows.values()} <= {"accepted", "rejected", "unknown", "withheld"}
    assert {key for key, row in rows.items() if row["state"] == "accepted"} <= taken.keys()


async def test_what_is_handed_over_under_the_same_key_goes_to_no_other_provider(
    stack: Bench, clock: ManualClock
) -> None:
    first, second = Scripted("first", answer=says(Fault.OPEN)), Scripted("second")
    mails(stack, first, second)
    (event,) = many(1)
    await stack.take(customer(1), event)
    worker = stack.worker()
    await turns([worker])
    assert await stack.state(event) == "unknown"
    now, cause = clock.machine(), Cause.SAME_KEY
    states = (sources(cause), target(cause))
    await stack.pool.execute(reconcile.queries.same_key, now, now, [event.data.message_id], *states, DAY, 1)
    first.answer = says(Fault.PASSING)
    for _ in range(5):
        clock.advance(timedelta(minutes=2))
        await turns([worker])
    assert len(first.handed) > 3
    assert second.handed == []
    first.answer = takes
    clock.advance(timedelta(minutes=2))
    await turns([worker])
    assert await stack.state(event) == "accepted"


async def test_service_messages_go_before_offers(stack: Bench) -> None:
    mail = Scripted("mail")
    mails(stack, mail)
    offers, service = many(30), many(2, purpose="service")
    await stack.take(customer(1), *offers)
    await stack.take(*service)
    worker = stack.worker()
    await worker.sender.start_batch(3)
    await worker.sender.settle()
    wanted = {event.data.message_id for event in service}
    assert wanted < set(mail.taken)
    assert len(mail.taken) == 3


async def test_one_shops_queue_does_not_hold_up_anothers(stack: Bench) -> None:
    mail = Scripted("mail")
    mails(stack, mail)
    await stack.take(customer(1), person_of("fitness"), *many(200))
    await stack.take(*of_shop("fitness", many(2)))
    worker = stack.worker()
    await worker.sender.start_batch(10)
    await worker.sender.settle()
    assert Counter(parcel.shop for parcel in mail.handed) == {"skincare": 8, "fitness": 2}


async def test_a_provider_that_fails_is_left_alone_and_tried_with_one_message(
    stack: Bench, clock: ManualClock, said: Callable[[], str]
) -> None:
    mail = Scripted("mail", answer=says(Fault.PASSING))
    mails(stack, mail)
    events = many(60)
    await stack.take(customer(1), *events)
    worker = stack.worker()
    await turns([worker])
    assert len(mail.handed) == 20, "one batch was on its way"
    assert worker.flow.status()["mail"]["breaker"] == "open"
    gauge = metrics.PROVIDER_OPEN.labels("mail")
    assert gauge._value.get() == 1  # noqa: SLF001  the client has no other way to read one
    clock.advance(timedelta(seconds=1))
    await turns([worker])
    assert len(mail.handed) == 21, "the probe"
    mail.answer = takes
    for _ in range(3):
        clock.advance(timedelta(seconds=2))
        await turns([worker])
    assert len(mail.taken) == 60
    assert gauge._value.get() == 0  # noqa: SLF001  as above
    assert said().count("provider_left_alone") == 1
    assert {await stack.state(event) for event in events} == {"accepted"}


async def test_messages_wait_while_no_provider_is_there(
    stack: Bench, clock: ManualClock, said: Callable[[], str]
) -> None:
    both = [Scripted(name, answer=says(Fault.SENDER)) for name in ("first", "second")]
    mails(stack, *both)
    events = many(60)
    await stack.take(customer(1), *events)
    worker = stack.worker()
    await turns([worker], 10)
    assert {await stack.state(event) for event in events} == {"intended"}
    assert all(each["breaker"] == "open" for each in worker.flow.status().values())
    assert said().count("sender_refused") == 2
    for each in both:
        each.answer = takes
    for _ in range(3):
        clock.advance(timedelta(minutes=5))
        await turns([worker])
    assert Counter([await stack.state(event) for event in events]) == {"accepted": 60}


async def test_a_recipient_out_of_reach_is_tried_once_more(stack: Bench, clock: ManualClock) -> None:
    mail = Scripted("mail", answer=says(Fault.SOFT))
    mails(stack, mail)
    (event,) = many(1)
    await stack.take(customer(1), event)
    worker = stack.worker()
    await turns([worker])
    assert await stack.state(event) == "intended"
    for _ in range(3):
        clock.advance(timedelta(hours=1))
        await turns([worker])
    assert (len(mail.handed), await stack.state(event)) == (2, "rejected")


async def test_a_campaign_whose_content_is_refused_is_paused_by_the_dispatcher(
    stack: Bench, said: Callable[[], str]
) -> None:
    mails(stack, Scripted("mail", answer=says(Fault.CONTENT)))
    await stack.take(customer(1), *many(10))
    await turns([stack.worker()])
    (control,) = await stack.thrown()
    assert (control.data.action, control.data.journey, control.data.channel) == ("pause", "skincare", "email")
    assert (control.shopid, control.data.set_by) == ("skincare", "dispatcher")
    assert "10 of the last 50" in control.data.why
    assert said().count("campaign_held") == 1


async def test_a_text_waits_for_the_laws_hours_and_is_valid_to_their_end(
    stack: Bench, clock: ManualClock
) -> None:
    text = Scripted("text", Channel.SMS)
    texts(stack, text)
    clock.set(START.replace(hour=21))
    event = message(1, Channel.SMS, valid_until=START + 3 * DAY)
    short = message(1, Channel.SMS, valid_until=START.replace(hour=23))
    await stack.take(customer(1), event, short)
    worker = stack.worker()
    await turns([worker])
    assert (await stack.state(event), await stack.reason(event)) == ("intended", "quiet_hours")
    assert (await stack.state(short), await stack.reason(short)) == ("withheld", "quiet_hours")
    clock.set(START.replace(hour=8, minute=59) + DAY)
    await turns([worker])
    assert text.handed == []
    clock.set(START.replace(hour=10) + DAY)
    await turns([worker])
    (parcel,) = text.handed
    assert parcel.valid_for == timedelta(hours=10).total_seconds()


async def test_whoever_moved_since_the_decision_is_texted_by_the_hours_of_both_places(
    stack: Bench, clock: ManualClock
) -> None:
    text = Scripted("text", Channel.SMS)
    texts(stack, text)
    event, moved = message(1, Channel.SMS), customer(1, 2)
    place = {"country": "US", "region": "CA", "time_zone": "America/Los_Angeles"}
    await stack.take(moved.model_copy(update={"data": moved.data.model_copy(update=place)}), event)
    clock.set(START.replace(hour=16, minute=59))
    worker = stack.worker()
    await turns([worker])
    assert await stack.reason(event) == "quiet_hours"
    clock.set(START.replace(hour=17, minute=1))
    await turns([worker])
    assert await stack.state(event) == "accepted"


async def test_a_stop_while_a_text_waits_for_the_morning_wins(stack: Bench, clock: ManualClock) -> None:
    text = Scripted("text", Channel.SMS)
    texts(stack, text)
    clock.set(START.replace(hour=21))
    event = message(1, Channel.SMS, valid_until=START + 3 * DAY)
    await stack.take(customer(1), event)
    worker = stack.worker()
    await turns([worker])
    clock.advance(timedelta(hours=1))
    stop = engagement(1, EngagementKind.UNSUBSCRIBED, clock.business())
    await stack.take(stop.model_copy(update={"data": stop.data.model_copy(update={"channel": Channel.SMS})}))
    clock.set(START.replace(hour=10) + DAY)
    await turns([worker])
    assert text.handed == []
    assert (await stack.state(event), await stack.reason(event)) == ("withheld", "no_consent")


async def test_a_fault_of_the_database_at_hand_over_costs_no_message(
    stack: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = Scripted("mail")
    mails(stack, mail)
    events = many(30)
    await stack.take(customer(1), *events)
    worker = stack.worker()
    hand_over, faults = worker.ledger.hand_over, iter([ConnectionResetError(), ConnectionResetError()])

    async def failing(*given: Any) -> Any:  # noqa: ANN401  as the method it stands for
        if fault := next(faults, None):
            raise fault
        return await hand_over(*given)

    monkeypatch.setattr(worker.ledger, "hand_over", failing)
    async with running([worker]):
        assert await stack.settled(*events) == {"accepted": 30}
    assert max(Counter(mail.taken).values()) == 1


async def test_what_was_claimed_ahead_is_given_back_at_the_end(stack: Bench) -> None:
    mail = Scripted("mail")
    mails(stack, mail, concurrency=1)
    await stack.take(customer(1), *many(30))
    async with running([stack.worker()]):
        await eventually(lambda: mail.taken)
    left = Counter(row["state"] for row in (await stack.states()).values())
    assert left.keys() <= {"accepted", "intended"}
    assert left["accepted"] == len(mail.taken)


async def test_a_key_that_cannot_be_used_leaves_nothing_unknown_and_another_provider_takes_over(
    stack: Bench, clock: ManualClock
) -> None:
    def keyless(_: Parcel) -> Answer:
        message = "cannot read the secret"
        raise SettingsError(message)

    first, second = Scripted("first", answer=keyless), Scripted("second")
    mails(stack, first, second)
    event = message(1, valid_until=START + 5 * DAY)
    await stack.take(customer(1), event)
    worker = stack.worker()
    await turns([worker])
    clock.advance(timedelta(seconds=61))
    await turns([worker])
    assert (await stack.state(event), second.taken) == ("accepted", [event.data.message_id])


async def test_a_wait_of_ages_that_a_far_end_asks_for_ends_no_process(stack: Bench) -> None:
    endless = Reply(503, {"Retry-After": "9" * 40}, b"").retry_after()
    mails(stack, Scripted("mail", answer=says(Fault.BUSY, endless)))
    event = message(1, valid_until=START + 5 * DAY)
    await stack.take(customer(1), event)
    await turns([stack.worker()])
    assert await stack.state(event) == "intended"


async def test_a_strangers_server_that_refuses_us_keeps_nobody_else_waiting(stack: Bench) -> None:
    def refuses_one(parcel: Parcel) -> Answer:
        if parcel.recipient == "stranger@example.com":
            return replace(Answer.of(Fault.BUSY, "told_busy", 86_400), apart=True)
        return Answer.accepted()

    mail = Scripted("mail", answer=refuses_one)
    mails(stack, mail)
    worker = stack.worker()
    await stack.take(customer(1), *many(12, recipient="stranger@example.com"))
    await turns([worker])
    event = message(1, valid_until=START + 5 * DAY)
    await stack.take(event)
    await turns([worker], 1)
    assert mail.taken == [event.data.message_id]
    assert worker.flow.status()["mail"]["breaker"] == "closed"
