"""The CloudEvents 1.0 envelope that every record wears, and how bytes become one.

Structured JSON mode. Extension attributes: `shopid` (always), `customerid` (on canonical topics that are keyed by
customer), `recordedat` (when ingest accepted it, business time), `correlationid` (follows an event through).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)


def _exact_id(value: object) -> object:
    """Integers become text digit by digit; a float has already lost digits beyond 2**53 and is refused."""
    if isinstance(value, bool | float):
        message = "an id must be text or a whole number; as a float it may have lost digits"
        raise ValueError(message)  # noqa: TRY004  pydantic turns ValueError into an error with its path
    return str(value) if isinstance(value, int) else value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        message = "a time between the years 1 and 9999, in UTC too"
        raise ValueError(message) from None


IDENTIFIER = StringConstraints(min_length=1, max_length=200, pattern=r"^[^|\x00-\x1f]+$")
Identifier = Annotated[str, IDENTIFIER, BeforeValidator(_exact_id)]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
"""Any text but NUL, which PostgreSQL cannot keep."""
Version = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""Rises with every change; fits a PostgreSQL bigint, so milliseconds since 1970 do for one."""
ShopIdentifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False)]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class Data(BaseModel):
    """Base of what events carry: immutable; fields we do not know are ignored, so producers may be ahead of us."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Data):
    """A CloudEvent. Subclasses fix `type` and `data`."""

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
    source: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
    type: str
    time: Moment
    subject: Text | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    shopid: ShopIdentifier
    customerid: Identifier | None = None
    recordedat: Moment | None = None
    correlationid: Text | None = None
    data: Any

    @classmethod
    def type_name(cls) -> str:
        """The one CloudEvents type of this class, e.g. `orderwake.order.placed.v1`."""
        return str(get_args(cls.model_fields["type"].annotation)[0])

    def encode(self) -> bytes:
        """JSON bytes without null attributes."""
        return self.model_dump_json(exclude_none=True).encode()


EventTypes = Sequence[type[Event]]
