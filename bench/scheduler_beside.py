"""One shop's lateness alone, beside another's backlog, and beside another's past being taken in."""

from bench import scheduler_people as people
from bench.scheduler_cases import Found, Terms, database
from bench.scheduler_crew import Command, Crew
from bench.scheduler_stand import Stand, lives, queries, stand
from shared.errors import InfrastructureError

OTHER = "other"
RATE = 100
"""Steps of the watched shop that come due each second."""


async def fairness(dsn: str, terms: Terms) -> Found:
    """The watched shop's p50 and p99, alone, beside overdue steps, and beside history."""
    address, _ = await database(dsn, "fairness")
    shops = (people.SHOP, OTHER)
    async with stand(address, shops) as ours:
        await ours.publish()
        numbers = range(0, int(terms.seconds * people.RATE), people.RATE // RATE)
        await ours.fill(*lives(people.SHOP, list(numbers), "customers of the watched shop"))
        await ours.keep()
        found: Found = {}
        found |= _named("alone", await _watch(ours, address, terms, ()))
        await ours.restore()
        await ours.fill(*lives(OTHER, range(terms.overdue), "customers of the other shop", "overdue"))
        await ours.keep_anew()
        found |= _named("beside_overdue", await _watch(ours, address, terms, ()))
        left = await ours.pool.fetchval(queries.overdue_of, OTHER, people.NOW)
        found["other_decided_meanwhile"] = float(terms.overdue - left)
        each = terms.history // 5
        past: Command = (
            "bench.scheduler_intake",
            address,
            "--shop",
            OTHER,
            "--first",
            "1000000",
            "--people",
            str(each),
        )
        found |= _named("beside_history", await _watch(ours, address, terms, (past,)))
    return found


async def _watch(ours: Stand, address: str, terms: Terms, beside: tuple[Command, ...]) -> dict[str, float]:
    await ours.restore()
    seconds = str(terms.seconds + 2)
    shops = ("--shop", people.SHOP, "--shop", OTHER)
    watched: Command = ("bench.scheduler_ours", address, "--pollers", "1", "--seconds", seconds, *shops)
    with Crew((watched, *beside)) as crew:
        crew.go()
        told = crew.wait()
    if told[0]["steps"] < terms.seconds * RATE:
        message = f"only {told[0]['steps']:.0f} steps of the watched shop were decided in {seconds} s"
        raise InfrastructureError(message)
    return told[0]


def _named(case: str, told: dict[str, float]) -> Found:
    return {f"late_{case}_{name}_ms": round(told[name] * 1000, 1) for name in ("p50", "p99")}
