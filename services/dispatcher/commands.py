"""`orderwake ledger …`: what became of messages, for people."""

import asyncio
import json
from typing import Any

import click

from services.dispatcher.ledger import queries
from shared.db import create_pool
from shared.settings import Settings, load


async def list_unknown(settings: Settings) -> list[dict[str, Any]]:
    """Messages that may or may not have been taken, oldest first, without contact data; times in ISO 8601."""
    pool = await create_pool(settings, "dispatcher", size=2)
    try:
        rows = await pool.fetch(queries.list_unknown)
    finally:
        await pool.close()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:  # noqa: ANN401  any column's value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if value is None or isinstance(value, int) else str(value)


@click.group()
def ledger() -> None:
    """See what became of the messages."""


@ledger.command("unknown")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def unknown(*, as_json: bool) -> None:
    """List the messages of which nobody knows whether the provider took them.

    \b
    orderwake ledger unknown
    orderwake ledger unknown --json

    They were handed over and never answered, and are not sent again by themselves.
    """  # noqa: D301  \b is click's mark
    found = asyncio.run(list_unknown(load()))
    for row in found:
        text = "{message_id}  {channel:5}  {shop_id}  {customer_id}  {reason}  {changed_at}".format_map(row)
        click.echo(json.dumps(row) if as_json else text)
    if not as_json:
        click.echo(f"{len(found)} unknown")
