"""What README tells is true: topics, targets, settings, commands, and its first event."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared import topics
from shared.events import decode
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_every_topic_is_in_the_table() -> None:
    table = "\n".join(line for line in README.splitlines() if line.startswith("| `"))
    assert {topic.name for topic in topics.ALL} == set(re.findall(r"`([a-z.-]+)`", table)) - {".dead-letters"}


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_setting_named_exists() -> None:
    known = {f"ORDERWAKE_{name.upper()}" for name in Settings.model_fields} | {"ORDERWAKE_URL"}
    assert set(re.findall(r"ORDERWAKE_[A-Z_]+", README)) <= known


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("command", re.findall(r"^(orderwake [a-z ]+)", README, re.MULTILINE))
def test_every_command_shown_is_there(command: str) -> None:
    words = command.split()[1:]
    ran = subprocess.run(  # noqa: S603  our own command line
        [sys.executable, "-m", "services.cli", *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_first_event_is_one_that_ingest_takes() -> None:
    (block,) = [block for block in BLOCKS if block.startswith("cat > order.json")]
    raw = block.partition("<<'JSON'\n")[2].partition("\nJSON")[0]
    assert decode(raw.encode(), topics.INBOUND_ORDERS.types).shopid == "my-shop"
