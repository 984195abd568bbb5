"""`orderwake webhooks …`: what shops have not been told of accepted offers yet, and telling them again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from services.scheduler.page import store
from services.scheduler.store import Connection
from shared import log
from shared.clock import Clock
from shared.db import create_pool
from shared.settings import load

_SHOWN = 1000
_Answer = TypeVar("_Answer")


@click.group("webhooks")
def webhooks() -> None:
    """See what shops have not been told of accepted offers yet, and tell them again."""
    log.configure("webhooks", "error")


@webhooks.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object a line.")
def list_undelivered(*, as_json: bool) -> None:
    """List the webhooks that no shop has taken, oldest first: id, shop, since when, state, attempts, what came back.

    \b
    orderwake webhooks list

    `waiting` is tried again by itself, `gone` waits until the shop has another address or `enable`, `failed` was given up.
    """  # noqa: D301  \b is click's mark
    rows = _run(lambda connection, _: store.undelivered(connection, _SHOWN))
    for row in rows:
        said = {**row, "created_at": row["created_at"].isoformat(), "next_at": row["next_at"].isoformat()}
        click.echo(json.dumps(said) if as_json else _line(said))
    if not rows and not as_json:
        click.echo("every shop was told of everything")


@webhooks.command("redeliver")
@click.argument("webhook_id", required=False)
@click.option("--all", "every", is_flag=True, help="All that were given up.")
def redeliver(webhook_id: str | None, *, every: bool) -> None:
    """Begin anew with a webhook that was given up.

    \b
    orderwake webhooks redeliver msg_2b0f…
    orderwake webhooks redeliver --all
    """  # noqa: D301  \b is click's mark
    if every == (webhook_id is not None):
        message = "say which: a webhook's id (`orderwake webhooks list` has them), or --all"
        raise click.UsageError(message)
    begun = _run(lambda connection, clock: store.redeliver(connection, webhook_id, clock.machine()))
    click.echo(f"{begun} to be delivered again")
    if not begun and webhook_id:
        message = f"no webhook {webhook_id} was given up"
        raise click.ClickException(message)


@webhooks.command("enable")
@click.argument("shop")
def enable(shop: str) -> None:
    """Send to a shop's address again that has answered 410.

    \b
    orderwake webhooks enable skincare
    """  # noqa: D301  \b is click's mark
    _run(lambda connection, _: store.enable(connection, shop))
    click.echo(f"{shop} is told again")


def _line(row: dict[str, Any]) -> str:
    state = "gone" if row["address_gone"] and row["state"] == "waiting" else row["state"]
    return (
        f"{row['webhook_id']}  {row['shop_id']}  {row['created_at']}  {state}, {row['attempts']} attempts, "
        f"last {row['outcome'] or 'none'}"
    )


def _run(work: Callable[[Connection, Clock], Awaitable[_Answer]]) -> _Answer:
    async def running() -> _Answer:
        settings = load()
        pool = await create_pool(settings, "scheduler", 2)
        try:
            async with pool.acquire() as connection:
                return await work(connection, settings.clock())
        finally:
            await pool.close()

    return asyncio.run(running())
