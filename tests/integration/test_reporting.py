"""Reporting on real Kafka and PostgreSQL: records in, reports and reasons out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession, web
from click import Command
from click.testing import CliRunner, Result

from services.reporting import store
from services.reporting.app import build
from services.reporting.commands import report as report_command
from services.reporting.commands import why as why_command
from services.reporting.report import report, summary
from services.reporting.store import Scope
from services.reporting.why import explain
from shared.clock import SystemClock
from shared.db import create_pool, migrate
from shared.embedded import EmbeddedKafka
from shared.events import Channel, EngagementKind, Event, OrderStatus, Reason, ReturnStatus, Verdict
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.kafka.records import Admitted, Record
from shared.service import Running
from shared.settings import Settings
from shared.topics import DECISIONS, ENGAGEMENT, ORDERS, RETURNS
from tests.support import eventually
from tests.support.samples import (
    CUSTOMER,
    SHOP,
    START,
    decision,
    engagement,
    key_of,
    occurrence,
    order,
    returned,
)

WEEK = timedelta(days=7)
NOW = START + timedelta(days=10)
STORY: tuple[Event, ...] = (
    order(),
    decision("pair", Verdict.DEFER, Reason.QUIET_HOURS),
    decision("pair", attempt=2, at=START + timedelta(hours=10)),
    engagement(occurrence("pair"), at=START + timedelta(hours=11)),
    decision("sms", Verdict.SKIP, Reason.CAPPED, at=START + timedelta(hours=12), channel=Channel.SMS),
    decision("care", Verdict.DEFER, Reason.COOL_DOWN, at=START + timedelta(hours=13)),
    order("o-2", placed_at=START + timedelta(days=3), total="20.00"),
    returned("r-1", "o-2", refund="5.50", at=START + timedelta(days=5)),
)


@pytest.fixture
async def settings(database_url: str) -> Settings:
    await migrate(database_url, store.SCHEMA, store.MIGRATIONS)
    return Settings(database_url=database_url, topic_partitions=2)


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    made = await create_pool(settings, schema=store.SCHEMA)
    yield made
    await made.close()


async def tell(pool: asyncpg.Pool, *events: Event) -> None:
    batch = [
        Admitted(Record("any", 0, offset, key_of(event), b""), event) for offset, event in enumerate(events)
    ]
    async with pool.acquire() as connection, connection.transaction():
        await store.record(connection, batch)


async def contents(pool: asyncpg.Pool) -> dict[str, list[Any]]:
    tables = ("decisions", "engagement", "sends", "orders", "returns")
    return {table: sorted(map(str, await pool.fetch(f"SELECT * FROM {table}"))) for table in tables}  # noqa: S608  fixed names


async def invoke(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, command: Command, *arguments: str
) -> Result:
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    # A thread of its own, because the command runs an event loop of its own.
    return await asyncio.to_thread(CliRunner().invoke, command, list(arguments))


async def test_reading_everything_again_and_backwards_changes_nothing(pool: asyncpg.Pool) -> None:
    await tell(pool, *STORY)
    once = await contents(pool)
    await tell(pool, *STORY)
    await tell(pool, *reversed(STORY))
    assert await contents(pool) == once


async def test_the_highest_version_of_an_order_wins_whichever_comes_first(pool: asyncpg.Pool) -> None:
    cancelled = order(version=2, status=OrderStatus.CANCELLED)
    await tell(pool, cancelled)
    await tell(pool, order())
    assert await pool.fetchval("SELECT status FROM orders") == "cancelled"
    assert (await summary(pool))["orders_not_counted"]["cancelled"] == 1


async def test_the_summary_counts_by_latest_verdict_and_its_sum_holds(pool: asyncpg.Pool) -> None:
    await tell(pool, *STORY)
    withheld, rejected, unknown, silent = (f"extra-{number}" for number in range(4))
    await tell(pool, *(decision(step) for step in (withheld, rejected, unknown, silent)))
    await tell(pool, decision("ghosted", Verdict.GHOST, Reason.HOLDOUT))
    for step, kind in ((withheld, "withheld"), (rejected, "rejected"), (unknown, "unknown")):
        await tell(pool, engagement(occurrence(step), EngagementKind(kind)))
    found = await summary(pool)
    assert found["orders"] == 2
    assert found["sent"] == {"email": 5}
    assert found["accepted"] == {"email": 1}
    assert [found[name] for name in ("withheld", "rejected", "unknown", "pending", "ghost")] == [1] * 5
    assert found["skipped"] == {"capped": 1}
    assert found["deferred"] == 1
    assert found["decided"] == 8
    assert found["attempts"] == 9
    assert found["duplicates"] == 0


async def test_an_unknown_message_that_is_accepted_later_counts_as_accepted(pool: asyncpg.Pool) -> None:
    await tell(pool, decision(), engagement(occurrence("pair"), EngagementKind.UNKNOWN))
    await tell(pool, engagement(occurrence("pair"), at=START + timedelta(hours=2)))
    found = await summary(pool)
    assert (found["unknown"], found["accepted"]) == (0, {"email": 1})


async def test_doubles_are_found_and_named(pool: asyncpg.Pool) -> None:
    await tell(pool, decision(), decision(attempt=2))
    await tell(pool, engagement(occurrence("pair")), engagement(occurrence("pair"), reference="ref-2"))
    other = decision("care")
    changed = other.model_copy(update={"data": other.data.model_copy(update={"variant": "twenty-percent"})})
    await tell(pool, other, changed)
    found = await summary(pool)
    assert found["duplicates_by_kind"] == {"decided_twice": 1, "accepted_twice": 1, "told_differently": 1}
    assert found["duplicates"] == 3


async def test_revenue_is_credited_to_the_last_touch_net_of_returns(pool: asyncpg.Pool) -> None:
    await tell(pool, *STORY)
    found = await report(pool, Scope(), WEEK, NOW)
    expected = {"orders": 1, "gross": Decimal("20.00"), "returned": Decimal("5.50"), "net": Decimal("14.50")}
    assert found["attributed"]["total"] == [{"currency": "USD"} | expected]
    assert found["attributed"]["by_touch"] == [
        {"shop": SHOP, "journey": "routine", "step": "pair", "channel": "email", "currency": "USD"} | expected
    ]


@pytest.mark.parametrize(
    ("change", "net"),
    [
        ((returned("r-2", "o-2", quantity=2),), "0.00"),
        ((returned("r-1", "o-2", version=2, status=ReturnStatus.REJECTED),), "20.00"),
        ((order("o-2", version=2, status=OrderStatus.CANCELLED),), None),
        ((order("o-2", version=2, test=True, placed_at=START + timedelta(days=3)),), None),
        ((order("o-2", version=2, history=True, placed_at=START + timedelta(days=3)),), None),
        ((engagement(occurrence("pair"), EngagementKind.BOUNCED),), None),
    ],
)
async def test_what_undoes_an_order_or_a_touch_undoes_its_credit(
    pool: asyncpg.Pool, change: tuple[Event, ...], net: str | None
) -> None:
    await tell(pool, *STORY, *change)
    total = (await report(pool, Scope(), WEEK, NOW))["attributed"]["total"]
    assert [row["net"] for row in total] == ([] if net is None else [Decimal(net)])


async def test_a_report_keeps_to_its_shop_and_span(pool: asyncpg.Pool) -> None:
    await tell(pool, *STORY, order("x-1", shop="fitness", customer="c-9"))
    later = Scope(SHOP, since=START + timedelta(days=1))
    assert (await report(pool, Scope("fitness"), WEEK, NOW))["counts"]["orders"] == 1
    found = await report(pool, later, WEEK, NOW)
    assert (found["counts"]["orders"], found["counts"]["decided"]) == (1, 0)
    assert len(found["attributed"]["total"]) == 1


async def test_the_holdout_comparison_appears_when_it_can_be_known(pool: asyncpg.Pool) -> None:
    people = [(f"c-{number}", Verdict.GHOST if number % 3 == 0 else Verdict.SEND) for number in range(390)]
    for customer, verdict in people:
        await tell(pool, decision(verdict=verdict, customer=customer))
    early = await report(pool, Scope(), WEEK, NOW)
    assert (
        early["holdout"]["shops"][0]["orders"]["cannot_know_yet"]
        == "0 people treated bought, at least 10 are needed"
    )
    for number, (customer, verdict) in enumerate(people):
        if number % 2 or verdict is Verdict.SEND:
            placed_at = START + timedelta(days=1, minutes=number)
            await tell(
                pool,
                order(f"o-{customer}", customer=customer, placed_at=placed_at, total=f"{20 + number % 7}"),
            )
    shop = (await report(pool, Scope(), WEEK, NOW))["holdout"]["shops"][0]
    assert (shop["treated"], shop["held_out"], shop["windows_still_open"]) == (260, 130, 0)
    low, high = shop["revenue"][0]["interval"]
    assert 0 < low < shop["revenue"][0]["difference_per_person"] < high


async def test_why_tells_every_attempt_with_its_rules_and_the_messages_fate(pool: asyncpg.Pool) -> None:
    await tell(pool, *STORY)
    found = await explain(pool, CUSTOMER)
    assert [block["step"] for block in found.blocks] == ["care", "sms", "pair"]
    pair = found.blocks[2]
    assert [(record["attempt"], record["verdict"]) for record in pair["attempts"]] == [
        (2, "send"),
        (1, "defer"),
    ]
    assert pair["attempts"][1]["rules"][1]["inputs"] == {"seen": 2, "most": 3}
    assert (pair["state"], [event["kind"] for event in pair["events"]]) == ("accepted", ["accepted"])
    assert found.blocks[1]["state"] is None
    only = await explain(pool, CUSTOMER, steps=["sms"], limit=1)
    assert [block["step"] for block in only.blocks] == ["sms"]


async def test_report_is_written_for_people_and_for_machines(
    pool: asyncpg.Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(pool, *STORY)
    people = await invoke(settings, monkeypatch, report_command, "--shop", SHOP)
    assert people.exit_code == 0, people.output
    for word in ("Skipped, by reason", "capped", "14.50", "USD", "cannot know yet", "last accepted message"):
        assert word in people.output
    machine = await invoke(settings, monkeypatch, report_command, "--json", "--since", "2026-03-01")
    assert json.loads(machine.output)["attributed"]["total"][0]["net"] == "14.50"


async def test_why_is_written_for_people_and_for_machines(
    pool: asyncpg.Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(pool, *STORY)
    people = await invoke(settings, monkeypatch, why_command, CUSTOMER)
    assert people.exit_code == 0, people.output
    for word in (
        "SEND",
        "SKIP because capped",
        "quiet_hours",
        "most 3, seen 2",
        "toner",
        "10 % off",
        "accepted",
        "reliable",
    ):
        assert word in people.output
    machine = json.loads((await invoke(settings, monkeypatch, why_command, CUSTOMER, "--json")).output)
    assert machine["shown"][2]["attempts"][0]["offer"]["products"][0]["product_id"] == "toner"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody",), "no customer 'nobody'"),
        ((CUSTOMER, "--shop", "nowhere"), "known are: skincare"),
        ((CUSTOMER, "--step", "unheard-of"), "no decision on step unheard-of"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_why_and_exits_1(
    pool: asyncpg.Pool,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    await tell(pool, *STORY)
    result = await invoke(settings, monkeypatch, why_command, *arguments)
    assert (result.exit_code, said in result.output) == (1, True), result.output


async def test_a_database_without_tables_or_out_of_reach_is_an_error_with_a_fix(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await invoke(Settings(database_url=database_url), monkeypatch, report_command)
    assert (empty.exit_code, "orderwake migrate" in empty.output) == (1, True), empty.output
    nowhere = Settings(database_url="postgresql://nobody@127.0.0.1:1/none")
    unreachable = await invoke(nowhere, monkeypatch, why_command, CUSTOMER)
    assert (unreachable.exit_code, "DATABASE_URL" in unreachable.output) == (1, True), unreachable.output


@asynccontextmanager
async def serving(running: Running) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(running.routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stopping = asyncio.Event()
    loops = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        stopping.set()
        await asyncio.gather(*loops)
        await runner.cleanup()


async def test_the_service_reads_its_topics_and_tells_its_status(
    kafka: EmbeddedKafka, settings: Settings, unique: str
) -> None:
    settings = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap})
    await apply_topics(settings)
    topics = {"order": ORDERS, "return": RETURNS, "decision": DECISIONS, "engagement": ENGAGEMENT}
    producer = make_producer(kafka.bootstrap)
    await producer.start()
    story = [event.model_copy(update={"shopid": unique}) for event in STORY]
    for event in story:
        topic = topics[event.type.split(".")[1]].name
        await producer.send_and_wait(topic, event.encode(), key=key_of(event))
    await producer.stop()
    async with build(settings, SystemClock()) as running, serving(running) as url, ClientSession() as http:

        async def told() -> bool:
            async with http.get(f"{url}/v1/status", params={"shop": unique}) as answer:
                status = await answer.json()
            return bool(
                status["orders"] == 2
                and status["accepted"] == {"email": 1}
                and not sum(status["lag"].values())
            )

        await eventually(told)
        await eventually(lambda: all(running.ready().values()))
