"""The whole of Orderwake on a standing clock: it moves on when a test says so, and has come to rest when told."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from demo import load
from demo.live import stand_still
from demo.observe import Observer, observer
from demo.receivers import Received
from demo.stack import SERVICES, Stack
from services.cli import migrate_all
from shared.events import Event
from shared.settings import load as load_settings
from tests.support.broker import fresh_topics
from tests.support.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
OPENS_AT = datetime(2026, 3, 8, 12, tzinfo=UTC)  # A Sunday: American clocks have just gone forward.
_REST_SECONDS = 120
_LOOKS, _LOOK_SECONDS = 3, 0.1


@dataclass
class Stage:
    """Five services, a mail server and an SMS provider. `now` is business time, which only moves forward."""

    stack: Stack
    watch: Observer
    session: aiohttp.ClientSession
    clock_file: Path
    received: Received
    now: datetime = field(default=OPENS_AT)

    async def move(self, moment: datetime) -> list[dict[str, Any]]:
        """Let business time stand at `moment`; returns what arrived until everything was at rest."""
        if moment < self.now:
            message = f"it is {self.now} already: business time cannot go back to {moment}"
            raise ValueError(message)
        stand_still(self.clock_file, moment)
        self.now = moment

        async def seen() -> bool:
            return (await self.stack.status("scheduler")).get("business_time") == moment.isoformat()

        await eventually(seen, what=f"the scheduler to see that it is {moment}")
        return await self.rest()

    async def rest(self) -> list[dict[str, Any]]:
        """Wait until nothing is left to read, decide or send; returns what arrived since the last look."""
        await self.watch.settle(SERVICES, _REST_SECONDS, self.stack.unfinished, _LOOKS, _LOOK_SECONDS)
        return self.received.look()

    async def tell(self, events: Sequence[Event]) -> None:
        """Post events to the API, as a shop does."""
        await load.post(self.session, self.stack.url("ingest", "/v1/events"), events)

    async def click(self, path: str) -> None:
        """Follow a message's link and press its button, as a mail program or a person does."""
        async with self.session.post(self.stack.url("ingest", path)) as answer:
            assert answer.status == HTTPStatus.OK, await answer.text()

    async def look_ahead(self, path: str) -> str:
        """Where a link to a product or guide leads, as a scanner looks at it: nobody has clicked."""
        service = "dispatcher" if path.startswith("/s/") else "ingest"
        async with self.session.head(self.stack.url(service, path), allow_redirects=False) as answer:
            assert answer.status == HTTPStatus.FOUND, (path, answer.status)
            return answer.headers["Location"]

    def next_monday(self, zone: str) -> datetime:
        """Ten o'clock in `zone` on the first Monday that leaves today behind."""
        local = self.now.astimezone(ZoneInfo(zone))
        day = local.date() + timedelta(days=7 - local.weekday())
        return datetime(day.year, day.month, day.day, 10, tzinfo=ZoneInfo(zone)).astimezone(UTC)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run `orderwake ...`; returns its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.cli",
            *arguments,
            env={**os.environ, **self.stack.environment},
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        return process.returncode or 0, printed.decode()


@asynccontextmanager
async def open_stage(servers: dict[str, str], folder: Path) -> AsyncIterator[Stage]:
    """Everything, started and ready, on empty topics and an empty database; stopped at the end."""
    clock_file = folder / "business-time"
    environment = {
        **servers,
        "ORDERWAKE_BUSINESS_TIME": f"file:{clock_file}",
        "ORDERWAKE_TOPIC_PARTITIONS": "2",
        "ORDERWAKE_JOURNEYS_DIR": str(REPOSITORY / "journeys"),
    }
    stand_still(clock_file, OPENS_AT)
    settings = load_settings(environment)
    await fresh_topics(settings)
    await migrate_all(settings.database_url.get_secret_value())
    async with AsyncExitStack() as exits:
        stack = Stack(folder, environment)
        exits.push_async_callback(stack.stop)
        stack.environment = {**environment, **await stack.start_receivers()}
        await stack.start_services({})
        watch = await exits.enter_async_context(observer(settings))
        session = await exits.enter_async_context(aiohttp.ClientSession())
        yield Stage(stack, watch, session, clock_file, Received(folder / "received"))
