"""Dispatchers are killed before and after the commit of every transition, while answers are lost and call-backs come twice.

What comes out is a table: at each point, how many messages of each fate the transaction held, and how often they were received.
"""

import shutil
import sys
import tempfile
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from services.dispatcher.commands import list_unknown
from services.dispatcher.domain.states import Cause
from shared.events import EngagementKind, MessageRequested
from tests.support.dispatcher_dying import INTENDED
from tests.support.dispatcher_fated import FatedSmtp, FatedTwilio, Plan
from tests.support.dispatcher_feed import Fate, Feed
from tests.support.dispatcher_front import open_front
from tests.support.dispatcher_mortal import Mortal, nest
from tests.support.dispatcher_settling import settle
from tests.support.dispatcher_verdict import judge
from tests.support.dispatcher_world import Terms, World, servers
from tests.support.waiting import eventually

LEFT_BEHIND = ("after claimed", "after handed_over")
"""Deaths that leave leases to run out."""
NOT_HERE = frozenset(
    {
        Cause.KEPT_BACK,  # needs consent that is withdrawn between two hand-overs
        Cause.NOT_FOUND,  # these two: no provider here can be asked for what it has not
        Cause.SAME_KEY,
        Cause.KEY_RAN_OUT,  # needs a day to pass
        Cause.SENT_AGAIN,  # these are a person's commands, one statement each
        Cause.SETTLED_TAKEN,
        Cause.SETTLED_NOT_TAKEN,
    }
)
CAUSES = [INTENDED, *(cause.name.lower() for cause in Cause if cause not in NOT_HERE)]
POINTS = [f"{when} {cause}" for cause in CAUSES for when in ("before", "after")]
SECONDS = 60


@pytest.fixture
async def feed() -> Feed:
    plan: Plan = {}
    return Feed(plan)


@pytest.fixture
async def world(feed: Feed) -> AsyncIterator[World]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="ow-dispatcher-matrix-"))
    async with open_front() as front:
        mail, sms = FatedSmtp(folder / "mail", feed.plan), FatedTwilio(folder / "sms", feed.plan, front.url)
        await mail.start()
        await sms.start()
        terms = Terms(claim=8, lease_seconds=1.5, timeout_seconds=0.5, session_seconds=1.0)
        with servers(folder) as (kafka, postgres), nest() as hatched:
            made = World(kafka, postgres, folder, [mail, sms], front, terms, hatched.hatch)
            try:
                yield made
            finally:
                made.close()
        await mail.stop()
        await sms.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _mortals(world: World) -> list[Mortal]:
    return [each for each in world.dispatchers if isinstance(each, Mortal)]


class Deaths:
    """Who died where, and which messages the transaction held."""

    def __init__(self, world: World) -> None:
        self.left = deque(POINTS)
        self.hit: dict[str, list[str]] = {}
        self._world = world
        self._more = cycle(LEFT_BEHIND)

    @property
    def all_done(self) -> bool:
        return self.hit.keys() >= set(POINTS)

    def tend(self) -> int:
        """Note who died and start them again with the next point; returns how many died."""
        dead = [each for each in _mortals(self._world) if not each.alive]
        for each in dead:
            hit = each.hit
            if hit is not None:
                self.hit[each.point] = hit
            each.live(self._next())
        return len(dead)

    def _next(self) -> str:
        if self.all_done:
            return ""
        return self.left.popleft() if self.left else next(self._more)


async def test_nothing_is_doubled_or_lost_at_any_commit(world: World, feed: Feed) -> None:
    await world.open(3)
    deaths = Deaths(world)
    deaths.tend()
    while not deaths.all_done:
        await world.produce([*feed.batch(), *feed.opened(world.received())])
        await eventually(
            partial(_moved, world, deaths, feed.due()),
            SECONDS,
            lambda: f"deaths or an end, but for {deaths.left}\n{world.logs}",
        )
    await world.produce(feed.rest())
    await eventually(partial(_quiet, world, deaths), SECONDS, lambda: f"all to live\n{world.logs}")
    await world.settled(feed.messages, SECONDS)

    listed = {row["message_id"] for row in await list_unknown(world.settings)}
    rows = {str(row["message_id"]): str(row["state"]) for row in await world.rows()}
    assert listed == {message for message, state in rows.items() if state == "unknown"}
    told = await world.told()
    unknown = {message for message, kinds in told.items() if EngagementKind.UNKNOWN in kinds}
    means = await settle(world, feed.messages, [], unknown)
    rows = {str(row["message_id"]): str(row["state"]) for row in await world.rows()}
    verdict = judge(feed.fates, rows, world.received(), unknown, means)
    _report(deaths, feed, rows, world.received())
    sys.stdout.write(f"{verdict}\n")
    assert (verdict.doubles, verdict.lost, verdict.unresolved) == (0, 0, 0)
    assert rows.keys() == feed.fates.keys()
    assert world.front.passed > 0
    assert not world.front.refused, "every call-back was believed"


async def _moved(world: World, deaths: Deaths, due: Sequence[MessageRequested]) -> bool:
    """Whether somebody died, or all of what can come to an end has."""
    return bool(deaths.tend()) or await world.are_settled(due)


def _quiet(world: World, deaths: Deaths) -> bool:
    """Whether everybody lives, for good."""
    for each in _mortals(world):
        if each.point:
            each.kill()
    return not deaths.tend()


def _report(deaths: Deaths, feed: Feed, states: Mapping[str, str], received: Counter[str]) -> None:
    heads = "".join(f"{fate:>22}" for fate in Fate)
    sys.stdout.write(f"\n{'killed, messages of each fate that were hit':44}{heads}\n")
    for point, hit in deaths.hit.items():
        counts = Counter(feed.fates.get(message) for message in hit)
        sys.stdout.write(f"{point:44}" + "".join(f"{counts[fate]:22}" for fate in Fate) + "\n")
    sys.stdout.write(f"{'state, times received':44}{heads}\n")
    table = Counter((states[message], received[message], fate) for message, fate in feed.fates.items())
    for state, times in sorted({(state, times) for state, times, _ in table}):
        counted = "".join(f"{table[state, times, fate]:22}" for fate in Fate)
        sys.stdout.write(f"{f'{state}, {times}':44}{counted}\n")
