"""`orderwake consent …`: what a customer allowed, and what each message stood on."""

import json
from typing import Any

import asyncpg
import click

from services.dispatcher.commands import plain, run
from services.dispatcher.people import queries
from shared import log
from shared.settings import Settings


@click.group()
def consent() -> None:
    """See what customers allowed, and prove it."""
    log.configure("consent", "error")


@consent.command("show")
@click.argument("customer")
@click.option("--shop", required=True, help="The shop's id.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, help="Messages shown, newest first.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def show(customer: str, shop: str, limit: int, *, as_json: bool) -> None:
    """Show a customer's consent with its proof, what suppresses it, and the consent behind each message.

    \b
    orderwake consent show c-1001 --shop skincare
    orderwake consent show c-1001 --shop skincare --json

    Consent is as the dispatcher last read it. No addresses are shown: the dispatcher keeps none.
    """  # noqa: D301  \b is click's mark

    async def work(pool: asyncpg.Pool, _: Settings) -> dict[str, Any]:
        return await known_of(pool, shop, customer, limit)

    found = run(work)
    if found["consent"] is None and not found["sends"] and not found["suppressions"]:
        text = f"nothing was ever read of {customer} in {shop}; check both ids, and that the dispatcher runs"
        raise click.ClickException(text)
    click.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))


async def known_of(pool: asyncpg.Pool, shop: str, customer: str, limit: int = 100) -> dict[str, Any]:
    """Consent, suppressions, dead addresses and sends of one customer; times in ISO 8601."""
    row = await pool.fetchrow(queries.consent_of, shop, customer)
    suppressions = await pool.fetch(queries.suppressions_of, shop, customer)
    addresses = await pool.fetch(queries.addresses_of, shop, customer)
    sends = await pool.fetch(queries.sends_of, shop, customer, limit)
    return {
        "shop": shop,
        "customer": customer,
        "consent": row["consent"] if row else None,
        "version": row["version"] if row else None,
        "suppressions": [plain(dict(each)) for each in suppressions],
        "addresses": [plain(dict(each)) for each in addresses],
        "sends": [plain(dict(each)) for each in sends],
    }


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['customer']} of {found['shop']}, as of version {found['version']}"]
    if found["version"] == 0:
        lines.append("erased: consent and addresses are gone")
    for channel, given in sorted((found["consent"] or {}).items()):
        lines.append(f"  {channel:6} {_said(given)}")
    for each in found["suppressions"]:
        lifted = f", lifted {each['lifted_at']}" if each["lifted_at"] else ""
        lines.append(f"  {each['channel']:6} suppressed since {each['since']}: {each['reason']}{lifted}")
    for each in found["addresses"]:
        state = f"dead since {each['dead_since']}" if each["dead_since"] else f"failed {each['softs']} times"
        lines.append(f"  {each['channel']:6} an address {state}: {each['reason']}")
    lines.append(f"{len(found['sends'])} messages, newest first")
    for each in found["sends"]:
        what = (
            f"{each['handed_over_at']}  {each['channel']:6} {each['message_id']}  {each['state'] or 'gone'}"
        )
        lines.append(f"  {what}  by {each['provider']}, on: {_said(each['consent'])}")
    return lines


def _said(given: dict[str, Any]) -> str:
    if not given:
        return "no consent kept"
    word = "granted" if given.get("granted") else "refused"
    wording = f", {json.dumps(given['wording'], ensure_ascii=False)}" if given.get("wording") else ""
    return f"{word} {given.get('changed_at')}, source {given.get('source')}{wording}"
