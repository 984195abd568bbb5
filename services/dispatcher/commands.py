"""`orderwake ledger …`: what became of messages, for people, and what people settle."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import click

from services.dispatcher import settling
from services.dispatcher.ledger import Ledger
from services.dispatcher.people import People
from services.dispatcher.settling import Settlement, Verdict
from shared import log
from shared.db import create_pool, unusable
from shared.errors import InfrastructureError
from shared.settings import Settings, load

_Answer = TypeVar("_Answer")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=3660)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
_provider = click.option("--provider", help="Only what this provider had last, by its name.")


class Span(click.ParamType):
    """A span of time: 90s, 30m, 2h or 1d."""

    name = "SPAN"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse, or fail with an example."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([smhd])", str(value).strip())
        span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
        if span is None or span > _LONGEST:
            self.fail(f"{value!r} is no span of time, or too long; write 90s, 30m, 2h or 1d", param, ctx)
        return span


class Words(click.ParamType):
    """Text that says something."""

    name = "TEXT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Strip, or fail where nothing is left."""
        said = str(value).strip()
        return said or self.fail("it is kept with the verdict, so say it", param, ctx)


_older = click.option("--older-than", type=Span(), help="Only hand-overs older than this: 30m, 2h, 1d.")


async def list_unknown(
    settings: Settings, provider: str | None = None, older_than: timedelta | None = None
) -> list[dict[str, Any]]:
    """Messages that may or may not have been taken, oldest first, without contact data; times in ISO 8601."""
    async with _opened(settings) as pool:
        return await _unknown(pool, settings, provider, older_than)


@click.group()
def ledger() -> None:
    """See what became of the messages, and settle what is unknown."""
    log.configure("ledger", "error")


@ledger.command("unknown")
@_provider
@_older
@_json
def unknown(*, provider: str | None, older_than: timedelta | None, as_json: bool) -> None:
    """List the messages of which nobody knows whether the provider took them.

    \b
    orderwake ledger unknown
    orderwake ledger unknown --provider sms-1 --older-than 2h --json

    They were handed over and never answered. Call-backs and queries settle most; an SMS is never sent again by itself.
    """  # noqa: D301  \b is click's mark
    found = asyncio.run(list_unknown(load(), provider, older_than))
    for row in found:
        text = "{message_id}  {channel:5}  {provider}  {shop_id}  {customer_id}  {reason}  {handed_over_at}"
        click.echo(json.dumps(row) if as_json else text.format_map(row))
    if not as_json:
        click.echo(f"{len(found)} unknown")


@ledger.command("show")
@click.argument("message", type=click.UUID)
@_json
def show(message: UUID, *, as_json: bool) -> None:
    """Show where one message stands, what it stood on, and who settled it.

    \b
    orderwake ledger show 5b1f3c0e-0000-5000-8000-000000000000
    """  # noqa: D301  \b is click's mark
    found = run(lambda pool, _: settling.show(pool, message))
    if found is None:
        text = f"the ledger has no message {message}; `orderwake why` tells whether it was decided at all"
        raise click.ClickException(text)
    row = plain(found)
    if as_json:
        click.echo(json.dumps(row))
        return
    for name, value in row.items():
        if name != "settlements" and value is not None:
            click.echo(f"{name:19} {json.dumps(value) if isinstance(value, dict) else value}")
    for each in row["settlements"]:
        click.echo("settled             {verdict} by {settled_by} at {settled_at}: {why}".format_map(each))


