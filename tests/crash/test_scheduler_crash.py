"""Three schedulers die at every point of their work, PostgreSQL and the broker too: all is decided and sent once."""

import shutil
import tempfile
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.topics import DECISIONS, MESSAGES
from tests.support.dying import POINTS
from tests.support.verdicts import judge
from tests.support.wreckage import World, read, undisturbed
from tests.support.wreckage_story import story


@pytest.fixture
async def world() -> AsyncIterator[World]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="ow-scheduler-crash-"))
    with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
        async with aiohttp.ClientSession() as session:
            ready = World(kafka, postgres, folder, session, deque(POINTS))
            yield ready
            ready.close()
    shutil.rmtree(folder, ignore_errors=True)


async def test_every_step_is_decided_and_sent_once_wherever_schedulers_die(
    world: World, database_url: str
) -> None:
    told = story(customers=240, stands=7)
    expected = await undisturbed(database_url, told)
    await world.open(told)
    victims = {2: world.postgres, 4: world.kafka}
    for number, stand in enumerate(told.stands):
        await world.settle(stand, victims.get(number))

    assert sorted(world.reached) == sorted(POINTS)
    found = judge(expected, await read(world, DECISIONS), await read(world, MESSAGES))
    assert (found.doubles, found.lost, found.other) == (0, 0, 0)
    assert found.copies > 0, "the relay died between publishing and forgetting"
    verdicts = Counter(each["verdict"] for each in expected.decisions)
    assert min(verdicts[verdict] for verdict in ("send", "skip", "ghost", "defer")) > 0
