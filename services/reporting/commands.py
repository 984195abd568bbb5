"""`orderwake report` and `orderwake why`: they only read, and only the schema `reporting`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import asyncpg
import click
import orjson
from rich.console import Console, RenderableType

from services.reporting import report_view, store, why_view
from services.reporting.report import report as make_report
from services.reporting.store import Scope, queries
from services.reporting.why import Explained, explain
from shared.db import create_pool
from shared.errors import InfrastructureError, OrderwakeError
from shared.settings import Settings, load

_T = TypeVar("_T")
_WIDTH_OF_FILES = 132


class MomentParam(click.ParamType):
    """A date or time in ISO 8601; without a zone it is UTC."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse, or fail with an example."""
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is not a date or time; write 2026-03-02 or 2026-03-02T08:30:00Z", param, ctx
            )
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


@click.command()
@click.option("--shop", help="Only this shop; without it, all.")
@click.option("--since", type=MomentParam(), help="From this business time on (orders placed, steps due).")
@click.option("--until", type=MomentParam(), help="Before this business time.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object, money as text.")
def report(shop: str | None, since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """What was decided and sent, what it was worth, what the holdout shows.

    \b
    orderwake report --shop skincare
    orderwake report --since 2026-03-02 --until 2026-03-09 --json
    """  # noqa: D301  \b is click's mark
    if since and until and since >= until:
        message = "--since must be before --until"
        raise click.UsageError(message)

    async def work(pool: asyncpg.Pool, settings: Settings) -> dict[str, object]:
        await _require_shop(pool, shop)
        window = timedelta(days=settings.attribution_days)
        return await make_report(pool, Scope(shop, since, until), window, settings.clock().business())

    found = _run(work)
    _show(found, report_view.render, as_json=as_json)


@click.command()
@click.argument("customer")
@click.option("--shop", help="Only this shop; without it, all that know the customer.")
@click.option("--step", "steps", multiple=True, help="Only this step; may be repeated.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Occurrences shown, newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object with the whole records.")
def why(customer: str, shop: str | None, steps: tuple[str, ...], limit: int, *, as_json: bool) -> None:
    """Why CUSTOMER got each message, or did not: every rule and its inputs.

    CUSTOMER is the id that the shop gave, or that ingest gave a guest.

    \b
    orderwake why c-1042
    orderwake why c-1042 --shop fitness --step sms-delivery --limit 3 --json
    """  # noqa: D301  \b is click's mark

    async def work(pool: asyncpg.Pool, _: Settings) -> Explained:
        await _require_shop(pool, shop)
        found = await explain(pool, customer, shop, steps, limit)
        _require_something(customer, shop, steps, found)
        return found

    found = _run(work)
    if as_json:
        click.echo(
            _json(
                {
                    "customer": customer,
                    "orders": found.orders,
                    "decisions": found.decisions,
                    "occurrences": found.occurrences,
                    "shown": found.blocks,
                }
            )
        )
    else:
        _show(found, lambda known: why_view.render(customer, known), as_json=False)


def _require_something(customer: str, shop: str | None, steps: tuple[str, ...], found: Explained) -> None:
    where = f" in {shop}" if shop else ""
    if not (found.orders or found.decisions):
        message = (
            f"no customer {customer!r}{where}: neither an order nor a decision. Give the shop's customer id, "
            "not an address; a guest has the id that ingest gave them. Or their records are unread: "
            "GET /v1/status of reporting says how far behind it is"
        )
        raise click.ClickException(message)
    if found.decisions and not found.occurrences:
        message = (
            f"{customer!r} has no decision{where} on step {' or '.join(steps)}; leave out --step to see all"
        )
        raise click.ClickException(message)


async def _require_shop(pool: asyncpg.Pool, shop: str | None) -> None:
    known = [row["shop"] for row in await pool.fetch(queries.shops)]
    if shop is not None and shop not in known:
        message = f"no shop {shop!r} here; known are: {', '.join(known) or 'none yet'}"
        raise click.ClickException(message)


def _run(work: Callable[[asyncpg.Pool, Settings], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        settings = load()
        async with _pool(settings) as pool:
            return await work(pool, settings)

    try:
        return asyncio.run(run())
    except OrderwakeError as error:
        raise click.ClickException(str(error)) from None


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    try:
        pool = await create_pool(settings, schema=store.SCHEMA)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        message = f"PostgreSQL cannot be reached: {error}; set DATABASE_URL to the deployment's database"
        raise InfrastructureError(message) from None
    try:
        yield pool
    except asyncpg.UndefinedTableError:
        message = (
            "the database has no reporting tables; run `orderwake migrate`, then start `orderwake reporting`"
        )
        raise InfrastructureError(message) from None
    finally:
        await pool.close()


def _json(value: object) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()


def _show(found: _T, render: Callable[[_T], RenderableType], *, as_json: bool) -> None:
    if as_json:
        click.echo(_json(found))
        return
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES).print(render(found))
