"""What a thank-you page says of an order, checked: what is wrong is said by the field's name, never with its value."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from shared.errors import OrderwakeError
from shared.events import Line, Order
from shared.events.envelope import Amount, Currency, Identifier, ShopIdentifier, Text
from shared.ids import guest_id

Body = TypeVar("Body", bound=BaseModel)

_LINES = 200
_SOMEBODY = "say whose order it is: customer_id, or guest with the email of the checkout; not both"


class Fault(StrEnum):
    """Why a request was turned away."""

    BAD_JSON = "bad_json"
    BAD_FIELD = "bad_field"
    WRONG_API_KEY = "wrong_api_key"
    PROOF_NEEDED = "proof_needed"
    WRONG_TOKEN = "wrong_token"  # noqa: S105  a reason
    UNKNOWN_OFFER = "unknown_offer"
    EXPIRED = "expired"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Told:
    """What is wrong with a request; `path` names the field. `index` is 0: bodies look like those of ingest."""

    reason: Fault
    path: str
    detail: str
    index: int = 0


class Refused(OrderwakeError):  # noqa: N818  it is an answer
    """A request that is turned away: HTTP status and faults."""

    def __init__(self, status: int, *faults: Told) -> None:
        super().__init__(f"{status}: {', '.join(fault.reason for fault in faults)}")
        self.status = status
        self.faults = faults


class Guest(BaseModel):
    """Somebody without an account; the address becomes a salted hash at once, and is not kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Annotated[str, Field(pattern=r"^[^@\s\x00]+@[^@\s\x00]+$", max_length=320)]


class Question(BaseModel):
    """The order that was just placed. `unit_price` and `total` as in an order's event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shop: ShopIdentifier | None = None
    customer_id: Identifier | None = None
    guest: Guest | None = None
    order_id: Identifier
    currency: Currency
    total: Amount
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=_LINES)]
    country: Text | None = None
    region: Text | None = None

    @model_validator(mode="after")
    def _of_somebody(self) -> Self:
        if (self.customer_id is None) == (self.guest is None):
            raise PydanticCustomError("customer_id", _SOMEBODY)  # noqa: EM101  pydantic wants literals
        if any(line.currency not in (None, self.currency) for line in self.lines):
            raise PydanticCustomError("lines", "every line must be in the order's currency")  # noqa: EM101  as above
        return self

    def customer(self, shop: str, salt: bytes) -> str:
        """The id under which the order's event comes, or will come."""
        return self.customer_id or guest_id(salt, shop, self.guest.email if self.guest else "")

    def order(self, placed_at: datetime) -> Order:
        """The order as far as the page knows it. Its event is the truth, and may say otherwise."""
        return Order(
            order_id=self.order_id,
            placed_at=placed_at,
            currency=self.currency,
            total=self.total,
            lines=self.lines,
            country=self.country,
            region=self.region,
        )


def question_of(body: bytes) -> Question:
    """Read a body. Raises Refused (400 for what is no JSON, else 422) with every fault."""
    return _read(Question, body)


class Acceptance(BaseModel):
    """What comes with the click."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=1000)]


def acceptance_of(body: bytes) -> Acceptance:
    """Read a body. Raises Refused (400 for what is no JSON, else 422) with every fault."""
    return _read(Acceptance, body)


def proof(secret_key: bytes, body: bytes) -> str:
    """What a shop's server gives its page along with an order: HMAC-SHA256 of the order's very text, in hexadecimal."""
    return hmac.new(secret_key, body, hashlib.sha256).hexdigest()


def proven(keys: Iterable[bytes], body: bytes, given: str) -> bool:
    """Whether a proof was made with one of the shop's secret keys."""
    told = given.encode(errors="surrogateescape")
    return any(hmac.compare_digest(told, proof(key, body).encode()) for key in keys)


def _read(kind: type[Body], body: bytes) -> Body:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
    if any(item["type"] == "json_invalid" for item in found):
        raise Refused(HTTPStatus.BAD_REQUEST, Told(Fault.BAD_JSON, "", "the body is not JSON"))
    raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, *(_told(kind, item) for item in found))


def _told(kind: type[BaseModel], item: Any) -> Told:  # noqa: ANN401  pydantic's ErrorDetails is a plain dict
    place = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        known = ", ".join(kind.model_fields)
        return Told(Fault.BAD_FIELD, place, f"there is no such field; there are {known}")
    return Told(Fault.BAD_FIELD, place or str(item["type"]), str(item["msg"]))
