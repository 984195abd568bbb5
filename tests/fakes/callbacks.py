"""Call-backs on their way: told in the order in which they fall due, and again until they are taken."""

import asyncio
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

import aiohttp
from yarl import URL

_AGAIN_SECONDS, _LONGEST_WAIT_SECONDS = 0.1, 3.0


@dataclass(frozen=True)
class CallBack:
    """A signed request."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Telling:
    """One event to be told: `make` signs it at each attempt, `told` learns the status of each."""

    make: Callable[[], CallBack]
    told: Callable[[int], None]
    times: int = 1
    tries: int = 0


class CallBacks:
    """Posts what is due, at most `posting` at once; a status in `stops` is taken as an end, as a 2xx is.

    `refused` counts those that ended without a 2xx, after `tries` attempts or at such a status.
    """

    def __init__(self, stops: frozenset[int] = frozenset(), tries: int = 12, posting: int = 1) -> None:
        self.refused = 0
        self._stops = stops
        self._tries = tries
        self._posting = posting
        self._due: list[tuple[float, int, Callable[[], Telling | None]]] = []
        self._number = count()
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """How many are planned or on their way."""
        return len(self._due) + len(self._under_way)

    def start(self) -> None:
        """Begin to post."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Drop what is left."""
        tasks = [*self._under_way, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until nothing is planned or on its way."""
        await self._idle.wait()

    def plan(self, after: float, telling: Callable[[], Telling | None]) -> None:
        """Call `telling` in `after` seconds and post what it returns, if anything."""
        self._idle.clear()
        due = asyncio.get_running_loop().time() + after
        heapq.heappush(self._due, (due, next(self._number), telling))
        self._changed.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                self._changed.clear()
                wait = self._due[0][0] - loop.time() if self._due else None
                if wait is not None and wait <= 0 and len(self._under_way) < self._posting:
                    self._begin(session)
                    continue
                if not self.pending:
                    self._idle.set()
                full = len(self._under_way) >= self._posting
                await _either(self._changed, None if full else wait)

    def _begin(self, session: aiohttp.ClientSession) -> None:
        _, _, make = heapq.heappop(self._due)
        telling = make()
        if telling is None:
            return
        task = asyncio.create_task(self._tell(session, telling))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._changed.set()

    async def _once(self, session: aiohttp.ClientSession, call_back: CallBack, telling: Telling) -> int:
        status = await _post(session, call_back)
        telling.told(status)
        return status

    async def _tell(self, session: aiohttp.ClientSession, telling: Telling) -> None:
        call_back = telling.make()
        statuses = [await self._once(session, call_back, telling) for _ in range(telling.times)]
        if any(200 <= status < 300 for status in statuses):
            return
        tries = telling.tries + 1
        if self._stops.intersection(statuses) or tries >= self._tries:
            self.refused += 1
            return
        again = Telling(telling.make, telling.told, 1, tries)
        wait = min(_AGAIN_SECONDS * 2.0**telling.tries, _LONGEST_WAIT_SECONDS)
        self.plan(wait, lambda: again)


async def _post(session: aiohttp.ClientSession, call_back: CallBack) -> int:
    """The status of the answer, 0 if there was none."""
    try:
        async with session.post(
            URL(call_back.url, encoded=True), headers=call_back.headers, data=call_back.body
        ) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return 0


async def _either(event: asyncio.Event, seconds: float | None) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