@ledger.command("resolve")
@click.argument("message", type=click.UUID, required=False)
@click.option("--taken", "verdict", flag_value="taken", help="The provider took it.")
@click.option("--not-taken", "verdict", flag_value="not_taken", help="It did not, and is not to be sent.")
@click.option(
    "--send-again", "verdict", flag_value="send_again", help="Send it again, at the risk of a double."
)
@click.option("--by", "by", required=True, type=Words(), help="Your name: it is kept with the verdict.")
@click.option(
    "--why", "why", required=True, type=Words(), help="On what you stand: it is kept with the verdict."
)
@click.option("--all", "every", is_flag=True, help="All that --provider and --older-than choose.")
@_provider
@_older
@click.option("--yes", is_flag=True, help="With --all: do it. Without: only say what would be done.")
@_json
def resolve(  # noqa: PLR0913  one argument an option
    *,
    message: UUID | None,
    verdict: str | None,
    by: str,
    why: str,
    every: bool,
    provider: str | None,
    older_than: timedelta | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Settle what is unknown. Each verdict is kept, with who and why, and told to the other services.

    \b
    orderwake ledger resolve MESSAGE --taken --by ana --why "in the provider's log"
    orderwake ledger resolve --all --provider sms-1 --older-than 2h --not-taken --by ana --why "INC-7: never arrived"
    orderwake ledger resolve --all --provider sms-1 --older-than 2h --not-taken --by ana --why "INC-7" --yes
    """  # noqa: D301  \b is click's mark
    if verdict is None:
        text = "say what became of it: --taken, --not-taken or --send-again"
        raise click.UsageError(text)
    if (message is None) is not every:
        text = "name one message, or choose with --all"
        raise click.UsageError(text)
    if every and provider is None and older_than is None:
        text = "--all needs --provider, --older-than or both, lest a verdict meet what nobody looked at"
        raise click.UsageError(text)
    settlement = Settlement(Verdict(verdict), by, why)

    async def work(pool: asyncpg.Pool, settings: Settings) -> tuple[list[str], list[str]]:
        chosen = [message] if message else await _chosen(pool, settings, provider, older_than)
        if every and not yes:
            return [str(each) for each in chosen], []
        settled = await _settle(pool, settings, chosen, settlement)
        return [str(each) for each in settled], [str(each) for each in chosen if each not in settled]

    done, left = run(work)
    dry = every and not yes
    if as_json:
        for each in done:
            click.echo(json.dumps({"message_id": each, "verdict": verdict, "dry_run": dry}))
    else:
        click.echo(
            "\n".join(
                [*done, f"{len(done)} {'would be' if dry else ''} settled as {verdict}".replace("  ", " ")]
            )
        )
    if dry and not as_json:
        click.echo("nothing was changed; add --yes to do it")
    if left:
        raise click.ClickException(_why_not(left, Verdict(verdict)))


def _why_not(left: list[str], verdict: Verdict) -> str:
    names = ", ".join(left[:10])
    if verdict is Verdict.SEND_AGAIN:
        return (
            f"not settled: {names}: only what is unknown, still valid and has its content can go again;"
            " see `orderwake ledger show`, and settle it with --taken or --not-taken"
        )
    return f"not settled: {names}: not in the ledger, or not unknown (any more); see `orderwake ledger show`"


async def _unknown(
    pool: asyncpg.Pool, settings: Settings, provider: str | None, older_than: timedelta | None
) -> list[dict[str, Any]]:
    before = settings.clock().machine() - older_than if older_than is not None else None
    return [plain(row) for row in await settling.list_unknown(pool, provider, before)]


async def _chosen(
    pool: asyncpg.Pool, settings: Settings, provider: str | None, older_than: timedelta | None
) -> list[UUID]:
    return [UUID(row["message_id"]) for row in await _unknown(pool, settings, provider, older_than)]


async def _settle(
    pool: asyncpg.Pool, settings: Settings, messages: list[UUID], settlement: Settlement
) -> list[UUID]:
    clock = settings.clock()
    book = Ledger(uuid4(), clock, settings.dispatcher_lease_seconds, People.of(settings, clock))
    return await settling.settle(pool, book, clock, messages, settlement)


def run(work: Callable[[asyncpg.Pool, Settings], Awaitable[_Answer]]) -> _Answer:
    """Do work on a pool of this service's schema."""
    settings = load()

    async def within() -> _Answer:
        async with _opened(settings) as pool:
            return await work(pool, settings)

    return asyncio.run(within())


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """A pool of this service's schema. Raises InfrastructureError where there is no database, or nothing in it yet."""
    try:
        pool = await create_pool(settings, "dispatcher", size=2)
    except (OSError, asyncpg.PostgresError) as error:
        raise unusable(error) from None
    try:
        yield pool
    except asyncpg.UndefinedTableError:
        message = "the dispatcher's tables are not there yet; make them with `orderwake migrate`"
        raise InfrastructureError(message) from None
    finally:
        await pool.close()


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people and for JSON: times in ISO 8601, ids as text."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401  any column's value
    if isinstance(value, dict):
        return plain(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if value is None or isinstance(value, int | float) else str(value)
