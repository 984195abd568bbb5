"""A backtest's report as one page with charts: no script, nothing from elsewhere, for light and dark, wide and narrow."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.scheduler.backtest.report import Report
from services.scheduler.backtest.view import AHEAD

SERIES = (("send", "sent"), ("ghost", "ghost"), ("skip", "skipped"), ("open", "open"))
"""What due steps add up from, with the words for it."""
_RULES_SHOWN = 14
_ROUND = (1, 2, 2.5, 5, 10)
_TICKS = 4


def page_of(report: Report) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    environment.filters["signed"] = "{:+,}".format
    return environment.get_template("page.html.j2").render(
        report=report,
        series=SERIES,
        ahead=[
            words.format(count=f"{report['known_ahead'][topic]:,}")
            for topic, words in AHEAD.items()
            if report["known_ahead"].get(topic)
        ],
        shops=[_shop(report, shop) for shop in sorted({row["shop"] for row in report["steps"]})],
        reasons=_reasons(report),
    )


def _shop(report: Report, shop: str) -> dict[str, Any]:
    rules = [row for row in report["rules"] if row["shop"] == shop]
    return {
        "name": shop,
        "weeks": _weeks(report, shop),
        "steps": _stacks([row for row in report["steps"] if row["shop"] == shop]),
        "rules": rules[:_RULES_SHOWN],
        "most": max((row["dropped"] + row["held"] for row in rules), default=0) or 1,
        "changes": _changes(report, shop),
    }


def _weeks(report: Report, shop: str) -> dict[str, Any]:
    """Due steps by week as stacked columns in a box of 100 by 100, before and after side by side if compared."""
    lives = [_by_week(report["weeks"], shop)]
    if "compared" in report:
        lives.insert(0, _by_week(report["compared"]["weeks"], shop))
    names = sorted({week for life in lives for week in life})
    top, ticks = _axis(max((sum(life[week].values()) for life in lives for week in life), default=1))
    columns = []
    width = 100 / max(len(names), 1)
    each = width * 0.8 / len(lives)
    for number, week in enumerate(names):
        for place, life in enumerate(lives):
            columns.append(
                {
                    "week": week,
                    "life": "" if len(lives) == 1 else ("before", "after")[place],
                    "x": round(number * width + width * 0.1 + place * each, 3),
                    "width": round(each, 3),
                    "parts": _pile(life[week], top),
                    "counts": life[week],
                }
            )
    every = max(1, -(-len(names) // 6))
    labels = [
        {"week": week, "x": round((number + 0.5) * width, 3)}
        for number, week in enumerate(names)
        if number % every == 0
    ]
    return {"columns": columns, "ticks": ticks, "labels": labels}


def _by_week(rows: list[Report], shop: str) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["shop"] == shop:
            found[row["week"]].update({name: row[name] for name, _ in SERIES})
    return found


def _pile(counts: Counter[str], top: float) -> list[dict[str, Any]]:
    parts, reached = [], 0.0
    for name, _ in SERIES:
        height = counts[name] / top * 100
        reached += height
        if counts[name]:
            parts.append({"name": name, "y": round(100 - reached, 3), "height": round(height, 3)})
    return parts


def _axis(largest: float) -> tuple[float, list[dict[str, Any]]]:
    """Return the top of an axis and its ticks: round numbers, from 0 up."""
    step = 1.0
    while step * _TICKS < largest:
        step = next(
            (
                each * 10 ** len(str(int(step))) / 10
                for each in _ROUND
                if each * 10 ** len(str(int(step))) / 10 > step
            ),
            step * 2,
        )
    top = step * _TICKS
    return top, [
        {"value": f"{step * number:,.0f}", "y": round(100 - number * 100 / _TICKS, 3)}
        for number in range(_TICKS + 1)
    ]


def _stacks(rows: list[Report]) -> list[dict[str, Any]]:
    """Each step as a bar whose parts are shares of what came due."""
    return [
        row
        | {
            "parts": [
                {"name": name, "word": word, "share": round(row[name] / row["due"] * 100, 3)}
                for name, word in SERIES
                if row["due"] and row[name]
            ]
        }
        for row in rows
    ]


def _changes(report: Report, shop: str) -> list[Report]:
    found = report.get("difference")
    return [row for row in found["steps"] if row["shop"] == shop] if found else []


def _reasons(report: Report) -> dict[tuple[str, str, str, str], list[tuple[str, int]]]:
    return {
        (row["shop"], row["journey"], row["step"], row["channel"]): sorted(
            row["skipped_by"].items(), key=lambda each: (-each[1], each[0])
        )
        for row in report["steps"]
    }
