"""Settings come from the environment once, and a bad one names itself, its problem and the fix."""

from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import load


def test_nothing_set_gives_the_defaults() -> None:
    assert load({}).kafka_bootstrap_servers == "127.0.0.1:9092"


def test_platform_names_need_no_prefix() -> None:
    settings = load({"KAFKA_BOOTSTRAP_SERVERS": "k:1", "DATABASE_URL": "postgresql://d"})
    assert settings.kafka_bootstrap_servers == "k:1"
    assert settings.database_url.get_secret_value() == "postgresql://d"


def test_every_bad_setting_is_named_with_its_problem_and_the_default() -> None:
    with pytest.raises(SettingsError) as raised:
        load(
            {
                "ORDERWAKE_HTTP_PORT": "eighty",
                "ORDERWAKE_BUSINESS_TIME": "soon",
                "ORDERWAKE_LOG_LEVEL": "loud",
            }
        )
    lines = str(raised.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ORDERWAKE_BUSINESS_TIME", "ORDERWAKE_LOG_LEVEL", "ORDERWAKE_HTTP_PORT",
    ]  # fmt: skip
    assert all("unset it for the default" in line for line in lines)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    settings = load({"ORDERWAKE_TWILIO_AUTH_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.twilio_auth_token.get_secret_value() == "s3cret"


def test_a_missing_secret_file_says_which_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mount the secret there"):
        load({"ORDERWAKE_TWILIO_AUTH_TOKEN_FILE": str(tmp_path / "none")})


def test_a_secret_is_not_in_the_text_of_the_settings() -> None:
    assert "s3cret" not in repr(load({"ORDERWAKE_TWILIO_AUTH_TOKEN": "s3cret"}))


@pytest.mark.parametrize(
    ("shops", "shop", "allowed"), [("", "any", True), ("a, b", "b", True), ("a,b", "c", False)]
)
def test_only_named_shops_are_allowed_once_any_is_named(shops: str, shop: str, allowed: bool) -> None:  # noqa: FBT001  a column
    assert load({"ORDERWAKE_SHOPS": shops}).shop_allowed(shop) is allowed


def test_mail_to_real_people_needs_secrets_and_an_address_of_ones_own() -> None:
    with pytest.raises(SettingsError) as raised:
        load({"ORDERWAKE_SMTP_HOST": "smtp.mail.svc", "ORDERWAKE_GUEST_SALT": "mine"})
    assert [line.split(":")[0] for line in str(raised.value).splitlines()] == [
        "ORDERWAKE_LINK_SECRET", "ORDERWAKE_CODE_SECRET", "ORDERWAKE_POSTAL_ADDRESS",
    ]  # fmt: skip


def test_on_this_machine_the_demos_values_will_do() -> None:
    assert load({"ORDERWAKE_SMTP_HOST": "localhost"}).smtp_host == "localhost"
