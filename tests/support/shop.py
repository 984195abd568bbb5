"""One shop and its customers: everything that they may do, as the events that the shop would send."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from services.scheduler.domain.experiment import place
from services.scheduler.domain.journey import Journey
from shared import events, ids
from shared.events import Channel, Event, ShipmentStatus
from tests.support.stage import Stage

_LONG_AGO = timedelta(days=120)


@dataclass
class Shop:
    """Customers are known by a first name; `ids` has what the shop calls them. All happens at the stage's time.

    `bought` has what they have ordered, and when.
    """

    stage: Stage
    journey: Journey
    zone: str
    region: str
    products: Mapping[str, events.Product]
    ids: dict[str, str] = field(default_factory=dict)
    bought: dict[str, list[tuple[datetime, str]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def id(self) -> str:
        """The shop that the journey is of."""
        return self.journey.shop

    def email(self, name: str) -> str:
        """A customer's address."""
        return f"{self.ids[name]}@{self.id}.example.com"

    def phone(self, name: str) -> str:
        """A customer's number."""
        return f"+1212555{100 + list(self.ids).index(name):04d}"

    def catalogue(self) -> list[Event]:
        """Everything that the shop sells."""
        return [
            self._event(events.ProductRecorded, None, product, product.product_id)
            for product in self.products.values()
        ]

    def customer(self, name: str, *consents: str, held: bool = False) -> Event:
        """A customer who said yes to these channels; their id is such that they are held out, or are not."""
        named = (f"{name}-{number}" for number in count(1))
        terms = self.journey.holdout
        self.ids[name] = next(one for one in named if (place(self.id, one, terms.salt) < terms.share) is held)
        agreed = {
            channel: events.Consent(
                granted=channel in consents, changed_at=self.stage.now - _LONG_AGO, source="checkout"
            )
            for channel in Channel
        }
        data = events.Customer(
            version=1, email=self.email(name), phone=self.phone(name),
            first_name=name.title(), time_zone=self.zone, country="US", region=self.region, consent=agreed,
        )  # fmt: skip
        return self._event(events.CustomerRecorded, name, data, name)

    def order(
        self,
        name: str,
        *skus: str,
        placed_at: datetime | None = None,
        number: int = 1,
        **more: Any,  # noqa: ANN401  fields of Order
    ) -> Event:
        """An order of one piece each, placed now or earlier."""
        placed_at = placed_at or self.stage.now
        lines = tuple(
            events.Line(
                product_id=sku,
                quantity=1,
                unit_price=self.products[sku].price or Decimal(0),
                category=self.products[sku].category,
            )
            for sku in skus
        )
        data = events.Order(
            order_id=f"{self.ids[name]}/{number}", placed_at=placed_at, currency="USD",
            total=sum((line.unit_price for line in lines), Decimal(0)), lines=lines, country="US", region=self.region,
            **more,
        )  # fmt: skip
        self.bought[name] += [(placed_at, sku) for sku in skus]
        return self._event(events.OrderRecorded, name, data, name, number)

    def past(self, buyers: int, *skus: str, label: str = "past") -> list[Event]:
        """Orders of long ago by people who play no other part: they teach, and start nothing."""
        orders = []
        for number in range(buyers):
            name = f"{label}-{number}"
            self.ids[name] = name
            orders.append(self.order(name, *skus, placed_at=self.stage.now - _LONG_AGO, history=True))
            del self.ids[name], self.bought[name]
        return orders

    def shipment(
        self, name: str, status: ShipmentStatus = ShipmentStatus.DELIVERED, number: int = 1
    ) -> Event:
        """News of a parcel, from a carrier that knows the order but not the customer."""
        order_id = f"{self.ids[name]}/{number}"
        data = events.Shipment(
            shipment_id=f"s-{order_id}", order_id=order_id, status=status, occurred_at=self.stage.now
        )
        return self._event(events.ShipmentRecorded, None, data, name, number, status)

    def sends_back(self, name: str, *skus: str, number: int = 1) -> Event:
        """Some or all pieces of an order are on their way back."""
        order_id = f"{self.ids[name]}/{number}"
        data = events.Return(
            return_id=f"r-{order_id}", order_id=order_id, status=events.ReturnStatus.REQUESTED,
            occurred_at=self.stage.now, lines=tuple(events.ReturnLine(product_id=sku, quantity=1) for sku in skus),
        )  # fmt: skip
        return self._event(events.ReturnRecorded, None, data, name, number)

    def _event(self, kind: type[Event], name: str | None, data: Any, *origin: object) -> Event:  # noqa: ANN401  any model
        return kind(
            id=ids.event_id("e2e", self.id, kind.__name__, *origin), source="/e2e", time=self.stage.now,
            type=kind.type_name(), shopid=self.id, customerid=self.ids[name] if name else None, data=data,
        )  # fmt: skip
