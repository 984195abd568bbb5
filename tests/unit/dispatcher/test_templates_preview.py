"""`orderwake templates preview` writes what people can look at."""

import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli import cli
from services.dispatcher.content import commands
from services.dispatcher.content.browser import program


def _preview(out: Path, *options: str) -> str:
    told = CliRunner().invoke(cli, ["templates", "preview", "--out", str(out), *options])
    assert told.exit_code == 0, told.output
    return told.output


def test_every_template_of_a_shop_is_written_with_an_index(tmp_path: Path) -> None:
    _preview(tmp_path, "--shop", "skincare")
    index = (tmp_path / "index.html").read_text()
    for name in ("your-routine", "your-routine.de"):
        page = (tmp_path / "skincare" / f"{name}.html").read_text()
        assert "https://images.example.com" not in page
        assert 'width="375" src="skincare/your-routine' in index
        assert (tmp_path / "skincare" / f"{name}.txt").read_text().startswith("Subject: ")
    assert "Abmelden mit STOP" in (tmp_path / "skincare" / "expires-tonight.de.txt").read_text()


def test_one_locale_and_one_hard_case_can_be_chosen(tmp_path: Path) -> None:
    _preview(tmp_path, "--template", "skincare/your-routine", "--locale", "de", "--case", "HTML in names")
    assert [path.name for path in tmp_path.rglob("*.html")] == ["index.html", "your-routine.de.html"]
    assert "<img src=x" not in (tmp_path / "index.html").read_text()


def test_a_locale_that_no_template_has_is_a_mistake(tmp_path: Path) -> None:
    told = CliRunner().invoke(cli, ["templates", "preview", "--out", str(tmp_path), "--locale", "xx"])
    assert (told.exit_code, "no template of the locale xx" in told.output) == (1, True)


def test_without_a_browser_it_is_said_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "program", lambda: None)
    told = CliRunner().invoke(
        cli, ["templates", "preview", "--out", str(tmp_path), "--template", "your-routine", "--png"]
    )
    assert told.exit_code == 1
    assert "chromium" in told.output


@pytest.mark.skipif(program() is None, reason="no browser on this machine")
def test_pictures_have_the_widths_of_a_phone_and_a_desk(tmp_path: Path) -> None:
    told = _preview(tmp_path, "--template", "skincare/your-routine", "--locale", "de", "--png")
    assert "4 pictures" in told
    for width in (375, 800):
        light, dark = (
            (tmp_path / "skincare" / f"your-routine.de.{width}.{scheme}.png").read_bytes()
            for scheme in ("light", "dark")
        )
        assert struct.unpack(">I", light[16:20])[0] == width
        assert light != dark
