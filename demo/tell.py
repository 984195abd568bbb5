"""The end of the demo: the report, some messages as they were received, and one customer's why."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from demo.audit import Log
from demo.generate import WORKED_SHOPS
from demo.receivers import Received
from shared.events import Verdict


async def report(environment: Mapping[str, str], *arguments: str) -> None:
    """Run a command of `orderwake` as a person would, on this terminal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", *arguments, env={**os.environ, **environment}
    )
    if await process.wait():
        sys.stderr.write(f"orderwake {' '.join(arguments)} ended with exit code {process.returncode}\n")


def show_messages(console: Console, received: Received, folder: Path) -> list[Path]:
    """Save one e-mail of each worked shop and one SMS as they were received; prints their paths."""
    saved = []
    for shop in WORKED_SHOPS:
        entry = next(
            (
                e
                for e in received.entries
                if e["channel"] == "email" and e["recipient"].endswith(f"@{shop}.example.com")
            ),
            None,
        )
        if entry:
            saved.append(Path(entry["path"]))
            console.print(f"  e-mail of {shop}: {saved[-1]}", soft_wrap=True, highlight=False)
    sms = next((entry for entry in received.entries if entry["channel"] == "sms"), None)
    if sms:
        saved.append(folder / "one.sms.txt")
        saved[-1].write_text(f"To: {sms['recipient']}\n\n{sms['body']}\n")
        console.print(f"  SMS: {saved[-1]}\n    [dim]{sms['body']}[/dim]", soft_wrap=True, highlight=False)
    return saved


def someone_with_both(log: Log) -> tuple[str, str] | None:
    """Shop and id of the worked shops' customer with the fewest decisions, at least one message sent and one not."""
    seen: dict[tuple[str, str], list[Verdict]] = {}
    for decision in log.decisions.values():
        seen.setdefault(log.customers[decision.message_id], []).append(decision.verdict)
    both = [
        (len(verdicts), key)
        for key, verdicts in seen.items()
        if key[0] in WORKED_SHOPS and Verdict.SEND in verdicts and Verdict.SKIP in verdicts
    ]
    return min(both)[1] if both else None
