"""From a message to a parcel: whose address stands under it, and templates that cannot be built."""

from pathlib import Path

import pytest

from services.dispatcher.compose import Composer
from services.dispatcher.delivery import Delivery
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import EmailContent, Parcel
from shared.settings import Settings
from tests.support.messages import message


def _html(composer: Composer) -> str:
    event = message(1)
    parcel = composer.parcel(Claimed(event.data.message_id, event, 0, 0))
    assert isinstance(parcel, Parcel)
    assert isinstance(parcel.content, EmailContent)
    return parcel.content.html


def test_a_shops_own_postal_address_stands_under_its_mail() -> None:
    settings = Settings()
    own = Delivery.model_validate(
        {
            "providers": [{"name": "mail", "kind": "smtp", "host": "127.0.0.1"}],
            "shops": {"skincare": {"postal_address": "7 Lumen Lane, Portland"}},
        }
    )
    assert "7 Lumen Lane, Portland" in _html(Composer(settings, settings.clock(), own))
    assert settings.postal_address in _html(Composer(settings, settings.clock()))


def test_a_template_that_cannot_be_built_is_told_at_the_start_and_others_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "skincare").mkdir()
    (tmp_path / "skincare" / "torn.txt.j2").write_text("Subject: {% if %}\n")
    (tmp_path / "skincare" / "whole.txt.j2").write_text("Subject: Hello\nHello\n")
    settings = Settings()
    Composer(settings, settings.clock(), folder=tmp_path).prepare()
    told = "".join(capfd.readouterr())
    assert "template_broken" in told
    assert "skincare/torn" in told
    assert "whole" not in told
