"""An order as far as the recommender reads it: a third of the work of the whole one.

Ingest has written ids as text and times in UTC, so nothing needs a validator in Python; what it has checked of money,
consent or countries is nobody's concern here.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from shared.events import Event, OrderStatus
from shared.events.envelope import IDENTIFIER, Data

_Text = Annotated[str, IDENTIFIER]


class LeanLine(Data):
    """One product of an order."""

    product_id: _Text
    quantity: Annotated[int, Field(ge=1)]


class LeanOrder(Data):
    """An order as it is now, without money and places; see `shared.events.Order`."""

    order_id: _Text
    version: int = 1
    placed_at: AwareDatetime
    status: OrderStatus = OrderStatus.PLACED
    test: bool = False
    lines: tuple[LeanLine, ...]


class LeanOrderRecorded(Event):
    """An order was placed or changed."""

    type: Literal["orderwake.order.recorded.v1"] = "orderwake.order.recorded.v1"
    time: AwareDatetime
    customerid: _Text | None = None
    recordedat: AwareDatetime | None = None
    data: LeanOrder
