"""`orderwake journeys try`: what would happen next to a customer, and one message of it to a tester's address."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.scheduler.deciding import Decider
from services.scheduler.domain import Published
from services.scheduler.journeys import load_folder
from services.scheduler.store import Locked
from services.scheduler.versions import people, publications
from services.scheduler.versions.commanding import confirm, console, run, say
from services.scheduler.versions.reading import read_views
from services.scheduler.versions.trying import Tried, for_tester, foresee, send
from services.scheduler.views import Views
from shared.errors import PublicationError
from shared.events import Channel, Outcome, RuleOutcome
from shared.law import ContactHours
from shared.settings import Settings

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class MomentParam(click.ParamType):
    """A date or time in ISO 8601; without a zone it is UTC."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse, or fail with an example."""
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-03-02T08:30:00Z", param, ctx)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


@click.command("try")
@click.option("--as", "customer", required=True, help="The customer's id, as the shop gave it.")
@click.option("--shop", required=True, help="The customer's shop.")
@click.option(
    "--journeys",
    "folder",
    type=click.Path(path_type=Path),
    help="By this folder, instead of what is in force.",
)
@click.option("--at", "moment", type=MomentParam(), help="From this business time on; by default now.")
@click.option("--step", help="Of --send-to: the message of this step; by default the first.")
@click.option("--send-to", "address", help="Send one of the messages to this tester's address or +number.")
@click.option("--yes", is_flag=True, help="Do not ask before sending.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def try_(  # noqa: PLR0913, PLR0917  options
    customer: str,
    shop: str,
    folder: Path | None,
    moment: datetime | None,
    step: str | None,
    address: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """What would happen next to a customer: every open step, in order, with its verdict and each rule that objects.

    It writes nothing. Each step is decided at its time, on what is known now: as if nothing else happened meanwhile.

    \b
    orderwake journeys try --as c-1042 --shop skincare
    orderwake journeys try --as c-1042 --shop skincare --journeys journeys --at 2026-03-02T12:00:00Z
    orderwake journeys try --as c-1042 --shop skincare --step your-routine --send-to tester@example.com

    With --send-to one message goes out, with the customer's content, to the tester: as a customer of their own (staff, without
    orders), who consents to the channel by this. It counts nowhere, and the customer is not touched.
    """  # noqa: D301  \b is click's mark

    async def work(pool: asyncpg.Pool, settings: Settings) -> None:
        clock = settings.clock()
        known, published = await _known(pool, shop, customer), await _published(pool, folder)
        views = await read_views(settings)
        found = foresee(known, Decider(published, views, ContactHours.load()), moment or clock.business())
        if as_json:
            say({"customer": customer, "shop": shop, "next": [_data(each) for each in found]})
        else:
            console().print(_view(found, views, shop))
        if address is None:
            return
        wanted = _wanted(found, step, address)
        if not as_json:
            click.echo(f"{wanted.decision.step} of {customer} goes to {address}, marked as a test")
        confirm("send it?", yes=yes)
        if wanted.message is not None:
            await send(settings, for_tester(shop, wanted.message, address, clock))
            click.echo(f"handed to the dispatcher, for {address}", err=as_json)

    run(work)


async def _known(pool: asyncpg.Pool, shop: str, customer: str) -> Locked:
    async with pool.acquire() as connection:
        known = await people.customer(connection, (shop, customer))
    if known is None:
        message = (
            f"the scheduler knows no customer {customer!r} of shop {shop!r}. Give the shop's customer id, not an address; "
            "a guest has the id that ingest gave them"
        )
        raise PublicationError(message)
    return known


async def _published(pool: asyncpg.Pool, folder: Path | None) -> Published:
    if folder is not None:
        return load_folder(folder)
    async with pool.acquire() as connection:
        return await publications.load(connection)


def _wanted(found: list[Tried], step: str | None, address: str) -> Tried:
    """Return the message to send. Raises PublicationError if there is none that fits the address."""
    kind = Channel.SMS if _E164.fullmatch(address) else Channel.EMAIL
    if kind is Channel.EMAIL and not _EMAIL.fullmatch(address):
        message = f"{address!r} is neither an e-mail address nor a number such as +12025550142"
        raise PublicationError(message)
    fitting = [each for each in found if each.message and each.message.channel is kind]
    wanted = next((each for each in fitting if step in (None, each.decision.step)), None)
    if wanted is None:
        steps = ", ".join(dict.fromkeys(each.decision.step for each in fitting)) or "none"
        message = f"no such message on {kind} would be sent to the customer; steps that would be: {steps}"
        raise PublicationError(message)
    return wanted


def _objections(each: Tried) -> list[RuleOutcome]:
    return [rule for rule in each.decision.rules if rule.outcome is not Outcome.PASS]


def _view(found: list[Tried], views: Views, shop: str) -> RenderableType:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("at (UTC)", "step", "channel", "verdict", "rules that object"):
        table.add_column(name, overflow="fold")
    for each in found:
        decision = each.decision
        said = "; ".join(
            f"{rule.rule.value} ({rule.outcome.value}{f' until {rule.until:%m-%d %H:%M}' if rule.until else ''})"
            for rule in _objections(each)
        )
        table.add_row(
            f"{decision.decided_at:%Y-%m-%d %H:%M}",
            f"{decision.journey}/{decision.step}"
            + (f" #{decision.occurrence + 1}" if decision.occurrence else ""),
            decision.channel.value,
            decision.verdict.value + (f": {decision.reason.value}" if decision.reason else ""),
            Text(said or "-"),
        )
    parts: list[RenderableType] = [table if found else Text("no open step: nothing would happen")]
    parts += [Text(f"held now: {scope}") for scope in views.paused() if scope.shop in (None, shop)]
    return Group(*parts)


def _data(each: Tried) -> dict[str, Any]:
    decision = each.decision
    return {
        "at": decision.decided_at,
        "journey": decision.journey,
        "version": decision.journey_version,
        "step": decision.step,
        "occurrence": decision.occurrence,
        "channel": decision.channel.value,
        "verdict": decision.verdict.value,
        "reason": decision.reason.value if decision.reason else None,
        "objections": [rule.model_dump(mode="json") for rule in _objections(each)],
        "offer": decision.offer.model_dump(mode="json") if decision.offer else None,
        "exposures": decision.exposures,
    }
