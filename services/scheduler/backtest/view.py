"""A backtest's report as tables for people."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.scheduler.backtest.report import Report

_VERDICTS = ("due", "send", "ghost", "skip", "open", "deferred")
HEADS = ("due", "sent", "ghost", "skipped", "open", "deferred")
_REASONS_SHOWN = 4
AHEAD = {
    "complements": "complements of {count} products",
    "catalog": "{count} products",
    "customers": "profiles of {count} customers",
}


def render(report: Report) -> RenderableType:
    """Everything that the report holds, but for its weeks: those are on the page and in the JSON."""
    if "replay" in report:
        return Group(_title(report), *_replay(report["replay"]))
    parts = [_title(report), _steps(report), _rules(report)]
    if "difference" in report:
        parts += _difference(report)
    return Group(*parts)


def _title(report: Report) -> Text:
    against = f" against {report['against']}" if report["against"] else ""
    sentences = [
        f"{report['events']:,} events of {report['customers']:,} customers, {report['begins']} to {report['ends']}."
    ]
    if report["since"] or report["until"]:
        sentences.append(
            f"Steps due from {report['since'] or 'the beginning'} to {report['until'] or 'the end'}."
        )
    sentences += _ahead(report)
    if report["recorded_decisions"] and "replay" not in report:
        sentences.append(
            f"{report['recorded_decisions']:,} recorded decisions were left aside; --replay compares with them."
        )
    return Text.assemble(
        ("Backtest", "bold"), f" of {report['journeys']}{against}\n", "\n".join(sentences), "\n"
    )


def _ahead(report: Report) -> Iterator[str]:
    known = report["known_ahead"]
    for topic, words in AHEAD.items():
        if known.get(topic):
            said = words.format(count=f"{known[topic]:,}")
            yield f"Only later news is left of {said}: the first of it was taken as known from the beginning."


def _table(title: str, *columns: str, text: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < text else "right", no_wrap=number < text)
    return table


def _steps(report: Report) -> RenderableType:
    table = _table("By step", "journey", "step", "channel", *HEADS, text=3)
    table.add_column("skipped because", ratio=1)
    for row in report["steps"]:
        counts = [f"{row[name]:,}" for name in _VERDICTS]
        table.add_row(row["journey"], row["step"], row["channel"], *counts, reasons(row["skipped_by"]))
    counts = [f"{report['totals'][name]:,}" for name in _VERDICTS]
    table.add_row("all", "", "", *counts, "", style="bold")
    return Padding(table, (0, 0, 1, 0))


def reasons(found: dict[str, int], shown: int = _REASONS_SHOWN) -> str:
    """The most frequent reasons with their counts, as one line."""
    ranked = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    more = [f"{len(ranked) - shown} more"] if len(ranked) > shown else []
    return ", ".join([f"{reason} {count:,}" for reason, count in ranked[:shown]] + more)


def _rules(report: Report) -> RenderableType:
    table = _table("By rule", "shop", "rule", "dropped", "alone", "made wait", text=2)
    for row in report["rules"]:
        table.add_row(row["shop"], row["rule"], *(f"{row[name]:,}" for name in ("dropped", "alone", "held")))
    note = Text("alone: no other rule would have dropped it", style="dim")
    return Padding(Group(table, note), (0, 0, 1, 0))


def _difference(report: Report) -> list[RenderableType]:
    found = report["difference"]
    if not found["changed"]:
        return [Text("No difference: every occurrence has the same verdict at the same time.", style="bold")]
    table = _table(
        "Sends, against the other journeys",
        "journey",
        "step",
        "before",
        "after",
        "gained",
        "lost",
        "moved",
        text=2,
    )
    table.add_column("by days", justify="right")
    table.add_column("skips, more or fewer", ratio=1)
    for row in found["steps"]:
        days = f"{row['moved_days_mean']:+g}" if row["moved_days_mean"] is not None else ""
        counts = (row["before"]["send"], row["after"]["send"], row["gained"], row["lost"], row["moved"])
        table.add_row(
            row["journey"], row["step"], *(f"{count:,}" for count in counts), days, _signed(row["skips"])
        )
    return [Padding(table, (0, 0, 1, 0)), _became(found["became"], found["became_left_out"])]


def _signed(found: dict[str, int]) -> str:
    changed = sorted(((abs(count), reason, count) for reason, count in found.items() if count), reverse=True)
    return ", ".join(f"{reason} {count:+,}" for _, reason, count in changed[:_REASONS_SHOWN])


def _became(rows: Sequence[Report], left_out: int) -> RenderableType:
    table = _table("What became of occurrences", "journey", "step", "before", "after", "occurrences", text=4)
    for row in rows:
        table.add_row(row["journey"], row["step"], row["before"], row["after"], f"{row['occurrences']:,}")
    note = [Text(f"and {left_out} rarer ones", style="dim")] if left_out else []
    return Group(table, *note)


def _replay(found: Report) -> Iterable[RenderableType]:
    said = f"{found['same']:,} of {found['decisions']:,} recorded decisions came out the same."
    yield Text(said, style="bold green" if not found["differ"] else "bold")
    for row in found["other_versions"]:
        yield Text(
            f"{row['decisions']:,} of them were made by version {row['version']} of {row['journey']}, "
            "which is not the given one."
        )
    if found["differ"]:
        table = _table("Differences", "journey", "step", "recorded", "now", "decisions", text=4)
        for row in found["differences"]:
            table.add_row(row["journey"], row["step"], row["recorded"], row["now"], f"{row['decisions']:,}")
        yield table
        first = found["examples"][0]
        yield Text(
            f"The first: decision {first['decision_id']} of {first['decided_at']}, order {first['order_id']}."
        )
