"""Reading the switches off their topic, and throwing one."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import uuid4

import asyncpg

from shared.clock import Clock
from shared.db import load_queries
from shared.errors import InfrastructureError
from shared.events import Control, ControlSet, Event
from shared.faults import PASSING
from shared.kafka.follower import Follower
from shared.kafka.producer import make_producer
from shared.kafka.records import Record
from shared.settings import Settings
from shared.switches import EVERY, Scope, Switch, Switchboard, switch_key
from shared.topics import CONTROLS

Action = Literal["pause", "stop", "resume"]
queries = load_queries(Path(__file__).with_name("throwing.sql"))

_DATABASE_SECONDS = 2.0
_CLOSING_SECONDS = 2.0
_LEAST = timedelta(microseconds=1)


async def read_switches(settings: Settings, seconds: float) -> Switchboard:
    """Read what was thrown. Raises InfrastructureError if that takes longer than `seconds`."""
    board, stopping = Switchboard(), asyncio.Event()

    def take(record: Record, event: Event | None) -> None:
        board.take(record.key or b"", event)

    follower = Follower(settings, [CONTROLS], take)
    running = asyncio.create_task(follower.run(stopping))
    try:
        await asyncio.wait_for(follower.wait_caught_up(), seconds)
    except TimeoutError:
        raise _unreachable(settings, seconds) from None
    finally:
        stopping.set()
        _, late = await asyncio.wait([running], timeout=_CLOSING_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return board


async def throw(  # noqa: PLR0913, PLR0917  who, what, where and why
    settings: Settings, clock: Clock, board: Switchboard, scope: Scope, action: Action, by: str, why: str
) -> Switch:
    """Throw a switch at business time now, and not before what `board` says was done to its scope last.

    Raises InfrastructureError if Kafka does not acknowledge.
    """
    last, now = board.standing(scope), clock.business()
    at = max(now, last.control.set_at + _LEAST) if last else now
    control = Control(
        action=action, journey=scope.journey, channel=scope.channel, set_at=at, set_by=by, why=why
    )
    event = ControlSet(
        id=str(uuid4()), source="orderwake/operators", time=at, shopid=scope.shop or EVERY, data=control
    )
    producer = make_producer(settings.kafka_bootstrap_servers)
    try:
        await producer.start()
        await producer.send_and_wait(CONTROLS.name, event.encode(), switch_key(scope, control))
    except PASSING as error:
        raise _unreachable(settings, None) from error
    finally:
        await producer.stop()
    return Switch(event.shopid, control)


async def known_journeys(settings: Settings) -> set[tuple[str, str]] | None:
    """Shop and id of every journey that was ever published; None if the database cannot say in two seconds.

    A switch must be thrown without it, too.
    """
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            connection = await asyncpg.connect(settings.database_url.get_secret_value())
            try:
                rows = await connection.fetch(queries.known_journeys)
            finally:
                await connection.close()
    except (*PASSING, asyncpg.PostgresError, OSError, TimeoutError):
        return None
    return {(row["shop"], row["journey"]) for row in rows}


def _unreachable(settings: Settings, seconds: float | None) -> InfrastructureError:
    within = f" within {seconds:g} s" if seconds else ""
    message = (
        f"Kafka at {settings.kafka_bootstrap_servers} did not answer{within}, so nothing was changed; "
        "set KAFKA_BOOTSTRAP_SERVERS, and create the topics with `orderwake topics apply`"
    )
    return InfrastructureError(message)
