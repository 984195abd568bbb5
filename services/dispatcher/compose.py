"""From a claimed message to a parcel: our links, the sender's address, the rendered content."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from services.dispatcher.content.library import TEMPLATES, Library
from services.dispatcher.delivery import Delivery
from services.dispatcher.domain.payload import payload
from services.dispatcher.domain.policy import Withheld
from services.dispatcher.domain.rendering import Unrenderable, render_email, render_push, render_sms
from services.dispatcher.ledger import Claimed
from services.dispatcher.linking import Linking
from services.dispatcher.providers.base import (
    Content,
    EmailContent,
    Parcel,
    PushContent,
    SmsContent,
    WebhookContent,
)
from services.dispatcher.providers.smtp import is_address
from shared.clock import Clock
from shared.events import Channel, Message
from shared.settings import Settings

log = structlog.get_logger()


class Composer:
    """Makes parcels. Templates are built once, when first needed or by `prepare`; a changed file needs a new process.

    `delivery` knows the shops' own postal addresses.
    """

    def __init__(
        self, settings: Settings, clock: Clock, delivery: Delivery | None = None, folder: Path = TEMPLATES
    ) -> None:
        self._settings = settings
        self._delivery = delivery
        self._clock = clock
        self._linking = Linking(settings)
        self._templates = Library.of(folder)

    def prepare(self) -> None:
        """Build all templates; one that cannot be built is told now, and its messages are withheld."""
        for problem in self._templates.build():
            log.error("template_broken", detail=problem)

    def parcel(self, claimed: Claimed) -> Parcel | Withheld:
        """The parcel, or why there can be none."""
        message = claimed.event.data
        try:
            content = self._content(claimed)
        except Unrenderable as error:
            log.error("unrenderable", message_id=str(message.message_id), detail=str(error))  # noqa: TRY400  the message is the whole story
            return Withheld.UNRENDERABLE
        if isinstance(content, EmailContent) and not is_address(message.recipient):
            return Withheld.BAD_ADDRESS
        valid_for = (message.valid_until - self._clock.business()).total_seconds()
        short = self._linking.short(claimed) if isinstance(content, SmsContent) else None
        links = (short,) if short else ()
        return Parcel(
            message.message_id,
            message.recipient,
            content,
            valid_for,
            shop=claimed.event.shopid,
            journey=message.journey,
            links=links,
        )

    def _content(self, claimed: Claimed) -> Content:
        ways: dict[Channel, Callable[[Claimed], Content]] = {
            Channel.SMS: self._sms,
            Channel.PUSH: self._push,
            Channel.WEBHOOK: self._webhook,
        }
        return ways.get(claimed.event.data.channel, self._email)(claimed)

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

    def _push(self, claimed: Claimed) -> PushContent:
        message = claimed.event.data
        rendered = render_push(
            self._templates, message.template, message.context, message.locale, message.time_zone
        )
        return PushContent(
            rendered.title, rendered.body, self._linking.landing(claimed) or self._settings.public_url
        )

    def _webhook(self, claimed: Claimed) -> WebhookContent:
        context = self._linking.tracked(claimed)
        links = {
            "answer_links": self._answers(claimed),
            "unsubscribe_url": self._linking.action(claimed, "unsubscribe"),
        }
        return WebhookContent(orjson.dumps(payload(claimed.event, context, links)))

    def _answers(self, claimed: Claimed) -> dict[str, str]:
        asked = claimed.event.data.context.get("answers", ())
        return {answer: self._linking.action(claimed, answer) for answer in asked}

    def _view(self, claimed: Claimed, unsubscribe: str) -> Mapping[str, Any]:
        context = self._linking.tracked(claimed)
        return {
            **context,
            "answer_links": self._answers(claimed),
            "unsubscribe_url": unsubscribe,
            "postal_address": self._postal_address(claimed.event.shopid),
        }

    def _postal_address(self, shop: str) -> str:
        own = self._delivery.shop(shop).postal_address if self._delivery else None
        return own or self._settings.postal_address
