"""`why` for people: one block per occurrence, its attempts, their rules, and what became of the message."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.reporting.report_view import moment
from services.reporting.why import Explained

_STYLES = {
    "send": "bold green",
    "ghost": "bold cyan",
    "skip": "bold red",
    "defer": "bold yellow",
    "pass": "green",
    "drop": "red",
    "withhold": "cyan",
}
_WORDS = {"send": "SEND", "ghost": "GHOST (held out: would have been sent)", "skip": "SKIP", "defer": "DEFER"}


def render(customer: str, found: Explained) -> RenderableType:
    """Everything that `explain()` returns, the newest occurrence first."""
    head = f"{found.orders} orders, {found.decisions} decisions, {found.occurrences} occurrences of steps"
    parts: list[RenderableType] = [Text.assemble((customer, "bold"), f": {head}, newest first")]
    parts += [_block(block) for block in found.blocks]
    if found.occurrences > len(found.blocks):
        hidden = found.occurrences - len(found.blocks)
        parts.append(Text(f"{hidden} older ones are not shown; ask with --limit {found.occurrences}"))
    return Group(*parts)


def _block(block: Mapping[str, Any]) -> RenderableType:
    title = Text.assemble(
        (f"{block['journey']} / {block['step']}", "bold"),
        f" #{block['occurrence']} by {block['channel']}, order {block['order_id']}",
    )
    parts = [_headline(block), *(_attempt(record) for record in block["attempts"]), _aftermath(block)]
    subtitle = Text(
        f"{block['shop']}, version {block['journey_version']}, message {block['message_id']}", style="dim"
    )
    return Padding(
        Panel(Group(*parts), title=title, title_align="left", subtitle=subtitle, subtitle_align="left"),
        (1, 0, 0, 0),
    )


def _headline(block: Mapping[str, Any]) -> Text:
    verdict = block["verdict"]
    reason = f" because {block['reason']}" if block["reason"] else ""
    state = f", message {block['state']}" if block["state"] else ""
    return Text.assemble(
        (_WORDS[verdict], _STYLES[verdict]), f"{reason}{state}; due {moment(block['due_at'])}"
    )


def _attempt(record: Mapping[str, Any]) -> RenderableType:
    verdict, reason = record["verdict"], record["reason"]
    line = Text.assemble(
        (f"attempt {record['attempt']}", "bold"),
        f", {moment(record['decided_at'])}: ",
        (verdict, _STYLES[verdict]),
        f" ({reason})" if reason else "",
        f", again at {moment(record['next_at'])}" if record["next_at"] else "",
        f", variant {record['variant']}" if record["variant"] else "",
    )
    parts: list[RenderableType] = [line, _rules(record["rules"])]
    if record["offer"] or record["candidates"]:
        parts.append(_offer(record))
    return Padding(Group(*parts), (1, 0, 0, 0))


def _rules(rules: list[Mapping[str, Any]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("rule", "says", "looked at"):
        table.add_column(name)
    for rule in rules:
        until = f"; until {moment(rule['until'])}" if rule["until"] else ""
        style = _STYLES[rule["outcome"]] if rule["outcome"] != "defer" else "yellow"
        table.add_row(rule["rule"], Text(rule["outcome"], style=style), Text(_inputs(rule["inputs"]) + until))
    return Padding(table, (0, 0, 0, 2))


def _inputs(inputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in inputs.items()) or "nothing"


def _plain(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "{" + _inputs(value) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return str(value)


def _offer(record: Mapping[str, Any]) -> RenderableType:
    offer = record["offer"]
    offered = {candidate["product_id"] for candidate in offer["products"]} if offer else set()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in (
        ("", "left"),
        ("candidate", "left"),
        ("from", "left"),
        ("support", "right"),
        ("score", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify="right" if side == "right" else "left")
    listed = record["candidates"] or (offer["products"] if offer else [])
    for candidate in listed:
        product = candidate["product_id"]
        table.add_row(
            "offered" if product in offered else "",
            product,
            candidate["relation"],
            f"{candidate['support']:,}",
            f"{candidate['score']:.3f}",
            "reliable" if candidate["reliable"] else Text("thin evidence", style="dim"),
        )
    parts: list[RenderableType] = [Text(f"offer: {_incentive(offer['incentive'])}")] if offer else []
    return Padding(Group(*parts, table) if listed else Group(*parts), (0, 0, 0, 2))


def _incentive(incentive: Mapping[str, Any]) -> str:
    what = {
        "none": "no incentive",
        "percent": f"{incentive['value']} % off",
        "money": f"{incentive['value']} {incentive['currency']} off",
        "free_shipping": "free shipping",
    }[incentive["kind"]]
    code = f", code {incentive['code']}" if incentive["code"] else ""
    return what + code + (f", until {moment(incentive['expires_at'])}" if incentive["expires_at"] else "")


def _aftermath(block: Mapping[str, Any]) -> RenderableType:
    if block["state"] is None:
        return Text("")
    lines = [Text("what happened to the message", style="bold")]
    for event in block["events"]:
        said = ", ".join(
            str(event[name]) for name in ("reason", "answer", "provider", "provider_reference") if event[name]
        )
        lines.append(
            Text(f"  {moment(event['occurred_at'])}  {event['kind']}{' (' + said + ')' if said else ''}")
        )
    if not block["events"]:
        lines.append(Text("  no news from the dispatcher yet"))
    return Padding(Group(*lines), (1, 0, 0, 0))
