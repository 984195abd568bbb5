"""Commands that meet mistakes and a database that is not there say what to do, and leave no traceback."""

import pytest
from click.testing import CliRunner

from services.cli import cli
from shared.errors import InfrastructureError


@pytest.mark.parametrize(
    "command",
    [
        ["ledger", "unknown"],
        ["ledger", "show", "5b1f3c0e-0000-5000-8000-000000000000"],
        ["consent", "show", "c-1", "--shop", "skincare"],
    ],
)
def test_a_database_that_is_away_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/orderwake")
    told = CliRunner().invoke(cli, command)
    assert isinstance(told.exception, InfrastructureError)
    assert "DATABASE_URL" in str(told.exception)


@pytest.mark.parametrize("span", ["2w", "999999999d", "9999999999h", "-1h", ""])
def test_a_span_that_is_none_is_told_with_an_example(span: str) -> None:
    told = CliRunner().invoke(cli, ["ledger", "unknown", "--older-than", span])
    assert (told.exit_code, "30m, 2h or 1d" in told.output) == (2, True)


@pytest.mark.parametrize(("name", "ground"), [("", "INC-7"), ("ana", " ")])
def test_nobody_settles_without_a_name_and_a_ground(name: str, ground: str) -> None:
    message = "5b1f3c0e-0000-5000-8000-000000000000"
    told = CliRunner().invoke(cli, ["ledger", "resolve", message, "--taken", "--by", name, "--why", ground])
    assert (told.exit_code, "so say it" in told.output) == (2, True)
