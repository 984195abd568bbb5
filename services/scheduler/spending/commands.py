"""`orderwake codes …`: fill pools of discount codes, see what became of codes, redeem them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import IO, Any, TypeVar
from uuid import UUID

import click

from services.scheduler.domain.signing import as_made, signed
from services.scheduler.spending import codes as store
from services.scheduler.spending.budgets import Connection
from services.scheduler.spending.codes import Given, Look, Redemption, Standing, Stock
from shared import log
from shared.db import create_pool
from shared.settings import load

_LONGEST = 100
_SHOWN = 100
_NAMED = 10
_REFUSED = {
    Redemption.OTHER_ORDER: "{code} was redeemed by another order",
    Redemption.EXPIRED: "{code} had ended by then",
    Redemption.NOT_GIVEN: "{code} waits in a pool: no customer has it",
    Redemption.UNKNOWN: "{shop} has no code {code}",
}
_Answer = TypeVar("_Answer")

_shop = click.option("--shop", required=True, help="The shop's id.")
_json = click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object a line.")


@click.group("codes")
def codes() -> None:
    """Fill pools of discount codes, see what became of codes, and redeem them."""
    log.configure("codes", "error")


@codes.command("add")
@_shop
@click.option("--pool", required=True, help="The name that journeys draw from: incentive: {pool: NAME}.")
@_json
@click.argument("file", type=click.File())
def add(shop: str, pool: str, file: IO[str], *, as_json: bool) -> None:
    """Put the codes of FILE (- is standard input), one a line, into a pool.

    \b
    orderwake codes add --shop skincare --pool spring codes.txt

    A code that the shop has already, in whatever pool, stays as it is and is told. Safe to run again.
    """  # noqa: D301  \b is click's mark
    lines = [line.strip() for line in file]
    given = [line for line in lines if line]
    for number, line in enumerate(lines, start=1):
        if len(line) > _LONGEST or any(letter.isspace() or not letter.isprintable() for letter in line):
            message = f"line {number} of {file.name} is no code: up to {_LONGEST} printable characters without spaces"
            raise click.ClickException(message)
    settings = load()
    unique = list(dict.fromkeys(given))
    new = _run(lambda connection: store.add(connection, shop, pool, unique, settings.clock().machine()))
    twice = len(given) - len(unique)
    known = [each for each in unique if each not in new]
    if as_json:
        click.echo(json.dumps({"added": len(new), "twice_in_file": twice, "known": known}))
        return
    click.echo(f"{len(new)} added to {shop}/{pool}")
    if twice:
        click.echo(f"{twice} stood more than once in the file")
    if known:
        rest = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        click.echo(f"{len(known)} were the shop's already: {', '.join(known[:_NAMED])}{rest}")


@codes.command("left")
@click.option("--shop", help="Only this shop.")
@_json
def left(shop: str | None, *, as_json: bool) -> None:
    """Say how many codes of each pool no customer has yet.

    \b
    orderwake codes left --shop skincare
    """  # noqa: D301  \b is click's mark
    found: list[Stock] = _run(lambda connection: store.pools(connection, shop))
    for each in found:
        text = f"{each.shop}/{each.pool}: {each.waiting} left, {each.issued} given, {each.redeemed} redeemed"
        click.echo(json.dumps(asdict(each)) if as_json else text)
    if not found and not as_json:
        click.echo("there are no pools; make one with orderwake codes add")


@codes.command("list")
@_shop
@click.option("--pool", help="Only codes of this pool; without it those that we made, too.")
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, help="At most so many.")
@_json
def list_codes(shop: str, pool: str | None, limit: int, *, as_json: bool) -> None:
    """List the codes that customers were given, the latest first.

    \b
    orderwake codes list --shop skincare --pool spring
    """  # noqa: D301  \b is click's mark
    for each in _run(lambda connection: store.issued(connection, shop, pool, limit)):
        click.echo(json.dumps(_data(each)) if as_json else f"{each.code}  {_terms(each)}")


@codes.command("verify")
@_shop
@click.option(
    "--message", type=click.UUID, help="Ask no database: whether we made the code for this message."
)
@_json
@click.argument("code")
def verify(shop: str, code: str, message: UUID | None, *, as_json: bool) -> None:
    """Say whether CODE is one of ours and still good. Exit code 1 if it is not.

    \b
    orderwake codes verify --shop skincare SPRING-7K3Q-ZM2W-9XBA
    """  # noqa: D301  \b is click's mark
    settings = load()
    secret = settings.code_secret.get_secret_value().encode()
    if message is not None:
        ours = signed(secret, shop, as_made(code), message)
        click.echo(
            json.dumps({"signed": ours}) if as_json else "signed by us" if ours else "not signed by us"
        )
        raise SystemExit(0 if ours else 1)
    now = settings.clock().business()
    seen: Look = _run(lambda connection: store.look(connection, shop, code, now))
    given = seen.given
    genuine = given is None or given.pool is not None or signed(secret, shop, given.code, given.message_id)
    standing = seen.standing.value
    if as_json:
        click.echo(json.dumps({"standing": standing, "signed": genuine, **(_data(given) if given else {})}))
    else:
        click.echo(f"{standing}  {given.code}  {_terms(given)}" if given else standing)
        if not genuine:
            click.echo("it was not signed with the secret that is set now", err=True)
    raise SystemExit(0 if seen.standing is Standing.VALID else 1)


@codes.command("redeem")
@_shop
@click.option("--order", required=True, help="The id of the order that used it.")
@click.option("--at", "placed_at", help="When that was, ISO 8601 with a zone; by default now.")
@click.argument("code")
def redeem(shop: str, code: str, order: str, placed_at: str | None) -> None:
    """Note that an order used CODE, which is good for one order. Safe to run again for the same order.

    \b
    orderwake codes redeem --shop skincare --order 1001 SPRING-7K3Q-ZM2W-9XBA
    """  # noqa: D301  \b is click's mark
    at = _moment(placed_at) if placed_at else load().clock().business()

    async def work(connection: Connection) -> Redemption:
        async with connection.transaction():
            return await store.redeem(connection, shop, code, order, at)

    became = _run(work)
    if became in _REFUSED:
        raise click.ClickException(_REFUSED[became].format(code=code, shop=shop))
    click.echo(f"{code} is redeemed by order {order}{' already' if became is Redemption.AGAIN else ''}")


def _run(work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
    async def connected() -> _Answer:
        pool = await create_pool(load(), "scheduler", size=2)
        try:
            async with pool.acquire() as connection:
                return await work(connection)
        finally:
            await pool.close()

    return asyncio.run(connected())


def _moment(text: str) -> datetime:
    message = f"--at {text!r} is no time with a zone, such as 2026-03-02T12:00:00Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(message) from None
    if moment.tzinfo is None:
        raise click.UsageError(message)
    return moment.astimezone(UTC)


def _terms(given: Given) -> str:
    what = (
        given.kind if given.value is None else f"{given.kind} {given.value:f} {given.currency or ''}".strip()
    )
    until = f" until {given.expires_at:%Y-%m-%d %H:%M} UTC" if given.expires_at else ""
    used = f", redeemed by {given.redeemed_by}" if given.redeemed_by else ""
    return f"{what}{until}, {given.journey}/{given.step}{used}"


def _data(given: Given) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else None if value is None else str(value)
        for name, value in asdict(given).items()
    }
