"""`orderwake pause|stop|resume` and `orderwake controls`: what people hold, stop and let go, everywhere at once."""

import asyncio
import getpass
import json
import re
from collections.abc import Callable
from difflib import get_close_matches

import click

from services.scheduler.guarding.throwing import Action, known_journeys, read_switches, throw
from shared import log
from shared.events import Channel
from shared.settings import Settings, load
from shared.switches import Scope, Switch, Switchboard

_SECONDS = 10.0
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_DONE = {"pause": "paused", "stop": "stopped", "resume": "resumed"}

_Command = Callable[..., None]


def _options(command: _Command) -> _Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object."),
        click.option(
            "--unchecked", is_flag=True, help="Also for a shop or journey that was never published."
        ),
        click.option("--by", help="Who does it; by default the user that runs the command."),
        click.option("--why", required=True, help="Why, for all who look at it later."),
        click.option(
            "--channel", type=click.Choice([str(each) for each in Channel]), help="Only this channel."
        ),
        click.option("--journey", help="Only the journey of this id."),
        click.option("--shop", help="Only this shop; without it, every one."),
    ):
        command = option(command)
    return command


@click.command()
@_options
def pause(**given: str | bool | None) -> None:
    """Hold everything, a shop, a journey or a channel, until it is resumed.

    \b
    orderwake pause --why "provider incident"
    orderwake pause --shop skincare --journey skincare-routine --why "wrong price in the e-mail"
    orderwake pause --channel sms --why "carrier filters us"

    Steps that come due wait, messages that are queued wait. On resume goes what is not too late by then. To give up what
    comes due meanwhile, use `orderwake stop`. In force everywhere within 5 s, across restarts, until resumed.
    """  # noqa: D301  \b is click's mark
    _act("pause", given)


@click.command()
@_options
def stop(**given: str | bool | None) -> None:
    """Skip what comes due, and withhold what is queued, until it is resumed.

    \b
    orderwake stop --shop skincare --journey skincare-routine --why "customers complain"

    Each step that comes due gets its final verdict, skip, with who stopped it and why. What was skipped or withheld does not
    come back on resume: who is not sure pauses. In force everywhere within 5 s, across restarts, until resumed.
    """  # noqa: D301  \b is click's mark
    _act("stop", given)


@click.command()
@_options
def resume(**given: str | bool | None) -> None:
    """Undo a pause or a stop, a guard's too, of exactly the scope given.

    \b
    orderwake controls
    orderwake resume --shop skincare --journey skincare-routine --why "price mended"

    A journey that a guard stopped is counted anew from here on.
    """  # noqa: D301  \b is click's mark
    _act("resume", given)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object a line.")
def controls(*, as_json: bool) -> None:
    """List what is paused or stopped now: who did it, why and since when.

    \b
    orderwake controls
    orderwake controls --json
    """  # noqa: D301  \b is click's mark
    log.configure("controls", "error")
    board = asyncio.run(read_switches(load(), _SECONDS))
    thrown = sorted(board.thrown(), key=lambda switch: switch.control.set_at)
    for switch in thrown:
        click.echo(json.dumps(_data(switch)) if as_json else _line(switch))
    if not as_json and not thrown:
        click.echo("nothing is paused or stopped")


def _act(action: Action, given: dict[str, str | bool | None]) -> None:
    log.configure("controls", "error")
    scope, why = _scope(given), str(given["why"]).strip()
    if not why:
        message = "--why is empty; say what others will want to know"
        raise click.UsageError(message)
    switch = asyncio.run(_throw(load(), action, scope, str(given["by"] or _user()), why, given))
    if given["as_json"]:
        click.echo(json.dumps(_data(switch)))
        return
    click.echo(f"{_DONE[action]} {scope}; in force everywhere within 5 s")


async def _throw(  # noqa: PLR0913, PLR0917  what the command line gave
    settings: Settings, action: Action, scope: Scope, by: str, why: str, given: dict[str, str | bool | None]
) -> Switch:
    board = await read_switches(settings, _SECONDS)
    if action == "resume":
        _insist_thrown(board, scope)
    elif not given["unchecked"]:
        _insist_known(await known_journeys(settings), scope)
    return await throw(settings, settings.clock(), board, scope, action, by, why)


def _insist_thrown(board: Switchboard, scope: Scope) -> None:
    """Refuse to resume what is not held, and say what is."""
    if any(switch.scope == scope for switch in board.thrown()):
        return
    others = [f"  {_line(switch)}" for switch in board.thrown()]
    rest = (
        "\n".join(["; these are, each to be resumed by its own scope:", *others])
        if others
        else ", nor anything else"
    )
    message = f"{scope} is not paused or stopped{rest}"
    raise click.ClickException(message)


def _insist_known(known: set[tuple[str, str]] | None, scope: Scope) -> None:
    """Refuse a name that nobody published: the switch would hold nothing. Without a database all names pass."""
    if known is None:
        click.echo("the database did not answer: the names were not checked", err=True)
        return
    shops = sorted({shop for shop, _ in known})
    journeys = sorted({journey for shop, journey in known if scope.shop in (None, shop)})
    for kind, name, names in (("shop", scope.shop, shops), ("journey", scope.journey, journeys)):
        if name is not None and name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"published: {', '.join(names) or 'none'}."
            message = f"no {kind} {name} was published; {hint} Add --unchecked to do it all the same"
            raise click.ClickException(message)


def _scope(given: dict[str, str | bool | None]) -> Scope:
    channel = given["channel"]
    return Scope(_id(given, "shop"), _id(given, "journey"), Channel(str(channel)) if channel else None)


def _id(given: dict[str, str | bool | None], kind: str) -> str | None:
    """Return an id as given. An empty one, as of a variable that is not set, must not mean all of them."""
    name = given[kind]
    if name is not None and not _ID.fullmatch(str(name)):
        message = f"--{kind} {name!r} is not an id: lower-case letters, digits and hyphens; leave it away for every {kind}"
        raise click.UsageError(message)
    return None if name is None else str(name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        message = "the user has no name here; say who does it with --by"
        raise click.UsageError(message) from None


def _line(switch: Switch) -> str:
    control = switch.control
    return f"{_DONE[control.action]:7}  {switch.scope}  since {control.set_at:%Y-%m-%d %H:%M:%S} UTC  {control.set_by}: {control.why}"


def _data(switch: Switch) -> dict[str, str | None]:
    scope, control = switch.scope, switch.control
    return {
        "action": control.action,
        "shop": scope.shop,
        "journey": scope.journey,
        "channel": scope.channel,
        "since": control.set_at.isoformat(),
        "by": control.set_by,
        "why": control.why,
    }
