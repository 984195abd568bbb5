"""A secret is read where it lies, again when it changed, and never told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.secrets import Secret


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    secret = Secret(file=path)
    assert secret.value() == "first"
    fresh = tmp_path / "fresh"
    fresh.write_text("second\nfirst\n")
    fresh.replace(path)
    assert secret.all() == ("second", "first")


def test_a_file_that_is_gone_for_a_moment_leaves_the_former_secret(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first")
    secret = Secret(file=path)
    assert secret.value() == "first"
    path.unlink()
    assert secret.value() == "first"


def test_the_environment_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret(env="ORDERWAKE_TEST_KEY")
    for value in ("one", "two"):
        monkeypatch.setenv("ORDERWAKE_TEST_KEY", value)
        assert secret.value() == value


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_secret_is_an_error_that_names_the_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(SettingsError, match=str(path)):
        Secret(file=path).value()


def test_a_missing_secret_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="absent"):
        Secret(file=tmp_path / "absent").value()
    with pytest.raises(SettingsError, match="ORDERWAKE_TEST_ABSENT"):
        Secret(env="ORDERWAKE_TEST_ABSENT").value()


@pytest.mark.parametrize("places", [{}, {"file": "/a", "env": "B"}])
def test_a_secret_lies_in_one_place(places: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="say where the secret lies"):
        Secret.model_validate(places)


def test_a_secret_does_not_tell_itself(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hush-hush")
    secret = Secret(file=path)
    assert secret.value() not in f"{secret} {secret!r} {secret.model_dump_json()}"
    assert "hush" not in repr(Secret.given("hush-hush"))


def test_a_file_that_is_just_being_written_leaves_the_former_secret_in_force(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    secret = Secret(file=path)
    assert secret.value() == "first"
    path.write_text("")
    assert secret.value() == "first"
    path.write_bytes(b"\xff\xfe")
    assert secret.value() == "first"
    path.write_text("second\nfirst\n")
    assert secret.all() == ("second", "first")
