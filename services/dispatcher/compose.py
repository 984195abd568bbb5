"""From a claimed message to a parcel: our links, the sender's address, the rendered content."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from services.dispatcher.content.library import TEMPLATES, Library
from services.dispatcher.domain.policy import Withheld
from services.dispatcher.domain.rendering import Unrenderable, render_email, render_sms
from services.dispatcher.ledger import Claimed
from services.dispatcher.linking import Linking
from services.dispatcher.providers.base import EmailContent, Parcel, SmsContent
from services.dispatcher.providers.smtp import is_address
from shared.clock import Clock
from shared.events import Channel, Message
from shared.settings import Settings

log = structlog.get_logger()


class Composer:
    """Makes parcels. Templates are built once, when first needed; a changed file needs a new process."""

    def __init__(self, settings: Settings, clock: Clock, folder: Path = TEMPLATES) -> None:
        self._settings = settings
        self._clock = clock
        self._linking = Linking(settings)
        self._templates = Library.of(folder)

    def parcel(self, claimed: Claimed) -> Parcel | Withheld:
        """The parcel, or why there can be none."""
        message = claimed.event.data
        try:
            content = self._email(claimed) if message.channel is Channel.EMAIL else self._sms(claimed)
        except Unrenderable as error:
            log.error("unrenderable", message_id=str(message.message_id), detail=str(error))  # noqa: TRY400  the message is the whole story
            return Withheld.UNRENDERABLE
        if isinstance(content, EmailContent) and not is_address(message.recipient):
            return Withheld.BAD_ADDRESS
        valid_for = (message.valid_until - self._clock.business()).total_seconds()
        short = self._linking.short(claimed) if isinstance(content, SmsContent) else None
        links = (short,) if short else ()
        return Parcel(message.message_id, message.recipient, content, valid_for, links=links)

    def _email(self, claimed: Claimed) -> EmailContent:
        message = claimed.event.data
        unsubscribe = self._linking.action(claimed, "unsubscribe")
        view = self._view(claimed, unsubscribe)
        rendered = render_email(self._templates, message.template, view, message.locale, message.time_zone)
        shop_name = " ".join(str(message.context.get("shop_name") or claimed.event.shopid).split())
        return EmailContent(
            shop_name, rendered.subject, rendered.text, rendered.html, unsubscribe, self._clock.machine()
        )

    def _sms(self, claimed: Claimed) -> SmsContent:
        message: Message = claimed.event.data
        fallback = self._settings.public_url
        short = self._linking.short(claimed)
        view = {**message.context, "link": short.url if short else None}
        rendered = render_sms(self._templates, message.template, view, message.locale, fallback)
        return SmsContent(rendered.body)

    def _view(self, claimed: Claimed, unsubscribe: str) -> Mapping[str, Any]:
        context = self._linking.tracked(claimed)
        return {
            **context,
            "answer_links": {
                answer: self._linking.action(claimed, answer) for answer in context.get("answers", ())
            },
            "unsubscribe_url": unsubscribe,
            "postal_address": self._settings.postal_address,
        }
