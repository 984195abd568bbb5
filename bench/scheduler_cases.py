"""What is measured on ordinary customers: deciding beside procrastinate, taking in news, and how late steps are."""

import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench import scheduler_people as people
from bench import scheduler_race as race
from bench.scheduler_crew import Crew, run
from bench.scheduler_race import Run, Setting
from bench.scheduler_stand import Stand, lives, queries, stand
from bench.service import Bar

OURS = (Setting(1, ("--pollers", "1")), Setting(2, ("--pollers", "1")), Setting(3, ("--pollers", "1")))
PEER = (
    Setting(1, ("--concurrency", "10", "--delete")),
    Setting(2, ("--concurrency", "5", "--delete")),
    Setting(2, ("--concurrency", "20", "--delete")),
    Setting(3, ("--concurrency", "10", "--delete")),
    Setting(2, ("--concurrency", "10")),
)
"""What each side is tried with, on a part of the work; the fastest then runs on all of it."""
TRIED = 1500
Found = dict[str, float]


@dataclass(frozen=True)
class Terms:
    """How much of everything."""

    people: int
    rounds: int
    seconds: float
    rate: int
    overdue: int
    history: int
    churn_steps: int
    plan_people: int


async def database(dsn: str, name: str) -> tuple[str, bool]:
    """Return the address of a database of this server, and whether it was there already."""
    server = await asyncpg.connect(dsn)
    try:
        there = await server.fetchval(queries.has_database, name)
        if not there:
            await server.execute(f'CREATE DATABASE "{name}"')
    finally:
        await server.close()
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}")), bool(there)


async def peopled(dsn: str, name: str, numbers: Iterable[int]) -> str:
    """Return the address of a database with these customers, as they are kept to begin again from."""
    address, there = await database(dsn, name)
    if not there:
        async with stand(address) as ours:
            await ours.publish()
            await ours.fill(*lives(people.SHOP, list(numbers), "customers"))
            await ours.keep()
    return address


async def decide(dsn: str, terms: Terms) -> Found:
    """Ours and procrastinate in turn, each as it is fastest; both sides' decisions must be the same."""
    tried = await peopled(dsn, "tried", range(TRIED))
    async with stand(tried) as ours:
        best_ours = await _fastest(race.ours, ours, tried, OURS)
        best_peer = await _fastest(race.peer, ours, tried, PEER)
    address = await peopled(dsn, "people", range(terms.people))
    runs: dict[str, list[Run]] = {"ours": [], "peer": []}
    bar = Bar("rounds", 2 * terms.rounds)
    async with stand(address) as ours:
        for _ in range(terms.rounds):
            for side, go, setting in (("ours", race.ours, best_ours), ("peer", race.peer, best_peer)):
                runs[side].append(await go(ours, address, setting))
                bar.show(len(runs["ours"]) + len(runs["peer"]))
        race.insist_same(runs["ours"] + runs["peer"])
        sizes = await _sizes(ours)
    rules = {count for run in runs["ours"] for _, _, count in run.decided.values()}
    return {
        "decided_per_second": round(race.middle(runs["ours"])),
        "procrastinate_per_second": round(race.middle(runs["peer"])),
        "ratio_procrastinate": round(race.middle(runs["ours"]) / race.middle(runs["peer"]), 2),
        "cpu_us_per_decision": round(_each(runs["ours"]) * 1e6),
        "cpu_us_per_decision_procrastinate": round(_each(runs["peer"]) * 1e6),
        "ratio_procrastinate_cpu": round(_each(runs["peer"]) / _each(runs["ours"]), 2),
        "of_it_postgresql_us": round(median(run.database / len(run.decided) for run in runs["ours"]) * 1e6),
        "decisions": float(len(runs["ours"][0].decided)),
        "rules": float(min(rules)),
        "ours_processes": float(best_ours.processes),
        "procrastinate_processes": float(best_peer.processes),
        **sizes,
    }


def _each(runs: Iterable[Run]) -> float:
    return median(run.each for run in runs)


async def _fastest(
    go: Callable[[Stand, str, Setting], Awaitable[Run]],
    ours: Stand,
    address: str,
    settings: Iterable[Setting],
) -> Setting:
    found: list[tuple[float, Setting]] = []
    for setting in settings:
        rate = (await go(ours, address, setting)).rate
        sys.stderr.write(f"  {go.__name__} {setting}: {rate:,.0f}/s\n")
        found.append((rate, setting))
    return max(found, key=lambda each: each[0])[1]


async def _sizes(ours: Stand) -> Found:
    """What a customer and a waiting step take on disk, with their indexes, as freshly stored."""
    await ours.restore()
    found: Found = {}
    names = {"customers": "bytes_per_customer", "due_steps": "bytes_per_waiting_step"}
    for row in await ours.pool.fetch(queries.sizes):
        if row["name"] in names:
            total = row["table_bytes"] + row["index_bytes"]
            rows = await ours.pool.fetchval(getattr(queries, f"rows_of_{row['name']}"))
            found[names[row["name"]]] = round(total / rows)
    return found


async def intake(dsn: str, terms: Terms) -> Found:
    """A day's news of everyone, by two schedulers that share the partitions."""
    address = await peopled(dsn, "people", range(terms.people))
    rates, cpu = [], []
    for _ in range(terms.rounds):
        async with stand(address) as ours:
            await ours.restore()
        command = ("bench.scheduler_intake", address, "--people", str(terms.people), "--workers", "2")
        seconds, told = run([(*command, "--worker", str(worker)) for worker in range(2)])
        events = sum(each["events"] for each in told)
        rates.append(events / seconds)
        cpu.append(sum(each["cpu"] for each in told) / events)
    return {"events_per_second": round(median(rates)), "cpu_us_per_event": round(median(cpu) * 1e6)}


async def lateness(dsn: str, terms: Terms) -> Found:
    """Steps come due one after the other; a single scheduler keeps up with them."""
    wanted = int(terms.rate * terms.seconds)
    numbers = range(0, int(people.RATE * terms.seconds), people.RATE // terms.rate)
    address = await peopled(dsn, "lateness", numbers)
    async with stand(address) as ours:
        await ours.restore()
    command = ("bench.scheduler_ours", address, "--pollers", "1", "--seconds", str(terms.seconds + 2))
    with Crew([command]) as crew:
        crew.go()
        told = crew.wait()
    if told[0]["steps"] < wanted:
        message = f"of {wanted} steps that came due, {told[0]['steps']:.0f} were decided in time"
        raise RuntimeError(message)
    return {f"late_{name}_ms": round(told[0][name] * 1000, 1) for name in ("p50", "p99", "worst")}


Case = Callable[[str, Terms], Awaitable[Found]]
