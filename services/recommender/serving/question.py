"""The parameters of a request, checked: what is wrong is said by the parameter's name, never with its value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.recommender.domain.serving import Wish
from shared.errors import OrderwakeError
from shared.events.envelope import Currency, Identifier, ShopIdentifier

_LISTS = ("basket", "exclude")
_CUSTOMER = "recommendations by customer are not served; send the products of the last order as basket"
_Products = Annotated[tuple[Identifier, ...], Field(max_length=100)]


class Reason(StrEnum):
    """Why a request was turned away."""

    BAD_PARAMETER = "bad_parameter"
    WRONG_API_KEY = "wrong_api_key"
    UNKNOWN_SHOP = "unknown_shop"
    NOT_CAUGHT_UP = "not_caught_up"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a request; `path` names the parameter. `index` is 0: bodies look like those of ingest."""

    reason: Reason
    path: str
    detail: str
    index: int = 0


class Refused(OrderwakeError):  # noqa: N818  it is an answer
    """A request that is not answered: HTTP status, faults, and in how many seconds to try again, if that helps."""

    def __init__(self, status: int, *faults: Fault, retry_after: int | None = None) -> None:
        super().__init__(f"{status}: {', '.join(fault.reason for fault in faults)}")
        self.status = status
        self.faults = faults
        self.retry_after = retry_after


class Question(BaseModel):
    """A request's parameters. Exactly one of `product` and `basket` is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shop: ShopIdentifier
    key: Annotated[str, Field(max_length=200)] = ""
    product: Identifier | None = None
    basket: _Products = ()
    k: Annotated[int, Field(ge=1, le=50)] = 10
    exclude: _Products = ()
    max_price: Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=18)] | None = None
    currency: Currency | None = None
    explain: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.product is None) == (not self.basket):
            message = "give one of product and basket"
            raise ValueError(message)
        return self

    def wish(self) -> Wish:
        """Say the same for the choosing."""
        basket = self.basket if self.product is None else (self.product,)
        return Wish(basket, self.k, frozenset(self.exclude), self.max_price, self.currency)


class Parameters(Protocol):
    """A query string's pairs; names may come several times."""

    def getall(self, key: str) -> list[str]: ...  # noqa: D102
    def keys(self) -> Iterable[str]: ...  # noqa: D102


def question_of(query: Parameters) -> Question:
    """Read a query string. Raises Refused (400) with every fault."""
    given = {name: query.getall(name) for name in query.keys()}  # noqa: SIM118  a multidict is no dict
    if "customer" in given:
        raise Refused(HTTPStatus.BAD_REQUEST, _fault("customer", _CUSTOMER))
    faults = [_fault(name, "given more than once") for name in _repeated(given)]
    try:
        question = Question.model_validate({name: _value(name, values) for name, values in given.items()})
    except ValidationError as error:
        faults += [_fault(*_said(item)) for item in error.errors(include_input=False, include_url=False)]
    if faults:
        raise Refused(HTTPStatus.BAD_REQUEST, *faults)
    return question


def _repeated(given: Mapping[str, list[str]]) -> Iterable[str]:
    return (name for name, values in given.items() if len(values) > 1 and name not in _LISTS)


def _value(name: str, values: list[str]) -> object:
    if name in _LISTS:
        return [one for value in values for one in value.split(",") if one]
    return values[0]


def _said(item: Any) -> tuple[str, str]:  # noqa: ANN401  pydantic's ErrorDetails is a plain dict
    place = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return place, f"there is no such parameter; there are {', '.join(Question.model_fields)}"
    return place or "product", str(item["msg"]).removeprefix("Value error, ")


def _fault(path: str, detail: str) -> Fault:
    return Fault(Reason.BAD_PARAMETER, path, detail)
