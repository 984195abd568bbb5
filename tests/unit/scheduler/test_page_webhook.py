"""Webhooks are signed as the Standard Webhooks specification says, and go where the settings say."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.scheduler.page.store import Held
from services.scheduler.page.webhook import accepted, addresses_of
from shared.errors import SettingsError
from shared.webhooks import headers_for
from tests.support.paging import OLD_SECRET, SECRET
from tests.support.samples import START

URL = "https://shop.example/hooks"
BODY = '{"type":"offer.accepted"}'


def test_the_specifications_own_example_comes_out() -> None:
    secret = addresses_of(f"shop {URL} whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")["shop"].secrets
    body = '{"test": 2432232314}'
    headers = headers_for(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), body, secret
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_during_a_rotation_either_secret_verifies(secret: str) -> None:
    address = addresses_of(f"skincare {URL} {SECRET} {OLD_SECRET}")["skincare"]
    headers = headers_for("msg_1", datetime.now(UTC), BODY, address.secrets)
    assert Webhook(secret).verify(BODY, dict(headers)) == {"type": "offer.accepted"}


def test_another_secret_does_not_verify() -> None:
    address = addresses_of(f"skincare {URL} {SECRET}")["skincare"]
    headers = headers_for("msg_1", datetime.now(UTC), BODY, address.secrets)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD_SECRET).verify(BODY, dict(headers))


def test_every_shop_has_an_entry_between_lines_or_commas() -> None:
    found = addresses_of(f"one {URL} {SECRET}\ntwo {URL}/2 {SECRET} {OLD_SECRET}, three {URL}/3 {SECRET}")
    assert {shop: (address.url, len(address.secrets)) for shop, address in found.items()} == {
        "one": (URL, 1),
        "two": (f"{URL}/2", 2),
        "three": (f"{URL}/3", 1),
    }
    assert addresses_of("") == {}


@pytest.mark.parametrize(
    "entry",
    [
        "skincare",
        f"skincare {URL}",
        f"skincare http://shop.example/hooks {SECRET}",
        f"skincare {URL} {SECRET} {SECRET} {SECRET}",
        f"skincare {URL} whsec_dG9vIHNob3J0",
        f"skincare {URL} {SECRET.removeprefix('whsec_')}",
        f"skincare {URL} whsec_*",
    ],
)
def test_a_bad_entry_is_refused_with_its_number_and_without_its_secret(entry: str) -> None:
    with pytest.raises(SettingsError, match="ORDERWAKE_THANK_YOU_WEBHOOKS: entry 2") as refused:
        addresses_of(f"other {URL} {OLD_SECRET}, {entry}")
    assert SECRET not in str(refused.value)


def test_a_shop_has_one_address() -> None:
    with pytest.raises(SettingsError, match="entry 2: one has an address already"):
        addresses_of(f"one {URL} {SECRET}, one {URL}/2 {SECRET}")


def test_what_a_shop_is_told_has_type_time_and_the_whole_offer() -> None:
    offer = {"id": str(UUID(int=1)), "products": [{"product_id": "toner"}]}
    held = Held("skincare", "c-1", "o-1", orjson.dumps(offer).decode(), START, None)
    assert orjson.loads(accepted(held, START)) == {
        "type": "offer.accepted",
        "timestamp": START.isoformat(),
        "data": {
            "shop": "skincare",
            "customer_id": "c-1",
            "order_id": "o-1",
            "accepted_at": START.isoformat(),
            "offer": offer,
        },
    }
