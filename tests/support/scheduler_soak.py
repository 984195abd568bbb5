"""`make crash-scheduler`: rounds of deaths at random points, longer than a test may take."""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections import Counter, deque
from dataclasses import asdict
from pathlib import Path

import aiohttp

from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.topics import DECISIONS, MESSAGES
from tests.support.dying import POINTS
from tests.support.verdicts import Found, judge
from tests.support.wreckage import World, read, undisturbed
from tests.support.wreckage_story import story

_POINTS_A_STAND = 4


async def soak(folder: Path, customers: int, stands: int, seed: int) -> tuple[Found, Counter[str]]:
    """Run one story through three schedulers that die in every stand; returns what came out and who died where."""
    points = random.Random(seed).choices(list(POINTS), k=stands * _POINTS_A_STAND)  # noqa: S311  no secret
    told = story(customers, stands)
    with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
        with EmbeddedPostgres(folder / "quiet") as quiet:
            expected = await undisturbed(quiet.dsn, told)
        async with aiohttp.ClientSession() as session:
            world = World(kafka, postgres, folder, session, deque(points))
            try:
                await world.open(told)
                for number, stand in enumerate(told.stands, 1):
                    await world.settle(stand)
                    sys.stdout.write(f"stand {number} of {stands}: {len(world.reached)} deaths and stalls\n")
                found = judge(expected, await read(world, DECISIONS), await read(world, MESSAGES))
            finally:
                world.close()
    return found, Counter(world.reached)


def main() -> int:
    """Run and report; exits 1 if anything was doubled, lost or decided otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1200)
    parser.add_argument("--stands", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    asked = parser.parse_args()
    # Not the user's own folder: PostgreSQL runs as another user when this runs as root.
    folder = Path(tempfile.mkdtemp(prefix="ow-scheduler-soak-"))
    try:
        found, reached = asyncio.run(soak(folder, asked.customers, asked.stands, asked.seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for point, count in sorted(reached.items()):
        sys.stdout.write(f"{count:5} {point}\n")
    sys.stdout.write(
        f"{found.messages} messages and {found.decisions} decisions; {found.copies} records published again under "
        f"their ids; {found.doubles} doubled, {found.lost} lost, {found.other} decided otherwise\n"
    )
    if asked.json:
        sys.stdout.write(json.dumps({**asdict(found), "deaths": reached.total()}) + "\n")
    return 1 if found.doubles or found.lost or found.other else 0


if __name__ == "__main__":
    sys.exit(main())
