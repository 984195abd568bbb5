"""The report as tables for people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]


def render(report: Row) -> RenderableType:
    """Everything that `report()` returns, top to bottom."""
    counts = report["counts"]
    return Group(
        _title(report),
        _counts(counts),
        _sent(counts["sent_by_journey"]),
        _reasons("Skipped, by reason", counts["skipped"]),
        _reasons("Deferred (latest verdict), by reason", counts["deferred_by_reason"]),
        _attributed(report["attributed"]),
        _holdout(report["holdout"]),
    )


def _title(report: Row) -> Text:
    span = " ".join(
        f"{word} {moment(report[field])}"
        for word, field in (("from", "since"), ("to", "until"))
        if report[field]
    )
    shop = report["shop"] or "all shops"
    return Text.assemble(
        ("Report", "bold"), f", {shop}{', ' + span if span else ''}, as of {moment(report['as_of'])}"
    )


def _counts(counts: Row) -> RenderableType:
    left_out = ", ".join(
        f"{number} {name}" for name, number in counts["orders_not_counted"].items() if number
    )
    rows = [
        ("orders", counts["orders"], f"of which or besides: {left_out}" if left_out else ""),
        ("due and decided", counts["decided"], f"occurrences, in {counts['attempts']} attempts"),
        ("sent", sum(counts["sent"].values()), _by(counts["sent"])),
        ("  accepted", sum(counts["accepted"].values()), _by(counts["accepted"])),
        ("  withheld", counts["withheld"], "refused by the last check at hand-over"),
        ("  rejected", counts["rejected"], "refused by the provider"),
        ("  unknown", counts["unknown"], "handed over, never answered"),
        ("  pending", counts["pending"], "no news from the dispatcher yet"),
        ("handed over", counts["handed_over"], "to other tools, as events"),
        ("shown", counts["shown"], "offers on the thank-you page"),
        ("skipped", sum(counts["skipped"].values()), "for good, reasons below"),
        ("deferred", counts["deferred"], "will be tried again"),
        ("ghost", counts["ghost"], "held out: would have been sent"),
        ("duplicates", counts["duplicates"], "decided twice, accepted twice, or told differently: must be 0"),
    ]
    table = _table([("", "left"), ("", "right"), ("", "left")], show_header=False)
    for name, number, note in rows:
        bad = name == "duplicates" and number
        table.add_row(name, Text(f"{number:,}", style="bold red" if bad else "bold"), Text(note, style="dim"))
    return Padding(table, (1, 0, 0, 0))


def _by(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _sent(rows: Sequence[Row]) -> RenderableType:
    columns = ("sent", "accepted", "withheld", "rejected", "unknown", "pending")
    heads = [("journey", "left"), ("channel", "left"), *((name, "right") for name in columns)]
    table = _table(heads)
    for row in rows:
        table.add_row(row["journey"], row["channel"], *(f"{row[name]:,}" for name in columns))
    return _section("Sent, by journey and channel", table, "nothing was sent")


def _reasons(title: str, counts: Mapping[str, int]) -> RenderableType:
    table = _table([("reason", "left"), ("occurrences", "right")])
    for reason, number in counts.items():
        table.add_row(reason, f"{number:,}")
    return _section(title, table, "none")


def _attributed(found: Row) -> RenderableType:
    days = f"{found['window_days']:g}"
    return Group(
        _takings(f"Attributed revenue ({found['rule']}, at most {days} days)", found["total"], ()),
        _takings("Attributed, by channel", found["by_channel"], ("channel",)),
        _takings("Attributed, by journey", found["by_journey"], ("journey",)),
        _takings("Attributed, by touch", found["by_touch"], ("shop", "journey", "step", "channel")),
    )


def _takings(title: str, rows: Sequence[Row], names: Iterable[str]) -> RenderableType:
    heads = [
        *((name, "left") for name in names),
        ("orders", "right"),
        *((n, "right") for n in ("gross", "returned", "net")),
    ]
    table = _table([*heads, ("", "left")])
    for row in rows:
        table.add_row(
            *(row[name] for name in names),
            f"{row['orders']:,}",
            *(f"{row[name]:,.2f}" for name in ("gross", "returned", "net")),
            row["currency"],
        )
    return _section(title, table, "nothing yet")


def _holdout(found: Row) -> RenderableType:
    heads = [
        ("shop", "left"),
        ("per person", "left"),
        ("treated", "right"),
        ("held out", "right"),
        ("difference", "right"),
        ("95 % interval", "left"),
    ]
    table = _table(heads)
    for shop in found["shops"]:
        for row in shop["revenue"]:
            table.add_row(shop["shop"], f"revenue, {row['currency']}", *_comparison(row, 2))
        table.add_row(shop["shop"], "orders", *_comparison(shop["orders"], 3))
    open_ = sum(shop["windows_still_open"] for shop in found["shops"])
    notes = [Text(f"How: {found['method']}.", style="dim")]
    if open_:
        notes.append(
            Text(f"For {open_:,} people the span is not over: both arms are cut off alike.", style="dim")
        )
    title = f"Holdout against treated, within {found['window_days']:g} days of the first send or ghost"
    return Group(_section(title, table, "nobody was eligible yet"), *notes)


def _comparison(row: Row, digits: int) -> list[RenderableType]:
    values = [
        f"{side['per_person']:.{digits}f} (of {side['people']:,})"
        for side in (row["treated"], row["held_out"])
    ]
    difference = f"{row['difference_per_person']:+.{digits}f}"
    if row["interval"] is None:
        return [
            *values,
            Text(difference, style="dim"),
            Text(f"cannot know yet: {row['cannot_know_yet']}", style="yellow"),
        ]
    low, high = row["interval"]
    style = "green" if low > 0 else "red" if high < 0 else ""
    return [*values, difference, Text(f"{low:+.{digits}f} to {high:+.{digits}f}", style=style)]


def _table(heads: Iterable[tuple[str, str]], *, show_header: bool = True) -> Table:
    table = Table(box=None, show_header=show_header, pad_edge=False)
    for name, side in heads:
        table.add_column(name, justify="right" if side == "right" else "left", header_style="dim")
    return table


def _section(title: str, table: Table, nothing: str) -> RenderableType:
    # Not the table's own title: that would be folded to the width of a narrow table.
    if table.row_count:
        return Group(Text.assemble("\n", (title, "bold")), Padding(table, (0, 0, 0, 2)))
    return Text.assemble("\n", (title, "bold"), f": {nothing}")


def moment(value: datetime | str) -> str:
    """A time in UTC, to the minute."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{found:%Y-%m-%d %H:%M} UTC"
