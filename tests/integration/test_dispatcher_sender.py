"""From the ledger through the sender to what the far end received, on real PostgreSQL, SMTP and HTTP."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.dispatcher import answers
from services.dispatcher.compose import Composer
from services.dispatcher.domain.policy import Withheld
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import Answer, Parcel, Result
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.smtp import SmtpConfig, SmtpProvider
from shared import metrics
from shared.events import Channel, Control, EngagementKind
from shared.switches import EVERY, Switch
from tests.support.dispatching import Bench, StandingClock, bench, running
from tests.support.messages import START, customer, engagement, message
from tests.support.waiting import eventually

PAUSE = Switch(
    "skincare", Control(action="pause", journey="skincare", set_at=START, set_by="sre", why="test")
)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, clock: StandingClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, clock) as made:
        yield made


async def test_every_message_arrives_once_and_is_told(stack: Bench) -> None:
    mails = [message(number) for number in range(60)]
    texts = [message(100 + number, Channel.SMS) for number in range(20)]
    people = [customer(number) for number in (*range(60), *range(100, 120))]
    await stack.take(*people, *mails, *texts)
    async with running([stack.worker(), stack.worker()]):
        assert await stack.settled(*mails, *texts) == {"accepted": 80}
    assert Counter(stack.mailed()) == Counter(str(event.data.message_id) for event in mails)
    assert Counter(entry["k"] for entry in stack.twilio.received()) == Counter(
        str(event.data.message_id) for event in texts
    )
    told = await stack.told()
    assert Counter((one.kind, one.channel) for one in told) == {
        ("accepted", "email"): 60,
        ("accepted", "sms"): 20,
    }
    assert all(row["emptied"] for row in (await stack.states()).values())


async def test_the_same_message_again_changes_nothing(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event, event)
    async with running([stack.worker()]):
        await stack.settled(event)
        await stack.take(event)
        later = message(1)
        await stack.take(later)
        await stack.settled(later)
    assert len(stack.mailed()) == 2


async def test_an_opt_out_between_decision_and_hand_over_wins(stack: Bench, clock: StandingClock) -> None:
    withdrawn, unsubscribed = message(1), message(2)
    await stack.take(customer(1), customer(2), withdrawn, unsubscribed)
    clock.now += timedelta(minutes=5)
    await stack.take(
        customer(1, 2, granted=False, at=clock.now), engagement(2, EngagementKind.UNSUBSCRIBED, clock.now)
    )
    async with running([stack.worker()]):
        assert await stack.settled(withdrawn, unsubscribed) == {"withheld": 2}
    assert stack.mailed() == []
    assert [(one.kind, one.reason) for one in await stack.told()] == [("withheld", "no_consent")] * 2


async def test_consent_given_after_an_opt_out_counts_again(stack: Bench, clock: StandingClock) -> None:
    await stack.take(customer(1), engagement(1, EngagementKind.UNSUBSCRIBED, START))
    clock.now += timedelta(minutes=5)
    event = message(1)
    await stack.take(customer(1, 2, at=clock.now), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}


async def test_an_older_version_of_a_customer_is_ignored(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1, 5, granted=False))
    await stack.take(customer(1, 4), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}


async def test_a_message_waits_until_its_customer_has_been_read(stack: Bench) -> None:
    event = message(1)
    await stack.take(event)
    async with running([stack.worker()]):

        async def held() -> bool:
            return await stack.reason(event) == "consent_not_read"

        await eventually(held)
        await stack.take(customer(1))
        assert await stack.settled(event) == {"accepted": 1}


async def test_a_message_past_its_validity_is_withheld(stack: Bench, clock: StandingClock) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    clock.now += timedelta(days=1, seconds=1)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}
    assert [one.reason for one in await stack.told()] == ["expired"]


async def test_a_pause_holds_and_its_end_lets_go(stack: Bench) -> None:
    event = message(1)
    stack.switches.append(PAUSE)
    await stack.take(customer(1), event)
    worker = stack.worker()
    assert await worker.sender.start_batch(10) == 0
    stack.switches.clear()
    async with running([worker]):
        assert await stack.settled(event) == {"accepted": 1}


async def test_what_is_paused_does_not_keep_others_from_their_turn(stack: Bench) -> None:
    paused, passing = [message(1) for _ in range(5)], message(1, journey="other")
    await stack.take(customer(1), *paused)
    await stack.take(passing)
    stack.switches.append(PAUSE)
    worker = stack.worker()
    assert await worker.sender.start_batch(1) == 1
    assert worker.sender.holding() == {passing.data.message_id}
    async with running([worker]):
        assert await stack.settled(passing) == {"accepted": 1}
    assert {await stack.state(event) for event in paused} == {"intended"}


async def test_a_pause_of_every_shop_holds_each(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    stack.switches.append(Switch(EVERY, Control(action="pause", set_at=START, set_by="sre", why="test")))
    assert await stack.worker().sender.start_batch(1) == 0


async def test_a_stop_withholds_what_was_queued_and_says_so(stack: Bench) -> None:
    stopped, passing = message(1), message(1, journey="other")
    await stack.take(customer(1), stopped, passing)
    stack.switches.append(Switch(PAUSE.shop, PAUSE.control.model_copy(update={"action": "stop"})))
    async with running([stack.worker()]):
        assert await stack.settled(stopped, passing) == {"withheld": 1, "accepted": 1}
    assert await stack.reason(stopped) == "stopped"
    assert [(one.kind, one.reason) for one in await stack.told()][:1] == [("withheld", "stopped")]


async def test_a_paused_message_is_withheld_when_it_expires(stack: Bench, clock: StandingClock) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    stack.switches.append(PAUSE)
    clock.now += timedelta(days=1, seconds=1)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}


async def test_a_pause_set_between_claim_and_hand_over_holds(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    compose = Composer(stack.settings, stack.clock).parcel

    def pausing(claimed: Claimed) -> Parcel | Withheld:
        stack.switches.append(PAUSE)
        return compose(claimed)

    assert await stack.worker(pausing).sender.start_batch(10) == 1
    assert (await stack.state(event), await stack.reason(event)) == ("intended", "paused")


@pytest.mark.parametrize("fault", ["4xx", "data_4xx", "drop_before"])
async def test_what_the_server_certainly_did_not_take_goes_again(stack: Bench, fault: str) -> None:
    stack.smtp.faults.script.append(fault)
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}
    assert stack.mailed() == [str(event.data.message_id)]
    assert (await stack.states())[event.data.message_id]["attempts"] == 2


@pytest.mark.parametrize(("fault", "received"), [("drop_taken", 1), ("drop_lost", 0)])
async def test_a_connection_lost_after_the_content_is_unknown_and_not_sent_again(
    stack: Bench, fault: str, received: int
) -> None:
    stack.smtp.faults.script.append(fault)
    event, later = message(1), message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"unknown": 1}
        await stack.take(later)
        await stack.settled(later)
    assert stack.mailed().count(str(event.data.message_id)) == received
    assert [one.kind for one in await stack.told()] == ["unknown", "accepted"]


async def test_a_permanent_refusal_is_told_with_its_code(stack: Bench) -> None:
    stack.smtp.faults.script.append("5xx")
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"rejected": 1}
    assert [(one.kind, one.reason, one.provider) for one in await stack.told()] == [
        ("rejected", "smtp_550", "smtp")
    ]


async def test_a_stop_that_the_sms_provider_knows_suppresses_the_channel(stack: Bench) -> None:
    stack.twilio.faults.script.append("21610")
    first, second, mail = message(1, Channel.SMS), message(1, Channel.SMS), message(1)
    await stack.take(customer(1), first)
    async with running([stack.worker()]):
        assert await stack.settled(first) == {"rejected": 1}
        await stack.take(second, mail)
        await stack.settled(second, mail)
    assert await stack.state(second) == "withheld"
    assert await stack.state(mail) == "accepted"
    kinds = Counter(one.kind for one in await stack.told())
    assert kinds == {"rejected": 1, "unsubscribed": 1, "withheld": 1, "accepted": 1}


async def test_a_template_that_is_missing_withholds_the_message(stack: Bench) -> None:
    event = message(1, template="skincare/no-such-thing")
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}
    assert [one.reason for one in await stack.told()] == ["unrenderable"]


async def test_no_address_is_ever_logged(stack: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    stack.smtp.faults.script.extend(["4xx", "5xx", "drop_taken", "drop_before", None])
    events = [message(number) for number in range(6)]
    odd = message(7, recipient="not an address someone7")
    texts = [message(20, Channel.SMS)]
    await stack.take(*(customer(number) for number in (*range(8), 20)), *events, odd, *texts)
    async with running([stack.worker()]):
        await stack.settled(*events, odd, *texts)
    logged = "".join(capfd.readouterr())
    assert "example.com" not in logged
    assert "someone" not in logged
    assert "+1555" not in logged
    assert "Ana" not in logged


async def test_proof_of_arrival_confirms_an_unknown_message(stack: Bench) -> None:
    stack.smtp.faults.script.append("drop_taken")
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        await stack.settled(event)
    await stack.take(engagement(1, EngagementKind.OPENED, START, event.data.message_id))
    assert await stack.state(event) == "confirmed"
    assert [one.kind for one in await stack.told()] == ["unknown", "accepted"]


async def test_no_more_than_the_claim_is_ever_handed_over_and_unanswered(
    database_url: str, tmp_path: Path, clock: StandingClock
) -> None:
    async with bench(database_url, tmp_path, clock, dispatcher_claim=5) as small:
        small.smtp.gate.clear()
        events = [message(1) for _ in range(20)]
        await small.take(customer(1), *events)

        async def handed_over() -> bool:
            states = Counter(row["state"] for row in (await small.states()).values())
            assert states["handed_over"] <= 5
            return small.smtp.waiting == small.settings.smtp_connections and states["handed_over"] == 5

        async with running([small.worker()]):
            await eventually(handed_over)
            small.smtp.gate.set()
            assert await small.settled(*events) == {"accepted": 20}


async def test_a_message_that_cannot_be_composed_does_not_stop_the_others(stack: Bench) -> None:
    odd = message(1, context={"shop_name": "Dewy & Co", "products": "none"})
    event = message(1)
    await stack.take(customer(1), odd, event)
    async with running([stack.worker()]):
        assert await stack.settled(odd, event) == {"withheld": 1, "accepted": 1}


async def test_an_erased_customer_gets_nothing_more(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1, 7), event)
    await stack.erase(1)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}


async def test_a_sender_that_is_refused_costs_no_message_and_is_told_to_people(
    stack: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    counted = metrics.SENDS.labels("email", "our_fault")
    before = counted._value.get()  # noqa: SLF001  the client has no other way to read one
    stack.smtp.sender_refusal = "550 5.7.1 not you"
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):

        async def put_back() -> bool:
            return await stack.reason(event) == "smtp_550"

        await eventually(put_back)
    assert await stack.state(event) == "intended"
    assert counted._value.get() == before + 1  # noqa: SLF001  as above
    assert "sender_refused" in "".join(capfd.readouterr())


class _OddWords(SmtpProvider):
    """Takes everything, and says so in bytes that are no text."""

    async def send(self, parcel: Parcel) -> Answer:
        del parcel
        return Answer(Result.ACCEPTED, reference="250 caf\udce9 \x00")


async def test_words_that_no_database_takes_do_not_hold_up_answers(stack: Bench) -> None:
    stack.providers["smtp"] = _OddWords(
        SmtpConfig(name="smtp", host="127.0.0.1"), Surroundings(None, "offers@shop.example.com")
    )
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}
    assert (await stack.states())[event.data.message_id]["provider_reference"] == "250 caf?  "


async def test_a_fault_of_ours_ends_the_loop_rather_than_repeat(
    stack: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(*_: object) -> None:
        raise asyncpg.DataError

    monkeypatch.setattr(answers, "write", wrong)
    await stack.take(customer(1), message(1))
    with pytest.raises(asyncpg.DataError):
        await asyncio.wait_for(stack.worker().sender.run(asyncio.Event()), 20)
