"""What every service process does alike: logs, settings, health and metrics over HTTP, loops, and a clean stop."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

import asyncpg
import structlog
import uvloop
from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared import collector
from shared import log as logs
from shared.clock import Clock
from shared.errors import InfrastructureError, OrderwakeError, SettingsError
from shared.settings import Settings, load

log = structlog.get_logger()

Loop = Callable[[asyncio.Event], Awaitable[None]]

DRAIN_SECONDS = 20.0
_RETRY_SECONDS = 1.0
_AWAY = (KafkaError, OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError)


@dataclass(frozen=True)
class Running:
    """A service that has been put together.

    `loops` run until the event they are given is set, then finish what they have in hand. `ready` names each thing
    that must be true before traffic comes.
    """

    loops: Sequence[Loop]
    ready: Callable[[], dict[str, bool]]
    routes: Sequence[web.AbstractRouteDef] = ()


Build = Callable[[Settings, Clock], AbstractAsyncContextManager[Running]]


def run(name: str, build: Build) -> None:
    """Run a service until SIGTERM or SIGINT. Exits 2 on bad settings, 1 when a loop fails."""
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"orderwake {name} cannot start:\n{error}\n")
        raise SystemExit(2) from None
    logs.configure(name, settings.log_level)
    collector.quieten()
    try:
        uvloop.run(serve(build, settings))
    except OrderwakeError as error:
        log.error("stopped", error=type(error).__name__, detail=str(error))  # noqa: TRY400  the message is the whole story
        raise SystemExit(1) from None


async def serve(build: Build, settings: Settings) -> None:
    """Build, serve and drain a service in the running loop; it waits for a broker or database that is away."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        running = await _build(stack, lambda: build(settings, settings.clock()), stopping)
        if running is None:
            return
        runner = await _serve_http(settings, running)
        log.info("started", port=runner.addresses[0][1])
        try:
            await _run_loops(running.loops, stopping)
        finally:
            await runner.cleanup()
    log.info("drained")


async def _build(
    stack: AsyncExitStack,
    build: Callable[[], AbstractAsyncContextManager[Running]],
    stopping: asyncio.Event,
) -> Running | None:
    while not stopping.is_set():
        try:
            return await stack.enter_async_context(build())
        except _AWAY as error:
            log.warning("waiting_for_infrastructure", error=type(error).__name__)
        try:
            await asyncio.wait_for(stopping.wait(), _RETRY_SECONDS)
        except TimeoutError:
            continue
    return None


async def _run_loops(loops: Sequence[Loop], stopping: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(loop(stopping)) for loop in loops]
    stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    failed = any(task.done() for task in tasks) and not stopping.is_set()
    stopping.set()
    _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    if late and not failed:
        log.warning("drain_incomplete", loops=len(late))
    for task, result in zip(tasks, results, strict=True):
        if isinstance(result, Exception):
            raise result
        if isinstance(result, asyncio.CancelledError) and task not in late:
            message = "a loop was cancelled from within"
            raise RuntimeError(message) from result


async def _serve_http(settings: Settings, running: Running) -> web.AppRunner:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        conditions = running.ready()
        return web.json_response(conditions, status=200 if all(conditions.values()) else 503)

    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    app.add_routes(running.routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    except OSError as error:
        await runner.cleanup()
        message = f"port {settings.http_port} of {settings.http_host}: {error.strerror}; set ORDERWAKE_HTTP_PORT to a free one"
        raise InfrastructureError(message) from None
    return runner
