"""Runs the demo: learn, live, tell."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click
import orjson
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo import audit, load, plan, tell
from demo.live import Week, stand_still, start_time
from demo.observe import Observer, observer
from demo.receivers import Received
from demo.stack import SERVICES, Stack
from demo.view import View
from services.cli import migrate_all
from services.scheduler.journeys import load_folder
from shared.clock import FileClock
from shared.embedded import choose
from shared.errors import OrderwakeError
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.settings import load as load_settings

PARTITIONS = 4
_LEARN_SECONDS = 300
_DRAIN_SECONDS = 180


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    orders: int
    shops: tuple[str, ...]
    speed: float
    keep: bool
    summary: Path | None
    seed: int
    folder: Path


@dataclass
class Demo:
    """One run. `console` is where people look."""

    options: Options
    console: Console
    stack: Stack
    environment: dict[str, str]
    clock_file: Path

    async def run(self) -> bool:
        """Run all three parts; returns whether every sum holds."""
        started = asyncio.get_running_loop().time()
        async with AsyncExitStack() as exits:
            exits.push_async_callback(self.stack.stop)
            self._say("[bold]Setting up[/bold]: topics, schemas, five services")
            stand_still(self.clock_file, plan.LIVE_START)
            settings = load_settings({**os.environ, **self.environment})
            await apply_topics(settings)
            await migrate_all(settings.database_url.get_secret_value())
            self.environment |= await self.stack.start_receivers()
            self.stack.environment = self.environment
            await self.stack.start_services({})
            watch = await exits.enter_async_context(observer(settings))
            producer = make_producer(settings.kafka_bootstrap_servers)
            await producer.start()
            exits.push_async_callback(producer.stop)
            made = plan.make(
                self.options.seed,
                self.options.shops,
                self.options.orders,
                say=lambda text: self._say(f"  {text}"),
            )
            await self._learn(made, watch, producer)
            session = await exits.enter_async_context(aiohttp.ClientSession())
            week = await self._live(made, watch, producer, session)
            ok = await self._tell(made, watch, week, started)
            if self.options.keep:
                await self._keep()
        return ok

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    async def _learn(self, made: plan.Plan, watch: Observer, producer: AIOKafkaProducer) -> None:
        self._say(
            "[bold]Learn[/bold]: two months of history teach and start nothing; four recent weeks may start journeys"
        )
        with _progress(self.console) as progress:
            await self._import(progress, "catalogue and customers", made.reference, producer)
            await self._import(progress, "history", made.history, producer)
            await self._count(progress, "history counted", watch, ("ingest", "recommender"))
            await self._import(progress, "recent weeks", made.recent, producer)
            await self._count(progress, "recent weeks applied", watch, SERVICES)

    async def _import(
        self, progress: Progress, what: str, events: list[Any], producer: AIOKafkaProducer
    ) -> None:
        task = progress.add_task(what, total=len(events))
        await load.produce(producer, events, lambda count: progress.advance(task, count))

    async def _count(self, progress: Progress, what: str, watch: Observer, services: tuple[str, ...]) -> None:
        lag = await watch.lag()
        task = progress.add_task(what, total=max(sum(lag.get(name, 0) for name in services), 1))

        async def look() -> dict[str, int]:
            self.stack.check()
            lag = await watch.lag()
            open_records = sum(lag.get(name, 0) for name in services)
            total = max(progress.tasks[task].total or 1, open_records)
            progress.update(task, total=total, completed=total - open_records)
            return {}

        await watch.settle(services, _LEARN_SECONDS, look)
        progress.update(task, completed=progress.tasks[task].total)

    async def _live(
        self, made: plan.Plan, watch: Observer, producer: AIOKafkaProducer, session: aiohttp.ClientSession
    ) -> Week:
        self._say(
            f"[bold]Live[/bold]: {plan.LIVE_DAYS} days of {len(self.options.shops)} shops, "
            f"{made.live_orders:,} orders, 1 s = {self.options.speed / 3600:g} h"
        )
        clock = FileClock(self.clock_file)
        week = Week(
            self.options.seed, clock, plan.live_end(), Received(self.stack.folder / "received"), producer, session,
            self.stack.url("ingest", "/v1/events"), made.people, made.live,
        )  # fmt: skip
        start_time(self.clock_file, clock, self.options.speed, plan.LIVE_START, plan.live_end())
        await View(self.console, self.stack, watch, week).during(week.run)
        return week

    async def _tell(self, made: plan.Plan, watch: Observer, week: Week, started: float) -> bool:
        self._say("[bold]Tell[/bold]: business time has stopped; the queues drain")
        await watch.settle(SERVICES, _DRAIN_SECONDS, self.stack.unfinished)
        week.received.look()
        log = await audit.read_log(watch)
        held = int((await self.stack.status("scheduler")).get("undecided", -1))
        published = load_folder(load_settings(self.environment).journeys_dir)
        sums = audit.sums(log, published, plan.live_end(), week.received, held)
        events = len(made.reference) + len(made.history) + len(made.recent) + sum(week.sent.values())
        names = [f"{topic}.dead-letters" for topic in watch.topic_names()]
        summary = {
            "orders": made.live_orders, "events": events, **sums.summary,
            "dead_letters": sum((await watch.count(names)).values()),
            "seconds": round(asyncio.get_running_loop().time() - started, 1),
        }  # fmt: skip
        await tell.report(self.environment, "report")
        tell.show_messages(self.console, week.received, self.stack.folder / "received")
        if who := tell.someone_with_both(log):
            await tell.report(self.environment, "why", who[1], "--shop", who[0])
        self._finish(summary, sums.problems)
        return not sums.problems

    def _finish(self, summary: dict[str, Any], problems: tuple[str, ...]) -> None:
        for name, value in summary.items():
            self._say(
                f"  {name:<13} {value if not isinstance(value, dict) else ', '.join(f'{k} {v:,}' for k, v in value.items())}"
            )
        if self.options.summary:
            self.options.summary.write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
            self._say(f"  written to {self.options.summary}")
        for problem in problems:
            self._say(f"[red]  does not hold: {problem}[/red]")
        if not problems:
            self._say(
                "[green]Both sums hold: every due step has its verdict, every message sent is accounted for.[/green]"
            )

    async def _keep(self) -> None:
        self._say("[bold]Kept running[/bold]; Ctrl-C stops everything")
        for name in SERVICES:
            self._say(
                f"  {name:<12} {self.stack.url(name, '/v1/status')}  {self.stack.url(name, '/metrics')}"
            )
        for name, value in self.environment.items():
            if name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"):
                self._say(f"  export {name}={value}")
        await asyncio.Event().wait()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description:<26}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _run_until_stopped(work: Callable[[], Awaitable[bool]]) -> bool:
    async def main() -> bool:
        task = asyncio.ensure_future(work())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    return asyncio.run(main())


def _run(options: Options) -> bool:
    console = Console()
    infrastructure = choose(options.folder / "infrastructure", os.environ)
    console.print(infrastructure.why, highlight=False)
    with infrastructure:
        clock_file = options.folder / "business-time"
        environment = {
            **infrastructure.environment,
            "ORDERWAKE_BUSINESS_TIME": f"file:{clock_file}",
            "ORDERWAKE_TOPIC_PARTITIONS": str(PARTITIONS),
        }
        demo = Demo(options, console, Stack(options.folder, environment), environment, clock_file)
        return _run_until_stopped(demo.run)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--orders", default=2400, show_default=True, help="Orders in the live week, half of them the grocer's."
)
@click.option(
    "--shop", "shops", multiple=True, type=click.Choice(plan.SHOPS), help="Only this shop; may be repeated."
)
@click.option("--speed", default=3600.0, show_default=True, help="Business seconds in a second.")
@click.option("--seed", default=1, show_default=True, help="Another seed, other people.")
@click.option("--keep", is_flag=True, help="Leave everything running at the end and print the URLs.")
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Write the summary as JSON.")
def main(  # noqa: PLR0913  one an option
    *, orders: int, shops: tuple[str, ...], speed: float, seed: int, keep: bool, summary: Path | None
) -> None:
    """Show a week of four shops through the whole of Orderwake.

    \b
    make demo
    make demo ARGS="--orders 3000 --summary summary.json"
    make demo ARGS="--shop skincare --orders 300 --keep"
    """  # noqa: D301  \b is click's mark
    folder = Path(tempfile.mkdtemp(prefix="orderwake-demo-"))
    options = Options(orders, shops or plan.SHOPS, speed, keep, summary, seed, folder)
    try:
        ok = _run(options)
    except asyncio.CancelledError:
        sys.stderr.write("\nStopped. Nothing is left running.\n")
        raise SystemExit(130) from None
    except OrderwakeError as error:
        sys.stderr.write(f"{error}\nLogs: {folder}/logs\n")
        raise SystemExit(1) from None
    shutil.rmtree(folder / "infrastructure", ignore_errors=True)
    raise SystemExit(0 if ok else 1)


if __name__ == "__main__":
    main()
