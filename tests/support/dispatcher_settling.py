"""How unknowns are settled at the end: what call-backs and queries have not, a person does, from the far ends' logs."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol
from uuid import UUID, uuid4

from services.dispatcher import settling
from services.dispatcher.ledger import Ledger
from services.dispatcher.people import People
from services.dispatcher.settling import Settlement, Verdict
from shared.db import create_pool
from shared.events import MessageRequested
from tests.support.dispatcher_world import World

BY_CALL_BACK = "a call-back"
BY_QUERY = "a query, the same key again, or an answer that came late"
BY_PERSON = {
    Verdict.TAKEN: "a person: the provider's log has it",
    Verdict.SEND_AGAIN: "a person: the provider's log has it not, sent again",
    Verdict.NOT_TAKEN: "a person: the provider's log has it not, and it is too late",
}
ROUNDS = 6
SECONDS = 120.0


class Reporting(Protocol):
    """A far end that knows which messages it has told of."""

    def reported(self) -> set[str]: ...


async def settle(
    world: World,
    messages: Sequence[MessageRequested],
    ends: Iterable[Reporting],
    ever_unknown: AbstractSet[str],
) -> Counter[str]:
    """Settle what is listed as unknown, until nothing is; returns how each that ever was unknown was settled.

    What is sent again may meet a fault again, and be listed again.
    """
    verdicts: dict[str, Verdict] = {}
    for _ in range(ROUNDS):
        await world.settled(messages, SECONDS)
        listed = await _listed(world)
        if not listed:
            break
        received = world.received()
        verdicts |= await _taken(world, [each for each in listed if each in received])
        verdicts |= await _others(world)
    told = ever_unknown | verdicts.keys()
    reported = set[str]().union(*(end.reported() for end in ends))
    return Counter(_means(each, verdicts, reported) for each in told)


def _means(message: str, verdicts: dict[str, Verdict], reported: set[str]) -> str:
    if message in verdicts:
        return BY_PERSON[verdicts[message]]
    return BY_CALL_BACK if message in reported else BY_QUERY


async def _listed(world: World) -> list[str]:
    pool = await create_pool(world.settings, "dispatcher", size=2)
    try:
        return [str(row["message_id"]) for row in await settling.list_unknown(pool)]
    finally:
        await pool.close()


async def _taken(world: World, messages: Sequence[str]) -> dict[str, Verdict]:
    """What `orderwake ledger resolve MESSAGE --taken` does, for many."""
    settings, clock = world.settings, world.settings.clock()
    ledger = Ledger(uuid4(), clock, settings.dispatcher_lease_seconds, People.of(settings, clock))
    settlement = Settlement(Verdict.TAKEN, "soak", "in the far end's log")
    pool = await create_pool(settings, "dispatcher", size=2)
    try:
        done = await settling.settle(pool, ledger, clock, [UUID(each) for each in messages], settlement)
    finally:
        await pool.close()
    return dict.fromkeys(map(str, done), Verdict.TAKEN)


async def _others(world: World) -> dict[str, Verdict]:
    """All the rest, by the command itself: sent again, or given up where it is too late for that."""
    found: dict[str, Verdict] = {}
    for verdict in (Verdict.SEND_AGAIN, Verdict.NOT_TAKEN):
        left = await _listed(world)
        if left:
            await _resolve(world, f"--{verdict.replace('_', '-')}")
            found |= dict.fromkeys(set(left) - set(await _listed(world)) - found.keys(), verdict)
    return found


async def _resolve(world: World, verdict: str) -> None:
    words: tuple[Any, ...] = (
        "--all",
        "--older-than",
        "1s",
        verdict,
        "--yes",
        "--by",
        "soak",
        "--why",
        "not in any log",
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "ledger", "resolve", *words),
        env={**os.environ, **world.environment()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode not in (0, 1):  # 1: some could not be sent again
        raise RuntimeError(said.decode())
