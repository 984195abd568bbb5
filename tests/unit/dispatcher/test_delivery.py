"""`providers.yaml`: what may stand in it, and that a mistake is told with file, line and fix."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.dispatcher.delivery import in_the_clear, load_delivery, read_delivery, surroundings
from shared.errors import SettingsError
from shared.events import Channel
from shared.settings import Settings

FILE = """\
providers:
  - {name: mail, kind: smtp, host: mail.internal, starttls: true, limits: {per_second: 40}}
  - {name: spare, kind: smtp, host: spare.internal}
  - name: text
    kind: twilio
    account: AC1
    token: {env: TWILIO_TOKEN}
    sender: "+15550100000"
routes:
  email: [spare, mail]
shops:
  skincare: {email: offers@lumen.example, sms: "+15550100001", postal_address: "1 Example Street"}
"""


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_TOKEN", "a-token")


def _file(folder: Path, text: str = FILE) -> Path:
    path = folder / "providers.yaml"
    path.write_text(text)
    return path


def test_routes_say_the_order_and_absent_ones_take_all_of_the_channel(tmp_path: Path) -> None:
    settings = Settings(
        providers_file=_file(tmp_path),
        link_secret=SecretStr("ours"),
        guest_salt=SecretStr("ours"),
        code_secret=SecretStr("ours"),
        postal_address="1 Street of Ours",
    )
    delivery = load_delivery(settings)
    made = delivery.make(surroundings(settings))
    routes = {channel: [each.name for each in delivery.route(channel, made)] for channel in Channel}
    assert routes[Channel.EMAIL] == ["spare", "mail"]
    assert routes[Channel.SMS] == ["text"]
    assert routes[Channel.PAGE] == []


def test_real_people_get_no_mail_with_the_demos_secrets(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ORDERWAKE_LINK_SECRET.*mail\.internal"):
        load_delivery(Settings(providers_file=_file(tmp_path)))
    here = FILE.replace("mail.internal", "127.0.0.1").replace("spare.internal", "localhost")
    local = here.replace("kind: twilio", "kind: twilio\n    url: http://127.0.0.1:1")
    assert load_delivery(Settings(providers_file=_file(tmp_path, local))).providers


def test_a_shop_sends_as_itself_and_others_as_the_provider(tmp_path: Path) -> None:
    delivery = read_delivery(_file(tmp_path))
    assert delivery.shop("skincare").sender(Channel.EMAIL) == "offers@lumen.example"
    assert delivery.shop("skincare").sender(Channel.SMS) == "+15550100001"
    assert delivery.shop("fitness").sender(Channel.SMS) == ""


@pytest.mark.parametrize(
    ("there", "instead", "line", "words"),
    [
        ("kind: twilio", "kind: pigeon", 4, "pigeon"),
        ("host: spare.internal", "hots: spare.internal", 3, "hots"),
        ("token: {env: TWILIO_TOKEN}", "token: s3cret-in-the-file", 7, "{file: PATH} or {env: NAME}"),
        ("name: spare", "name: mail", 1, "mail"),
        ("[spare, mail]", "[spare, gone]", 1, "gone"),
        ("per_second: 40", "per_second: -1", 2, "per_second"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_fix(
    tmp_path: Path, there: str, instead: str, line: int, words: str
) -> None:
    path = _file(tmp_path, FILE.replace(there, instead, 1))
    with pytest.raises(SettingsError) as caught:
        read_delivery(path)
    assert any(
        told.startswith(f"{path}:{line}:") and words in told for told in str(caught.value).splitlines()
    ), str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_without_a_file_the_settings_name_smtp_and_twilio() -> None:
    assert [each.name for each in load_delivery(Settings()).providers] == ["smtp"]
    both = load_delivery(Settings(twilio_account_sid="AC1", twilio_from="+15550100000"))
    assert [each.name for each in both.providers] == ["smtp", "twilio"]


def test_a_key_that_would_leave_without_tls_is_seen(tmp_path: Path) -> None:
    text = """\
providers:
  - {name: open, kind: smtp, host: mail.internal, username: me, password: {env: P}}
  - {name: sealed, kind: smtp, host: mail.internal, username: me, password: {env: P}, starttls: true}
  - {name: keyless, kind: smtp, host: mail.internal}
  - {name: here, kind: smtp, host: localhost, username: me, password: {env: P}}
  - {name: plain, kind: postmark, key: {env: P}, url: "http://api.example.com"}
  - {name: whole, kind: postmark, key: {env: P}}
"""
    delivery = read_delivery(_file(tmp_path, text))
    assert [each.name for each in delivery.providers if in_the_clear(each)] == ["open", "plain"]


def test_nobody_is_asked_to_call_back_where_no_address_was_set() -> None:
    assert surroundings(Settings()).callback_of("mail") is None
    here = surroundings(Settings(public_url="https://go.example.com", callback_url="https://in.example.com/"))
    assert here.callback_of("mail") == "https://in.example.com/callbacks/mail"


@pytest.mark.parametrize(
    "entry",
    [
        "{name: it, kind: twilio, account: AC1, token: {file: GONE}, sender: '+15550100000'}",
        "{name: it, kind: sendgrid, key: {file: GONE}}",
        "{name: it, kind: resend, key: {file: GONE}}",
        "{name: it, kind: postmark, key: {file: GONE}}",
        "{name: it, kind: webhook, receivers: {skincare: {url: 'https://shop.example/in', key: {file: GONE}}}}",
    ],
)
def test_a_secret_that_is_not_there_is_told_at_the_start_wherever_it_is_named(
    tmp_path: Path, entry: str
) -> None:
    secret = tmp_path / "secret"
    path = _file(tmp_path, f"providers:\n  - {entry.replace('GONE', str(secret))}\n")
    with pytest.raises(SettingsError, match=f"provider it: cannot read the secret {secret}"):
        load_delivery(Settings(providers_file=path))
    secret.write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
    read_delivery(path).check_secrets()
