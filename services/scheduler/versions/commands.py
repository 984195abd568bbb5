"""`orderwake journeys …`: check files, and look at what was published and how versions differ."""

from pathlib import Path

import asyncpg
import click

from services.scheduler.domain import Journey
from services.scheduler.domain.publishing import version_of
from services.scheduler.journeys import check, load_journey, load_programme
from services.scheduler.versions import publications
from services.scheduler.versions.commanding import console, run, say
from services.scheduler.versions.commands_publish import approve, plan, publish
from services.scheduler.versions.commands_try import try_
from services.scheduler.versions.compare import Field, differences
from services.scheduler.versions.publications import Entry, Item
from services.scheduler.versions.view import entries_view, entry_data, field_lines
from shared.errors import JourneyError, PublicationError
from shared.settings import Settings

IN_FORCE = "in-force"


@click.group()
def journeys() -> None:
    """Check, plan, publish and look at journeys and shops' programmes.

    \b
    orderwake journeys check journeys
    orderwake journeys plan journeys --waiting migrate
    orderwake journeys publish journeys --waiting migrate --why "mats sell better after an hour"
    orderwake journeys show fitness-gear
    """  # noqa: D301  \b is click's mark


@journeys.command("check")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def check_command(folder: Path, *, as_json: bool) -> None:
    """Check every file of FOLDER: each mistake with file, line and fix. Exit code 1 if there is one.

    FOLDER holds one journey in each *.yaml, and one shop's programme in each shops/*.yaml. Needs no database.

    \b
    orderwake journeys check journeys
    orderwake journeys check journeys --json
    """  # noqa: D301  \b is click's mark
    checked = check(folder)
    found: list[tuple[Path, Item]] = [*checked.journeys.items(), *checked.programmes.items()]
    if as_json:
        files = [
            {"file": str(path), "name": _name(item), "version": version_of(item)} for path, item in found
        ]
        say({"files": files, "mistakes": list(checked.mistakes)})
    else:
        for path, item in found:
            click.echo(f"{path}: {_name(item)}@{version_of(item)}")
        for mistake in checked.mistakes:
            click.echo(mistake, err=True)
        click.echo(f"{len(found)} files are right, {len(checked.mistakes)} mistakes")
    if checked.mistakes:
        raise SystemExit(1)


@journeys.command("show")
@click.argument("what", required=False)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def show(what: str | None, *, as_json: bool) -> None:
    """What is in force and what waits for approval; or the whole history of a journey or shop; or one version's text.

    WHAT is JOURNEY, JOURNEY@VERSION, or the id of a shop (its programme). A version's first digits are enough.

    \b
    orderwake journeys show
    orderwake journeys show fitness-gear
    orderwake journeys show fitness-gear@3c5e > former.json
    """  # noqa: D301  \b is click's mark
    name, _, version = (what or "").partition("@")

    async def work(pool: asyncpg.Pool, _: Settings) -> list[Entry]:
        return await publications.history(pool, name or None)

    entries = run(work)
    if name and not entries:
        message = f"nothing named {name} was ever published; `orderwake journeys show` lists what is in force"
        raise click.ClickException(message)
    if version:
        _show_version(entries, name, version, as_json=as_json)
        return
    standing = {each.seq for each in publications.standing(entries).values()}
    shown = entries if name else [each for each in entries if each.proposed or each.seq in standing]
    shown = sorted(shown, key=lambda each: (each.place is None, each.place or each.seq), reverse=True)
    if as_json:
        say({"publications": [entry_data(each, standing=each.seq in standing) for each in shown]})
    elif shown:
        console().print(entries_view(shown, standing))
    else:
        click.echo("nothing is published; see `orderwake journeys publish --help`")


def _show_version(entries: list[Entry], name: str, version: str, *, as_json: bool) -> None:
    try:
        found = publications.version(entries, version, name)
    except PublicationError as error:
        raise click.ClickException(str(error)) from None
    item = found.item()
    body = item.model_dump(mode="json", by_alias=True, exclude_defaults=True) if item else None
    if as_json:
        standing = publications.standing(entries).get((found.kind, found.name))
        say({**entry_data(found, standing=standing is not None and standing.seq == found.seq), "body": body})
    else:
        say(body)


@journeys.command("diff")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--journey", "name", help="The journey, or the shop, where neither A nor B says which.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def diff(old: str, new: str, name: str | None, *, as_json: bool) -> None:
    """How A and B differ, field by field. Exit code 0 whether or not they do.

    Each is a file, JOURNEY (as in force), JOURNEY@VERSION, VERSION, or in-force.

    \b
    orderwake journeys diff in-force journeys/fitness.yaml
    orderwake journeys diff fitness-gear@3c5e in-force
    orderwake journeys diff former.yaml journeys/fitness.yaml
    """  # noqa: D301  \b is click's mark

    async def work(pool: asyncpg.Pool, _: Settings) -> tuple[Item, Item]:
        entries = await publications.history(pool)
        hint = name or _hint(old) or _hint(new) or _named(entries, old) or _named(entries, new)
        return _resolve(entries, old, hint), _resolve(entries, new, hint)

    files = [_file(each) for each in (old, new)]
    first, second = (files[0], files[1]) if files[0] and files[1] else run(work)
    found: list[Field] = differences(first, second)
    if as_json:
        say(
            {
                "from": version_of(first),
                "to": version_of(second),
                "fields": [each.as_data() for each in found],
            }
        )
        return
    click.echo(f"{_name(first)}@{version_of(first)} -> {_name(second)}@{version_of(second)}")
    for line in field_lines(found) or ["no difference"]:
        click.echo(f"  {line}")


def _file(text: str) -> Item | None:
    path = Path(text)
    if not path.is_file():
        return None
    try:
        return load_programme(path) if path.parent.name == "shops" else load_journey(path)
    except JourneyError as error:
        raise click.ClickException(str(error)) from None


def _hint(text: str) -> str | None:
    item = _file(text)
    if item is not None:
        return _name(item)
    return text.partition("@")[0] if "@" in text else None


def _named(entries: list[Entry], text: str) -> str | None:
    names = {each.name for each in entries}
    if text in names:
        return text
    found = {each.name for each in entries if text != IN_FORCE and each.version.startswith(text)}
    return found.pop() if len(found) == 1 else None


def _resolve(entries: list[Entry], text: str, name: str | None) -> Item:
    item = _file(text)
    if item is not None:
        return item
    known = {entry_name: each for (_, entry_name), each in publications.standing(entries).items()}
    if text == IN_FORCE or text in known:
        wanted = name if text == IN_FORCE else text
        if wanted not in known:
            which = f"{wanted} is not in force" if wanted else "which journey? add --journey"
            message = f"{which}; in force are: {', '.join(sorted(known)) or 'none yet'}"
            raise PublicationError(message)
        found = known[wanted].item()
    else:
        asked, _, version = text.rpartition("@")
        found = publications.version(entries, version, asked or name).item()
    if found is None:
        message = f"{text} is a withdrawal and has no fields"
        raise PublicationError(message)
    return found


def _name(item: Item) -> str:
    return item.id if isinstance(item, Journey) else item.shop


for _command in (plan, publish, approve, try_):
    journeys.add_command(_command)
