"""`orderwake backtest`: history lived again through the code that decides live. It reads, and writes only its report."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from services.scheduler.backtest.history import Source
    from services.scheduler.backtest.report import Report
    from services.scheduler.backtest.run import Complements, Outcome, Plan

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_TOPICS = "topics"
_WIDTH_OF_FILES = 160
_DIFFERS = 1


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
@click.option("--journeys", type=FOLDER, required=True, help="The journeys to live by.")
@click.option(
    "--from",
    "origin",
    required=True,
    metavar="topics|PATH",
    help="The past: the topics, a file of events (JSON lines, .gz too), or a folder of such files.",
)
@click.option("--against", type=FOLDER, help="Other journeys: show what the first change against them.")
@click.option("--since", type=MomentParam(), help="Report steps due from this business time on.")
@click.option("--until", type=MomentParam(), help="Report steps due before this business time.")
@click.option(
    "--complements",
    default="recorded",
    show_default=True,
    metavar="recorded|rebuilt|PATH",
    help="As in the past given; made anew in weekly steps; or from a file of their events.",
)
@click.option(
    "--known",
    type=click.Choice(["time", "recorded"]),
    default="time",
    show_default=True,
    help="An event is known from when it happened, or from when it was recorded.",
)
@click.option("--as-live", is_flag=True, help="Orders of imported history begin journeys too.")
@click.option("--replay", is_flag=True, help="Make the recorded decisions again and compare.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; by default one for each core.")
@click.option(
    "--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with charts."
)
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
@click.pass_context
def backtest(  # noqa: PLR0913  a command's options
    ctx: click.Context,
    *,
    journeys: Path,
    origin: str,
    against: Path | None,
    since: datetime | None,
    until: datetime | None,
    complements: str,
    known: str,
    as_live: bool,
    replay: bool,
    workers: int | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Who would have got what, when, and which rule would have stopped the rest.

    \b
    orderwake backtest --journeys journeys --from topics --since 2026-01-01
    orderwake backtest --journeys new --against journeys --from events.jsonl.gz --html changes.html
    orderwake backtest --journeys journeys --from topics --replay

    Every event counts from when it happened; every step is decided when it comes due, by the code that decides live.
    With --replay recorded decisions are made again on their recorded inputs; exit code 1 if any comes out differently.
    """  # noqa: D301  \b is click's mark
    from services.scheduler.backtest.report import report_of  # noqa: PLC0415  imported when called
    from services.scheduler.backtest.run import Plan  # noqa: PLC0415  as above

    _check(since, until, against, page, replay=replay)
    plan = Plan(
        _source(origin),
        journeys,
        against,
        since,
        until,
        "recorded" if known == "recorded" else "time",
        _complements(complements, ctx.obj),
        as_live,
        replay,
    )
    report = report_of(plan, _run(plan, workers or os.cpu_count() or 1))
    if page is not None:
        from services.scheduler.backtest.page import page_of  # noqa: PLC0415  as above

        page.write_text(page_of(report), encoding="utf-8")
    _show(report, as_json=as_json)
    if replay and report["replay"]["differ"]:
        ctx.exit(_DIFFERS)


def _check(
    since: datetime | None, until: datetime | None, against: Path | None, page: Path | None, *, replay: bool
) -> None:
    if since and until and since >= until:
        message = "--since must be before --until"
        raise click.UsageError(message)
    if replay and (against or page or since or until):
        message = "--replay compares recorded decisions, all of them; leave out --against, --since, --until and --html"
        raise click.UsageError(message)


def _source(origin: str) -> "Source":
    from services.scheduler.backtest.files import Files  # noqa: PLC0415  imported when called
    from services.scheduler.backtest.kafka import Topics  # noqa: PLC0415  as above
    from shared.settings import load  # noqa: PLC0415  as above

    return Topics(load().kafka_bootstrap_servers) if origin == _TOPICS else Files.of(Path(origin))


def _complements(given: str, rebuilder: "Complements | None") -> "Complements":
    if given == "recorded":
        return "recorded"
    if given == "rebuilt":
        if rebuilder is None:
            message = "--complements rebuilt needs the recommender; run the command as `orderwake backtest`"
            raise click.UsageError(message)
        return rebuilder
    if not Path(given).exists():
        message = f"--complements: {given} is neither recorded, nor rebuilt, nor a file"
        raise click.UsageError(message)
    return Path(given)


def _run(plan: "Plan", workers: int) -> "Outcome":
    from rich.console import Console  # noqa: PLC0415  imported when called
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    from services.scheduler.backtest.run import run  # noqa: PLC0415  as above

    columns = (TextColumn("living again"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        return run(plan, workers, lambda share: bar.update(task, completed=share))


def _show(report: "Report", *, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415  imported when called

    from services.scheduler.backtest.view import render  # noqa: PLC0415  as above

    if as_json:
        click.echo(json.dumps(report))
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
    console.print(render(report))
