"""`orderwake …`: the one place that may import every service. Each command imports only what it runs."""

import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared.errors import OrderwakeError
from shared.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.events import ComplementsUpdated, Event

SERVICES = ("ingest", "recommender", "scheduler", "dispatcher", "reporting")
PROCESSES = {
    **{name: f"services.{name}.app" for name in SERVICES},
    "recommendations": "services.recommender.serving.app",
    "offers": "services.scheduler.page.app",
}
_ROOT = Path(__file__).parent
_COMMANDS = {
    "journeys": ("services.scheduler.versions.commands", "journeys"),
    "backtest": ("services.scheduler.backtest.commands", "backtest"),
    "affinity": ("services.recommender.commands_affinity", "affinity"),
    "report": ("services.reporting.commands", "report"),
    "why": ("services.reporting.commands", "why"),
    "ledger": ("services.dispatcher.commands", "ledger"),
    "templates": ("services.dispatcher.content.commands", "templates"),
    "consent": ("services.dispatcher.commands_consent", "consent"),
    "recommend": ("services.recommender.commands", "recommend"),
    "pause": ("services.scheduler.guarding.commands", "pause"),
    "stop": ("services.scheduler.guarding.commands", "stop"),
    "resume": ("services.scheduler.guarding.commands", "resume"),
    "codes": ("services.scheduler.spending.commands", "codes"),
    "controls": ("services.scheduler.guarding.commands", "controls"),
    "webhooks": ("services.scheduler.page.commands", "webhooks"),
}


class Lazy(click.Group):
    """A group whose commands of single services are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted({*super().list_commands(ctx), *_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, attribute = _COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        return command if isinstance(command, click.Command) else None


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="orderwake")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Orderwake: from a shop's orders to the right next offer, or a recorded reason for none.

    \b
    Settings come from the environment: KAFKA_BOOTSTRAP_SERVERS, DATABASE_URL, ORDERWAKE_*.
    First time:  orderwake topics apply && orderwake migrate
    Then:        orderwake ingest | recommender | recommendations | scheduler | offers | dispatcher | reporting
    """  # noqa: D301  \b is click's mark
    ctx.obj = _weekly_complements


def _weekly_complements(told: "Iterable[Event]") -> "Iterable[ComplementsUpdated]":
    """Make complements anew, for `orderwake backtest`: of services, only this module knows two."""
    from services.recommender.weekly import weekly_complements  # noqa: PLC0415  imported when called

    return weekly_complements(told)


def _service_command(name: str, module: str) -> click.Command:
    @click.command(
        name,
        help=f"Run the {name} service until SIGTERM.\n\nServes /metrics, /healthz and /readyz on ORDERWAKE_HTTP_PORT.",
    )
    def command() -> None:
        import_module("shared.service").run(name, import_module(module).build)

    return command


for _name, _module in PROCESSES.items():
    cli.add_command(_service_command(_name, _module))


@cli.group()
def topics() -> None:
    """Create and check the topics on the broker."""


@topics.command("apply")
@click.option("--dry-run", is_flag=True, help="Only say what would be created or changed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def topics_apply(*, dry_run: bool, as_json: bool) -> None:
    """Create every declared topic, and set retention, compaction and limits of those that exist.

    \b
    orderwake topics apply --dry-run
    ORDERWAKE_TOPIC_PARTITIONS=12 ORDERWAKE_TOPIC_REPLICATION=3 orderwake topics apply

    Refuses to change a partition count, and says why.
    """  # noqa: D301  \b is click's mark
    from shared.kafka.admin import apply_topics  # noqa: PLC0415  imported when called

    applied = asyncio.run(apply_topics(load(), dry_run=dry_run))
    if as_json:
        click.echo(
            json.dumps(
                {"created": applied.created, "changed": applied.changed, "unchanged": applied.unchanged}
            )
        )
        return
    for verb, names in (("create", applied.created), ("change", applied.changed)):
        for name in names:
            click.echo(f"{'would ' if dry_run else ''}{verb}{'' if dry_run else 'd'} {name}")
    click.echo(
        f"{len(applied.created)} created, {len(applied.changed)} changed, {len(applied.unchanged)} as declared"
    )


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate(*, as_json: bool) -> None:
    """Bring every service's schema in PostgreSQL up to date. Safe to run again.

    \b
    DATABASE_URL=postgresql://postgres@127.0.0.1:5432/orderwake orderwake migrate
    """  # noqa: D301  \b is click's mark
    applied = asyncio.run(migrate_all(load().database_url.get_secret_value()))
    if as_json:
        click.echo(json.dumps(applied))
        return
    for schema, names in applied.items():
        click.echo(f"{schema}: {', '.join(names) or 'up to date'}")


async def migrate_all(database_url: str) -> dict[str, list[str]]:
    """Apply the migrations of every service that keeps a store; returns what was applied, by schema."""
    from shared.db import migrate as migrate_schema  # noqa: PLC0415  imported when called

    folders = {name: _ROOT / name / "migrations" for name in SERVICES}
    return {
        name: await migrate_schema(database_url, name, folder)
        for name, folder in folders.items()
        if folder.is_dir()
    }


def main() -> None:
    """Entry point; an error raised on purpose becomes one line and exit code 1."""
    try:
        cli()
    except OrderwakeError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
