"""A thank-you page is killed at each point of its work: asked again there is one decision, and one acceptance."""

import asyncio
import signal
import sys

import pytest

from shared.topics import DECISIONS, ENGAGEMENT
from tests.support.dying_page import POINTS
from tests.support.paging import Stand, ask, post, stand

OFFERING, ACCEPTING = POINTS[:4], POINTS[4:]


async def _dies(database_url: str, point: str, *more: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.dying_page",
        database_url,
        point,
        *more,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


async def _left(page: Stand) -> tuple[int, int]:
    known = await page.state()
    return len(await page.written(DECISIONS)), len(known.verdicts) if known else 0


@pytest.mark.parametrize("point", OFFERING)
async def test_a_page_killed_while_it_decides_has_one_decision(database_url: str, point: str) -> None:
    async with stand(database_url) as page, page.client() as client:
        await _dies(database_url, point)
        done = point == "committed"
        assert await _left(page) == ((1, 1) if done else (0, 0))
        first = await ask(client)
        assert first["offer"]
        assert await ask(client) == first
        assert await _left(page) == (1, 1)


@pytest.mark.parametrize("point", ACCEPTING)
async def test_a_page_killed_while_it_accepts_has_one_acceptance(database_url: str, point: str) -> None:
    async with stand(database_url) as page, page.client() as client:
        offer = (await ask(client))["offer"]
        await _dies(database_url, point, offer["id"], offer["token"])
        assert len(await page.written(ENGAGEMENT)) == (1 if point == "accepted" else 0)
        for _ in range(2):
            status, _ = await post(client, f"/v1/offers/{offer['id']}/accept", {"token": offer["token"]})
            assert status == 200
        assert len(await page.written(ENGAGEMENT)) == 1
