"""Budgets and codes on a real database, with several deciders at once."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from prometheus_client import REGISTRY

from services.scheduler.domain import Programme
from services.scheduler.domain.signing import made, signed
from services.scheduler.spending import codes
from services.scheduler.spending.codes import Redemption, Standing, Stock
from services.scheduler.spending.codes_left import CodesLeft
from services.scheduler.spending.commands import codes as command
from shared.db.queries import load_queries
from shared.errors import RetryLater
from shared.kafka import outbox
from shared.topics import DECISIONS, MESSAGES
from tests.support.samples import START, order
from tests.support.scheduling import Bench, bench, journey, profile, shelf, step

SHOP = "skincare"
HOUR = timedelta(hours=1)
PEOPLE = 60
SECRET = b"change-me-per-deployment"
queries = load_queries(Path(__file__).parents[1] / "support" / "offers.sql")


@asynccontextmanager
async def selling(
    database_url: str, incentive: dict[str, Any], budget: dict[str, Any] | None = None, claim: int = 10
) -> AsyncIterator[Bench]:
    """Yield a shop whose only step offers the toner, at 5.00, with this incentive."""
    terms = {"from": ["complements"], "count": 1, "max_price_share": None, "incentive": incentive}
    plan = journey(SHOP, steps=[step("pair", "email", "order", "45m", offer=terms)], caps=[])
    async with bench(database_url, [plan], shelf(SHOP)) as ready:
        ready.settings = ready.settings.model_copy(update={"scheduler_claim": claim})
        if budget is not None:
            ready.programmes = [Programme.model_validate({"shop": SHOP, "budgets": [budget]})]
            await ready.publish()
        yield ready


async def people(shop: Bench, count: int = PEOPLE) -> None:
    for number in range(count):
        customer = f"c-{number}"
        await shop.feed(profile(SHOP, customer), order(f"o-{number}", customer=customer))


async def at_once(shop: Bench) -> None:
    """Decide everything with three deciders, each as a process of its own would, until nothing is due."""

    async def poll() -> None:
        poller = shop.poller()
        while await left_due(shop):
            await poller.run_once(START + HOUR)

    await asyncio.gather(poll(), poll(), poll())


async def left_due(shop: Bench) -> int:
    return int(await shop.pool.fetchval(queries.due, START + HOUR))


async def offers(shop: Bench) -> list[dict[str, Any]]:
    return [each["offer"] for each in await shop.published(DECISIONS) if each["verdict"] == "send"]


async def fill(shop: Bench, count: int, pool: str = "spring") -> None:
    names = [f"GIFT{number:03}" for number in range(count)]
    async with shop.pool.acquire() as connection:
        await codes.add(connection, SHOP, pool, names, START)


async def stock(shop: Bench) -> Stock:
    async with shop.pool.acquire() as connection:
        (found,) = await codes.pools(connection, SHOP)
    return found


async def test_three_schedulers_together_never_promise_more_than_the_budget(database_url: str) -> None:
    half = {"kind": "percent", "value": 50, "code": "HALF"}
    async with selling(database_url, half, {"currency": "USD", "amount": "103.00"}) as shop:
        await people(shop)
        await at_once(shop)
        made_out = await offers(shop)
        reserved = sum(Decimal(each["reserved"]) for each in made_out if each.get("reserved"))
        kinds = Counter(each["incentive"]["kind"] for each in made_out)
        assert (kinds["percent"], kinds["none"]) == (41, 19)
        assert reserved == Decimal("102.50")
        assert await shop.pool.fetchval(queries.reserved) == reserved


async def test_a_spent_budget_defers_to_the_next_period_where_the_shop_wants_that(database_url: str) -> None:
    five = {"kind": "money", "value": 5, "currency": "USD", "code": "FIVE"}
    budget = {"currency": "USD", "amount": 5, "per": "day", "action": "defer"}
    async with selling(database_url, five, budget) as shop:
        await people(shop, 2)
        await at_once(shop)
        verdicts = {each["verdict"]: each for each in await shop.published(DECISIONS)}
        assert verdicts["defer"]["reason"] == "budget_spent"
        assert verdicts["defer"]["next_at"] == "2026-03-03T00:00:00Z"
        await shop.poll(START + timedelta(days=1))
        assert Counter(each["verdict"] for each in await shop.published(DECISIONS)) == {"send": 2, "defer": 1}
        assert await shop.pool.fetchval(queries.reserved) == 10


async def test_shops_without_budgets_pay_nothing(database_url: str) -> None:
    half = {"kind": "percent", "value": 50, "code": "HALF"}
    async with selling(database_url, half) as shop:
        await people(shop, 2)
        await at_once(shop)
        assert [each.get("reserved") for each in await offers(shop)] == [None, None]
        assert await shop.pool.fetchval(queries.reserved) is None


async def test_a_pool_gives_each_code_to_one_customer_and_the_rest_hear_nothing(database_url: str) -> None:
    async with selling(database_url, {"kind": "percent", "value": 10, "pool": "spring"}) as shop:
        await fill(shop, 40)
        await people(shop)
        await at_once(shop)
        verdicts = Counter((each["verdict"], each.get("reason")) for each in await shop.published(DECISIONS))
        assert verdicts == {("send", None): 40, ("skip", "no_code"): PEOPLE - 40}
        given = [each["context"]["incentive"]["code"] for each in await shop.published(MESSAGES)]
        assert len(set(given)) == 40
        await CodesLeft(shop.pool).look()
        labels = {"shop": SHOP, "pool": "spring"}
        assert REGISTRY.get_sample_value("orderwake_codes_left", labels) == 0
        async with shop.pool.acquire() as connection:
            issued = await codes.issued(connection, SHOP, "spring", 100)
        assert {each.code for each in issued} == set(given)
        left = await stock(shop)
        assert (left.waiting, left.issued) == (0, 40)


async def test_a_held_out_customer_takes_no_code_and_no_money(database_url: str) -> None:
    terms = {"from": ["complements"], "count": 1, "max_price_share": None}
    terms["incentive"] = {"kind": "percent", "value": 10, "pool": "spring"}
    plan = journey(SHOP, steps=[step("pair", "email", "order", "45m", offer=terms)], holdout={"share": 1})
    async with bench(database_url, [plan], shelf(SHOP)) as shop:
        await fill(shop, 1)
        await people(shop, 2)
        await at_once(shop)
        found = await shop.published(DECISIONS)
        assert [each["verdict"] for each in found] == ["ghost", "ghost"]
        assert [each["offer"]["incentive"].get("code") for each in found] == [None, None]
        assert (await stock(shop)).waiting == 1


async def test_a_decision_that_was_rolled_back_gets_the_same_code_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with selling(database_url, {"kind": "percent", "value": 10, "pool": "spring"}) as shop:
        await fill(shop, 3)
        await people(shop, 1)

        async def fails(*_: object) -> None:
            raise ConnectionResetError

        with monkeypatch.context() as broken:
            broken.setattr(outbox, "put", fails)
            with pytest.raises(ConnectionResetError):
                await shop.poller().run_once(START + HOUR)
        assert (await stock(shop)).waiting == 3
        await shop.poll(START + HOUR)
        (message,) = await shop.published(MESSAGES)
        assert message["context"]["incentive"]["code"] == "GIFT000"
        assert (await stock(shop)).waiting == 2


async def test_codes_held_by_others_are_waited_for_and_not_taken_for_an_empty_pool(database_url: str) -> None:
    async with selling(database_url, {"kind": "percent", "value": 10, "pool": "spring"}) as shop:
        await fill(shop, 1)
        await people(shop, 1)
        async with shop.pool.acquire() as other:
            holding = other.transaction()
            await holding.start()
            assert (await codes.draw(other, SHOP, "spring", 1)).codes == ("GIFT000",)
            assert await shop.poller().run_once(START + HOUR) == 0
            assert await shop.published(DECISIONS) == []
            await holding.rollback()
        assert await shop.poll(START + HOUR) == 1
        assert [each["verdict"] for each in await shop.published(DECISIONS)] == ["send"]


async def test_a_code_that_we_make_is_the_messages_own_and_signed(database_url: str) -> None:
    terms = {"kind": "percent", "value": 10, "prefix": "SPRING", "valid_for": "48h"}
    async with selling(database_url, terms) as shop:
        await people(shop, 3)
        await at_once(shop)
        messages = await shop.published(MESSAGES)
        given = {each["context"]["incentive"]["code"]: UUID(each["message_id"]) for each in messages}
        assert len(given) == 3
        assert all(signed(SECRET, SHOP, code, message) for code, message in given.items())
        code = next(iter(given))
        async with shop.pool.acquire() as connection:
            known = await codes.look(connection, SHOP, code.lower(), START + HOUR)
            late = await codes.look(connection, SHOP, code, START + 50 * HOUR)
            other = await codes.look(connection, "fitness", code, START + HOUR)
        assert (known.standing, late.standing, other.standing) == (
            Standing.VALID,
            Standing.EXPIRED,
            Standing.UNKNOWN,
        )
        assert known.given
        assert (known.given.code, known.given.message_id) == (code, given[code])
        assert known.given.expires_at == START + 49 * HOUR


async def test_a_code_like_one_of_another_message_is_made_anew(database_url: str) -> None:
    async with selling(database_url, {"kind": "percent", "value": 10, "prefix": "SPRING"}) as shop:
        await people(shop, 1)
        (row,) = await shop.steps()
        alike = made(SECRET, SHOP, "SPRING", row["message_id"])
        async with shop.pool.acquire() as connection:
            await codes.add(connection, SHOP, "old", [alike], START)
        poller = shop.poller()
        with pytest.raises(RetryLater):
            await poller.run_once(START + HOUR)
        await poller.run_once(START + HOUR)
        (message,) = await shop.published(MESSAGES)
        again = message["context"]["incentive"]["code"]
        assert again != alike
        assert signed(SECRET, SHOP, again, row["message_id"])


async def test_a_code_is_good_for_one_order(database_url: str) -> None:
    terms = {"kind": "percent", "value": 10, "pool": "spring", "valid_for": "48h"}
    async with selling(database_url, terms) as shop:
        await fill(shop, 3)
        await people(shop, 2)
        await at_once(shop)

        async def redeem(code: str, order_id: str, at: datetime = START + 2 * HOUR) -> Redemption:
            async with shop.pool.acquire() as connection, connection.transaction():
                return await codes.redeem(connection, SHOP, code, order_id, at)

        both = await asyncio.gather(redeem("GIFT000", "o-8"), redeem("GIFT000", "o-9"))
        assert sorted(both) == [Redemption.DONE, Redemption.OTHER_ORDER]
        winner = "o-8" if both[0] is Redemption.DONE else "o-9"
        assert await redeem("GIFT000", winner, START + 100 * HOUR) is Redemption.AGAIN
        assert await redeem("GIFT001", "o-8", START + 50 * HOUR) is Redemption.EXPIRED
        assert await redeem("GIFT002", "o-8") is Redemption.NOT_GIVEN
        assert await redeem("GIFT999", "o-8") is Redemption.UNKNOWN


async def test_people_fill_pools_and_follow_codes(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    file = tmp_path / "codes.txt"
    file.write_text("GIFT000\nGIFT001\n\nGIFT001\nGIFT002\n")
    async with selling(database_url, {"kind": "percent", "value": 10, "pool": "spring"}) as shop:
        await fill(shop, 1, "autumn")
        said = await run("add", "--shop", SHOP, "--pool", "spring", str(file))
        assert said == (
            "2 added to skincare/spring\n1 stood more than once in the file\n"
            "1 were the shop's already: GIFT000\n"
        )
        await people(shop, 1)
        await at_once(shop)
    assert await run("left") == (
        "skincare/autumn: 1 left, 0 given, 0 redeemed\nskincare/spring: 1 left, 1 given, 0 redeemed\n"
    )
    assert (await run("list", "--shop", SHOP)).startswith("GIFT001  percent 10, skincare-routine/pair")
    assert "valid" in await run("verify", "--shop", SHOP, "GIFT001")
    assert await run("verify", "--shop", SHOP, "GIFT002", code=1) == "waiting\n"
    at = "2026-03-02T12:00:00Z"
    redeem = ("redeem", "--shop", SHOP, "--at", at)
    assert await run(*redeem, "--order", "o-8", "GIFT001") == "GIFT001 is redeemed by order o-8\n"
    assert await run(*redeem, "--order", "o-8", "GIFT001") == "GIFT001 is redeemed by order o-8 already\n"
    assert "another order" in await run(*redeem, "--order", "o-9", "GIFT001", code=1)
    (row,) = [json.loads(line) for line in (await run("list", "--shop", SHOP, "--json")).splitlines()]
    assert (row["redeemed_by"], row["pool"], row["expires_at"]) == ("o-8", "spring", None)


async def test_a_line_that_is_no_code_is_told_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    file.write_text("GIFT000\nbuy one get one\n")
    assert "line 2" in await run("add", "--shop", SHOP, "--pool", "spring", str(file), code=1)


async def run(*arguments: str, code: int = 0) -> str:
    # In a thread: the command runs an event loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, command, arguments)
    assert result.exit_code == code, result.output
    return result.output
