"""`orderwake templates …`: check them all, and look at them."""

import asyncio
import json
from pathlib import Path

import click

from services.dispatcher.content import preview as showing
from services.dispatcher.content.browser import HOW_TO_GET, program
from services.dispatcher.content.checking import Mail, check, mails
from services.dispatcher.content.library import TEMPLATES, Library
from services.dispatcher.content.samples import cases
from services.dispatcher.domain.rendering import Unrenderable

_CASES = [name for name, _ in cases("any")]
_folder = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=TEMPLATES,
    show_default="those that ship with Orderwake",
    help="The folder of templates.",
)
_shop = click.option("--shop", help="Only this shop's.")
_template = click.option("--template", help="Only this one: `<shop>/<name>`, or `<name>`.")


@click.group()
def templates() -> None:
    """Check and preview what messages look like."""


@templates.command("check")
@_folder
@_shop
@_template
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check_command(*, folder: Path, shop: str | None, template: str | None, as_json: bool) -> None:
    """Render every template with sample data and its hard cases, and say what is wrong.

    \b
    orderwake templates check
    orderwake templates check --folder ./templates --shop skincare --json

    Exits with 1 if anything is: errors in MJML or Jinja, variables that no message has, links that are not https
    or broken, no alt text, preheader, way out or postal address, over 100 kB, texts longer than one segment.
    """  # noqa: D301  \b is click's mark
    library = Library.of(folder)
    which = _chosen(library, shop, template)
    findings = check(library, which)
    if as_json:
        told = {"templates": len(which), "findings": [finding.plain() for finding in findings]}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(f"{len(which)} templates with {len(_CASES)} samples each: {len(findings)} findings")
    if findings:
        raise SystemExit(1)


@templates.command("preview")
@_folder
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("templates-preview"),
    show_default=True,
    help="Where to write.",
)
@_shop
@_template
@click.option("--locale", help="Only templates of this locale, such as `de`; `-` for those without one.")
@click.option(
    "--case", type=click.Choice(_CASES), default="full", show_default=True, help="The sample to show."
)
@click.option("--png", is_flag=True, help="Pictures too, at 375 and 800 px, light and dark.")
def preview_command(  # noqa: PLR0913  a command's options
    *,
    folder: Path,
    out: Path,
    shop: str | None,
    template: str | None,
    locale: str | None,
    case: str,
    png: bool,
) -> None:
    """Write every template with sample data as HTML and text, with an index to look at.

    \b
    orderwake templates preview --out /tmp/templates --png
    orderwake templates preview --shop skincare --locale de --case "long names"
    """  # noqa: D301  \b is click's mark
    library = Library.of(folder)
    wanted = None if locale is None else locale.lower().replace("_", "-").strip("-")
    which = [mail for mail in _chosen(library, shop, template) if wanted in (None, mail.locale)]
    if not which:
        message = f"no template of the locale {locale}; without --locale all are taken"
        raise click.ClickException(message)
    try:
        shown = showing.write(library, which, out, case)
    except Unrenderable as error:
        message = f"{error}\n`orderwake templates check` says more."
        raise click.ClickException(message) from None
    click.echo(f"{len(shown)} templates in {out / 'index.html'}")
    if png:
        if (browser := program()) is None:
            raise click.ClickException(HOW_TO_GET)
        click.echo(f"{asyncio.run(showing.photograph(shown, browser))} pictures beside them")


def _chosen(library: Library, shop: str | None, template: str | None) -> list[Mail]:
    which = mails(library, shop, template)
    if not which:
        message = "no template of that name; without --shop and --template all are taken"
        raise click.ClickException(message)
    return which
