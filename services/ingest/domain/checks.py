"""What a schema cannot say about an event: whose shop, whose customer, and when."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import EventError, Refusal
from shared.events import (
    Customer,
    Event,
    InboundOrderRecorded,
    ProductRecorded,
    ReturnRecorded,
    ShipmentRecorded,
)

_MAY_LACK_CUSTOMER = (ProductRecorded, ReturnRecorded, ShipmentRecorded)
_TIMES = ("placed_at", "status_at", "occurred_at", "updated_at")


@dataclass(frozen=True)
class Checks:
    """`shop_allowed` says whose events we take; `ahead` is how far beyond business time an event may lie."""

    shop_allowed: Callable[[str], bool]
    ahead: timedelta

    def check(self, event: Event, now: datetime) -> None:
        """Raise EventError with reason and path if the event cannot be accepted at business time `now`."""
        if not self.shop_allowed(event.shopid):
            raise EventError(Refusal.WRONG_SHOP, "events of this shop are not taken here", "shopid")
        _check_customer(event)
        for path, moment in _times(event):
            if moment > now + self.ahead:
                raise EventError(Refusal.FAR_FUTURE, "this time lies in the future", path)


def _check_customer(event: Event) -> None:
    if event.customerid is None:
        if isinstance(event, _MAY_LACK_CUSTOMER):
            return
        if isinstance(event, InboundOrderRecorded) and event.data.guest:
            return
        raise EventError(Refusal.MISSING_CUSTOMER, "the event names no customer", "customerid")
    if "@" in event.customerid:
        sentence = "a customer id must not be an e-mail address; send a guest's order with data.guest instead"
        raise EventError(Refusal.BAD_ENVELOPE, sentence, "customerid")


def _times(event: Event) -> Iterator[tuple[str, datetime]]:
    yield "time", event.time
    for name in _TIMES:
        moment = getattr(event.data, name, None)
        if moment is not None:
            yield f"data.{name}", moment
    if isinstance(event.data, Customer):
        for channel, consent in event.data.consent.items():
            yield f"data.consent.{channel}.changed_at", consent.changed_at
