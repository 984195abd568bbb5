"""A process of the dispatcher's benchmark: the service as it is, or a bare loop of the same rendering and the same client.

    python -m bench.dispatcher_worker ours --messages 10000
    python -m bench.dispatcher_worker bare --messages 10000 --products 9

The service reads the messages that wait on Kafka; it is done when each was accepted, written and told. The loop has its messages in
memory already, as the ledger would hand them out.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import uvloop
from prometheus_client import Counter

from bench.dispatcher_mail import claimed, messages
from bench.scheduler_stand import calm
from bench.scheduler_worker import Told, cpu_seconds, let_go, tell
from bench.service import CLOCK, until
from services.dispatcher import app
from services.dispatcher.compose import Composer
from services.dispatcher.delivery import load_delivery, surroundings
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import Parcel, Provider, Result
from shared import log, metrics
from shared.db import create_pool, load_queries
from shared.events import Channel
from shared.settings import Settings, load
from shared.topics import MESSAGES

START_SECONDS, LIMIT_SECONDS = 60.0, 900.0
SAMPLE_SECONDS = 0.5
queries = load_queries(Path(__file__).with_name("dispatcher.sql"))


class Watch:
    """What the process has used since it had its first message."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.started = CLOCK.monotonic()
        self._cpu = cpu_seconds()
        self.memory: list[int] = []

    def sample(self) -> None:
        """Note the memory that is resident now."""
        self.memory.append(self._process.memory_info().rss)

    def told(self) -> Told:
        """Seconds, CPU, and megabytes: at the highest, and at the means of the second fifth and of the last."""
        self.sample()
        fifth = max(len(self.memory) // 5, 1)
        early, late = self.memory[fifth : 2 * fifth] or self.memory, self.memory[-fifth:]
        return {
            "seconds": CLOCK.monotonic() - self.started,
            "cpu": cpu_seconds() - self._cpu,
            "peak_mb": max(self.memory) / 1e6,
            "early_mb": sum(early) / len(early) / 1e6,
            "late_mb": sum(late) / len(late) / 1e6,
        }


async def ours(settings: Settings, number: int) -> Told:
    """Run the service until so many messages more are accepted, written and told."""
    pool = await create_pool(settings, app.NAME, size=2)
    stopping = asyncio.Event()
    try:
        async with app.build(settings, settings.clock()) as running:
            await let_go()
            loops = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
            try:

                async def read() -> bool:
                    _raise_failure(loops)
                    return bool(_read())

                async def answered() -> bool:
                    _raise_failure(loops)
                    return _answered() >= number

                async def told_all() -> bool:
                    return not await pool.fetchval(queries.unfinished)

                await until(read, "the first message", START_SECONDS)
                watch = Watch()
                sampling = asyncio.ensure_future(_sample(watch))
                await until(answered, "an answer to each", LIMIT_SECONDS)
                await until(told_all, "an end of each", LIMIT_SECONDS)
                sampling.cancel()
                told = watch.told()
            finally:
                stopping.set()
                await asyncio.gather(*loops)
        return {**told, "accepted": _count(metrics.SENDS, "result", "accepted")}
    finally:
        await pool.close()


def _raise_failure(loops: Sequence["asyncio.Future[None]"]) -> None:
    for loop in loops:
        if loop.done():
            loop.result()


async def _sample(watch: Watch) -> None:
    while True:
        watch.sample()
        await asyncio.sleep(SAMPLE_SECONDS)


def _count(counter: Counter, label: str, *values: str) -> float:
    """A counter's sum over those of its children whose label has one of the values."""
    return sum(
        sample.value
        for family in counter.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels[label] in values
    )


def _read() -> float:
    return _count(metrics.EVENTS_CONSUMED, "topic", MESSAGES.name)


def _answered() -> float:
    return _count(metrics.SENDS, "result", "accepted", "rejected", "withheld", "unknown")


async def bare(settings: Settings, number: int, products: int) -> Told:
    """Render and hand over so many messages, as many at a time as the service has in flight."""
    clock = settings.clock()
    delivery = load_delivery(settings)
    composer = Composer(settings, clock, delivery)
    composer.prepare()
    provider = delivery.route(Channel.EMAIL, delivery.make(surroundings(settings)))[0]
    await provider.start()
    waiting = iter(claimed(messages(number, products, clock.business())))
    calm()
    try:
        await let_go()
        watch = Watch()
        workers = [_deliver(composer, provider, waiting) for _ in range(settings.dispatcher_claim)]
        accepted = sum(await asyncio.gather(*workers))
        return {**watch.told(), "accepted": accepted}
    finally:
        await provider.close()


async def _deliver(composer: Composer, provider: Provider, waiting: Iterator[Claimed]) -> int:
    accepted = 0
    for one in waiting:
        parcel = composer.parcel(one)
        if isinstance(parcel, Parcel):
            answer = await provider.send(parcel)
            accepted += answer.result is Result.ACCEPTED
    return accepted


def main() -> None:
    """Work when let go, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("ours", "bare"))
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--products", type=int, default=3)
    given = parser.parse_args()
    log.configure("bench", "error")
    settings = load()
    work = (
        ours(settings, given.messages)
        if given.side == "ours"
        else bare(settings, given.messages, given.products)
    )
    tell(uvloop.run(work))


if __name__ == "__main__":
    main()
