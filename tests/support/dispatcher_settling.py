"""How unknowns are settled at the end: what call-backs and queries have not, a person does, from the far ends' logs."""

import asyncio
import json
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
        taken = [each for each in listed if each in received]
        verdicts |= await _verdict(world, taken, Verdict.TAKEN)
        verdicts |= await _others(world, [each for each in listed if each not in received])
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


async def _verdict(world: World, messages: Iterable[str], verdict: Verdict) -> dict[str, Verdict]:
    """What `orderwake ledger resolve MESSAGE` does, for many."""
    settings, clock = world.settings, world.settings.clock()
    ledger = Ledger(uuid4(), clock, settings.dispatcher_lease_seconds, People.of(settings, clock))
    settlement = Settlement(verdict, "soak", "by the far ends' logs")
    pool = await create_pool(settings, "dispatcher", size=2)
    try:
        done = await settling.settle(pool, ledger, clock, [UUID(each) for each in messages], settlement)
    finally:
        await pool.close()
    return {str(each): verdict for each in done}


async def _others(world: World, listed: Sequence[str]) -> dict[str, Verdict]:
    """All the rest, by the command itself: sent again, or given up where it is too late for that."""
    again = await _resolve(world, "--send-again") if listed else set()
    # What was sent again may be unknown again by now, and taken: that is for the next round.
    late = [each for each in listed if each not in again and each not in world.received()]
    given_up = await _verdict(world, late, Verdict.NOT_TAKEN) if late else {}
    return dict.fromkeys(again, Verdict.SEND_AGAIN) | given_up


async def _resolve(world: World, verdict: str) -> set[str]:
    """As a person would; returns which were settled."""
    words: tuple[Any, ...] = (
        "--all",
        "--older-than",
        "1s",
        verdict,
        "--json",
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
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await process.communicate()
    if process.returncode not in (0, 1):  # 1: some could not be sent again
        raise RuntimeError(wrong.decode())
    return {json.loads(line)["message_id"] for line in said.splitlines()}
