"""One offer on the thank-you page: decided by the core, once for an order, and counted like any message."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.scheduler.domain import Programme
from shared.events import Channel, Control, ControlSet, EngagementKind, OrderStatus, Verdict
from shared.ids import guest_id
from shared.kafka.records import Record
from shared.topics import CONTROLS, DECISIONS, ENGAGEMENT, MESSAGES
from tests.support.paging import Stand, ask, asked, page_journey, page_step, post, queries, stand
from tests.support.samples import START, engagement, order, returned
from tests.support.scheduling import envelope, profile, shelf, step

SHOP = "skincare"
HOUR = timedelta(hours=1)


@pytest.fixture
async def page(database_url: str) -> AsyncIterator[Stand]:
    async with stand(database_url) as ready:
        yield ready


async def _verdicts(page: Stand) -> list[tuple[str, str, str | None]]:
    return [(each["step"], each["verdict"], each.get("reason")) for each in await page.written(DECISIONS)]


async def test_a_customer_of_whom_nothing_is_known_yet_gets_an_offer(page: Stand) -> None:
    async with page.client() as client:
        offer = (await ask(client))["offer"]
    assert offer["title"] == "Complete your routine"
    assert offer["button"] == "Add it"
    assert [each["name"] for each in offer["products"]] == ["Toner"]
    assert offer["products"][0]["why"] == "Customers who bought your Cleanser often take it along."
    assert offer["incentive"]["code"] == "PAGE10"
    assert offer["incentive"]["text"] == "10% off"
    assert offer["incentive"]["expires_at"] == offer["expires_at"] == (START + 48 * HOUR).isoformat()
    assert offer["variant"] == "treated"
    assert offer["accepted_at"] is None
    assert await _verdicts(page) == [("add-on", "send", None)]


async def test_the_pages_order_is_not_written_as_a_fact_but_the_verdict_is(page: Stand) -> None:
    async with page.client() as client:
        offer = (await ask(client))["offer"]
    known = await page.state()
    assert known is not None
    assert known.orders == {}
    ((message_id, fact),) = known.verdicts.items()
    assert (str(message_id), fact.verdict, fact.channel) == (offer["id"], Verdict.SEND, Channel.PAGE)
    assert fact.products == ("toner",)


async def test_asked_again_it_says_the_same_and_writes_nothing(page: Stand) -> None:
    async with page.client() as client:
        first = await ask(client)
        page.clock.now = START + HOUR
        await page.feed(order(), profile(SHOP, "c-1"))
        assert await ask(client, asked(total="4000.00")) == first
    assert len(await page.written(DECISIONS)) == 1


async def test_two_requests_at_once_make_one_decision(page: Stand) -> None:
    first, second = await page.offers(), await page.offers()
    data = order().data
    answers = await asyncio.gather(
        *(each.ask(SHOP, "c-1", data) for each in (first, second) for _ in range(5))
    )
    assert len({answer.offer and answer.offer.text for answer in answers}) == 1
    assert answers[0].offer is not None
    assert len(await page.written(DECISIONS)) == 1


async def test_the_event_that_comes_later_is_the_truth(page: Stand) -> None:
    async with page.client() as client:
        await ask(client)
    await page.feed(order(status=OrderStatus.CANCELLED, version=2))
    known = await page.state()
    assert known is not None
    assert known.orders["o-1"].status is OrderStatus.CANCELLED
    assert len(known.verdicts) == 1


async def test_a_known_order_is_judged_by_its_event_not_by_the_page(page: Stand) -> None:
    await page.feed(order(status=OrderStatus.CANCELLED))
    async with page.client() as client:
        assert await ask(client) == {"offer": None, "reason": "order_cancelled"}
    assert await _verdicts(page) == [("add-on", "skip", "order_cancelled")]


async def test_a_guest_is_who_the_checkouts_address_makes_them(page: Stand) -> None:
    body = asked()
    del body["customer_id"]
    async with page.client() as client:
        assert (await ask(client, {**body, "guest": {"email": "Ada@example.com"}}))["offer"]
    known = guest_id(b"change-me-per-deployment", SHOP, "ada@example.com")
    assert await page.state(known) is not None


async def test_held_out_people_see_nothing_and_are_recorded(database_url: str) -> None:
    async with (
        stand(database_url, page_journey(holdout={"share": 1})) as page,
        page.client() as client,
    ):
        assert await ask(client) == {"offer": None, "reason": "holdout"}
        assert await ask(client) == {"offer": None, "reason": "holdout"}
        assert await _verdicts(page) == [("add-on", "ghost", "holdout")]


async def test_what_is_owned_or_came_back_is_not_offered(page: Stand) -> None:
    bought = order("o-0", placed_at=START - 100 * HOUR)
    lines = bought.data.model_dump()["lines"]
    owned = bought.data.model_copy(
        update={"lines": (bought.data.lines[0].model_copy(update={"product_id": "toner"}),)}
    )
    assert lines
    await page.feed(bought.model_copy(update={"data": owned}))
    async with page.client() as client:
        offer = (await ask(client))["offer"]
    assert [each["product_id"] for each in offer["products"]] == ["serum"]


@pytest.mark.parametrize("reason", ["complaint", "unhappy", "returned", "staff"])
async def test_who_must_be_left_alone_is(page: Stand, reason: str) -> None:
    customer = profile(SHOP, "c-1")
    unhappy = engagement(None, EngagementKind.ANSWERED, at=START - HOUR)
    news = {
        "complaint": engagement(None, EngagementKind.COMPLAINED, at=START - HOUR),
        "unhappy": unhappy.model_copy(update={"data": unhappy.data.model_copy(update={"answer": "unhappy"})}),
        "returned": returned(order_id="o-0", at=START - HOUR),
        "staff": customer.model_copy(update={"data": customer.data.model_copy(update={"staff": True})}),
    }
    await page.feed(news[reason])
    async with page.client() as client:
        assert await ask(client) == {"offer": None, "reason": reason}


async def test_an_offer_on_the_page_counts_towards_the_caps_of_messages(database_url: str) -> None:
    plan = page_journey(SHOP, page_step(), caps=[{"count": 1, "per": "7d", "channels": ["page", "email"]}])
    async with stand(database_url, plan) as page, page.client() as client:
        assert (await ask(client))["offer"]
        page.clock.now = START + HOUR
        assert await ask(client, asked("o-2")) == {"offer": None, "reason": "capped"}
        assert await _verdicts(page) == [("add-on", "send", None), ("add-on", "skip", "capped")]


async def test_what_would_have_to_wait_is_not_made_at_all(database_url: str) -> None:
    plan = page_journey(
        SHOP, page_step(), caps=[{"count": 1, "per": "1d", "channels": ["page"], "action": "defer"}]
    )
    async with stand(database_url, plan) as page, page.client() as client:
        assert (await ask(client))["offer"]
        assert await ask(client, asked("o-2")) == {"offer": None, "reason": "capped"}
        page.clock.now = START + 25 * HOUR
        assert await ask(client, asked("o-2")) == {"offer": None, "reason": "capped"}
        assert await _verdicts(page) == [("add-on", "send", None), ("add-on", "skip", "capped")]


async def test_of_several_offers_the_first_takes_the_page_and_the_rest_are_outbid(database_url: str) -> None:
    plan = page_journey(SHOP, page_step("second", priority=60), page_step("first", priority=10))
    async with stand(database_url, plan) as page, page.client() as client:
        assert (await ask(client))["offer"]
        assert await _verdicts(page) == [("first", "send", None), ("second", "skip", "outbid")]
        (_, lost) = await page.written(DECISIONS)
        said = next(each for each in lost["rules"] if each["rule"] == "outbid")
        assert (said["outcome"], said["inputs"]["step"]) == ("drop", "first")


async def test_what_is_not_in_the_first_offer_is_tried_in_the_next(database_url: str) -> None:
    nothing = {"from": ["categories"], "categories": ["nothing"]}
    plan = page_journey(SHOP, page_step("first", offer=nothing, priority=10), page_step("second"))
    async with stand(database_url, plan) as page, page.client() as client:
        assert (await ask(client))["offer"]["products"]
        assert await _verdicts(page) == [("first", "skip", "no_candidate"), ("second", "send", None)]


async def test_a_code_of_the_customers_own_comes_with_the_offer_and_stays_theirs(database_url: str) -> None:
    own = {
        **page_step()["offer"],
        "incentive": {"kind": "percent", "value": "10", "prefix": "TY", "valid_for": "48h"},
    }
    async with stand(database_url, page_journey(SHOP, page_step(offer=own))) as page, page.client() as client:
        first = (await ask(client))["offer"]["incentive"]["code"]
        other = (await ask(client, asked("o-2", customer_id="c-2")))["offer"]["incentive"]["code"]
        assert first.startswith("TY")
        assert first != other
        assert (await ask(client))["offer"]["incentive"]["code"] == first


async def test_a_threshold_offer_says_how_much_more_it_takes(database_url: str) -> None:
    terms = {
        "kind": "free_shipping",
        "threshold": {"amount": "50.00", "currency": "USD"},
        "cost": "4",
        "currency": "USD",
    }
    step = page_step(offer={"from": ["complements"], "count": 1, "incentive": terms})
    async with stand(database_url, page_journey(SHOP, step)) as page, page.client() as client:
        offer = (await ask(client))["offer"]
    assert offer["add_more"]
    assert offer["incentive"]["text"] == "free shipping"


async def test_offers_on_the_page_spend_the_shops_budget_and_no_more_than_it(database_url: str) -> None:
    budgets = [{"currency": "USD", "amount": "1.00", "per": "month", "action": "drop"}]
    programme = Programme.model_validate({"shop": SHOP, "budgets": budgets})
    async with stand(database_url, programme=programme) as page, page.client() as client:
        answers = await asyncio.gather(
            *(ask(client, asked(f"o-{number}", customer_id=f"c-{number}")) for number in range(6))
        )
    reasons = [answer.get("reason") for answer in answers]
    assert sorted(map(str, reasons)) == ["None"] * 2 + ["budget_spent"] * 4


@pytest.mark.parametrize("known", [True, False])
async def test_a_step_after_the_page_comes_due_once_its_order_is_known(
    database_url: str, *, known: bool
) -> None:
    after = {**step("remind", "email", "order", "1h"), "after": {"step": "add-on"}}
    async with stand(database_url, page_journey(SHOP, page_step(), after)) as page, page.client() as client:
        if known:
            await page.feed(order(), profile(SHOP, "c-1"))
        assert (await ask(client))["offer"]
        if not known:
            await page.feed(order(), profile(SHOP, "c-1"))
        rows = await page.pool.fetch(queries.steps)
        assert [(row["step"], row["due_at"]) for row in rows] == [("remind", START + HOUR)]
        assert await page.written(MESSAGES) == []


async def test_on_a_stale_state_nothing_is_decided(page: Stand) -> None:
    await page.fresh(ago=timedelta(minutes=5))
    async with page.client() as client:
        assert await ask(client) == {"offer": None, "reason": "stale_state"}
        assert await page.state() is None
        await page.fresh()
        assert (await ask(client))["offer"]


async def test_a_shop_without_offers_on_the_page_answers_so_and_writes_nothing(page: Stand) -> None:
    async with page.client() as client:
        assert await ask(client, asked(shop="other")) == {"offer": None, "reason": "no_step"}
    assert await page.state() is None


def _throw(page: Stand, action: str) -> None:
    control = Control.model_validate(
        {"action": action, "set_at": START, "set_by": "ada", "why": "wrong price"}
    )
    event = ControlSet(**envelope(SHOP, None, START), data=control)
    page.views.take(Record(CONTROLS.name, 0, 0, f"{SHOP}|*|*|{action}".encode(), b""), event)


async def test_while_a_shop_is_paused_nothing_is_decided(page: Stand) -> None:
    _throw(page, "pause")
    async with page.client() as client:
        assert await ask(client) == {"offer": None, "reason": "paused"}
    assert await _verdicts(page) == []


async def test_of_a_stopped_journey_the_offer_is_skipped(page: Stand) -> None:
    _throw(page, "stop")
    async with page.client() as client:
        assert await ask(client) == {"offer": None, "reason": "journey_stopped"}
    assert await _verdicts(page) == [("add-on", "skip", "journey_stopped")]


async def test_a_variant_is_shown_and_its_exposure_is_on_record(database_url: str) -> None:
    other = {"page": {"title": "Your skin will like this"}}
    compared = {
        "experiment": "title",
        "step": page_step(),
        "variants": [{"name": "plain", "weight": 0}, {"name": "warm", "weight": 1, "set": other}],
    }
    async with stand(database_url, page_journey(SHOP, compared)) as page, page.client() as client:
        offer = (await ask(client))["offer"]
        (decision,) = await page.written(DECISIONS)
    assert offer["title"] == "Your skin will like this"
    assert offer["exposures"] == decision["exposures"] == {"title": "warm"}


async def test_after_its_deadline_it_answers_and_writes_nothing(database_url: str) -> None:
    async with stand(database_url, thank_you_deadline_seconds=0.05) as page, page.client() as client:
        await page.feed(profile(SHOP, "c-1"))
        holder = await page.pool.acquire()
        async with holder.transaction():
            await holder.execute(queries.hold_customers)
            assert await ask(client) == {"offer": None, "reason": "timeout"}
        await page.pool.release(holder)
        assert await _verdicts(page) == []


async def test_an_ended_offer_is_no_longer_shown(page: Stand) -> None:
    async with page.client() as client:
        assert (await ask(client))["offer"]
        page.clock.now = START + 48 * HOUR
        assert await ask(client) == {"offer": None, "reason": "expired"}


async def test_without_evidence_there_is_no_offer(database_url: str) -> None:
    async with stand(database_url, views=shelf(SHOP, goes_with=())) as page, page.client() as client:
        assert await ask(client) == {"offer": None, "reason": "no_candidate"}


async def test_accepting_tells_everybody_once(page: Stand) -> None:
    async with page.client() as client:
        offer = (await ask(client))["offer"]
        path = f"/v1/offers/{offer['id']}/accept"
        page.clock.now = START + HOUR
        first = await post(client, path, {"token": offer["token"]})
        page.clock.now = START + 2 * HOUR
        again = await post(client, path, {"token": offer["token"]})
        shown = (await ask(client))["offer"]
    assert (
        first
        == again
        == (
            200,
            {"accepted": True, "offer": offer["id"], "accepted_at": (START + HOUR).isoformat()},
        )
    )
    (told,) = await page.written(ENGAGEMENT)
    assert (told["kind"], told["channel"], told["message_id"]) == ("offer_accepted", "page", offer["id"])
    assert shown["accepted_at"] == (START + HOUR).isoformat()


async def test_clicks_at_once_are_one_acceptance(page: Stand) -> None:
    async with page.client() as client:
        offer = (await ask(client))["offer"]
        clicks = (
            post(client, f"/v1/offers/{offer['id']}/accept", {"token": offer["token"]}) for _ in range(8)
        )
        answers = await asyncio.gather(*clicks)
    assert {status for status, _ in answers} == {200}
    assert len(await page.written(ENGAGEMENT)) == 1
