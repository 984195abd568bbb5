"""The links of one message: each product's and picture's address through ours, and the one short link of a text."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from services.dispatcher.domain.tracking import ShortLink, first_address, tracked
from services.dispatcher.ledger import Claimed
from shared.links import Clicked, Links, Sent, leads_out
from shared.settings import Settings


class Linking:
    """Makes links. The same message gets the same links each time, so that trying again changes nothing."""

    def __init__(self, settings: Settings) -> None:
        self._links = Links(settings.public_url, settings.link_secret.get_secret_value(), settings.short_url)
        self._kept = timedelta(days=settings.link_days)

    def action(self, claimed: Claimed, action: str) -> str:
        """The link that unsubscribes or answers, in the message's language."""
        shop, customer = claimed.customer
        message = claimed.event.data
        clicked = Clicked(action, shop, customer, message.channel, str(message.message_id), message.locale)
        return self._links.url(clicked)

    def tracked(self, claimed: Claimed) -> dict[str, Any]:
        """The message's context with links of ours."""
        link = partial(self._links.redirect, sent=_sent(claimed), expires_at=self._ends(claimed))
        return tracked(claimed.event.data.context, link, partial(link, image=True))

    def short(self, claimed: Claimed) -> ShortLink | None:
        """The one short link, to what the message is about; None if it is about nothing that has an address."""
        message = claimed.event.data
        target = first_address(message.context, leads_out)
        if target is None:
            return None
        code = self._links.code(message.message_id)
        url, ends = self._links.short(code), self._ends(claimed)
        return ShortLink(code, url, target, message.message_id, *claimed.customer, message.channel, ends)

    def landing(self, claimed: Claimed) -> str | None:
        """The one tracked link of a notification, to what the message is about, if that has an address."""
        target = first_address(claimed.event.data.context, leads_out)
        return self._links.redirect(target, _sent(claimed), self._ends(claimed)) if target else None

    def _ends(self, claimed: Claimed) -> datetime:
        return claimed.event.data.valid_until + self._kept


def _sent(claimed: Claimed) -> Sent:
    message = claimed.event.data
    return Sent(message.message_id, *claimed.customer, message.channel)
