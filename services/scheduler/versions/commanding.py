"""What the commands about journeys share: the database, who runs them, and how they answer."""

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import asyncpg
import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared import log
from shared.db import create_pool
from shared.errors import InfrastructureError, OrderwakeError
from shared.settings import Settings, load

_T = TypeVar("_T")
_WIDTH_OF_FILES = 132
_SCHEMA = "scheduler"


def run(work: Callable[[asyncpg.Pool, Settings], Awaitable[_T]]) -> _T:
    """Do work on the scheduler's database; an error raised on purpose becomes one line and exit code 1."""
    log.configure("journeys", "error")

    async def connected() -> _T:
        settings = load()
        async with _pool(settings) as pool:
            return await work(pool, settings)

    try:
        return asyncio.run(connected())
    except OrderwakeError as error:
        raise click.ClickException(str(error)) from None


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    try:
        pool = await create_pool(settings, _SCHEMA, size=4)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        message = f"PostgreSQL cannot be reached: {error}; set DATABASE_URL to the deployment's database"
        raise InfrastructureError(message) from None
    try:
        yield pool
    except asyncpg.UndefinedTableError:
        message = "the database has no tables for publications; run `orderwake migrate`"
        raise InfrastructureError(message) from None
    finally:
        await pool.close()


def person(by: str | None) -> str:
    """Return who acts: the one named, else the user who runs the command."""
    try:
        name = (by or getpass.getuser()).strip()
    except (KeyError, OSError):
        name = ""
    if not name:
        message = "nobody is known as running this; give --by NAME"
        raise click.UsageError(message)
    return name


def say(data: object) -> None:
    """Print one JSON object."""
    click.echo(orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode())


def console() -> Console:
    """Return where tables go: as wide as the terminal, or as a file should be."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES, highlight=False)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error; yields what to call with each number of things done, and how many there are."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, advance=done, total=total)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless told yes beforehand; whoever cannot be asked must say --yes. Raises click.Abort on no."""
    if yes:
        return
    if not sys.stdin.isatty():
        message = "there is nobody to ask; add --yes"
        raise click.UsageError(message)
    click.confirm(question, abort=True)
