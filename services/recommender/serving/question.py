"""The parameters of a request, checked: what is wrong is said by the parameter's name, never with its value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from services.recommender.domain.wish import Customer, Strategy, Wish
from shared.errors import OrderwakeError
from shared.events.catalog import SeasonName
from shared.events.envelope import Currency, Identifier, ShopIdentifier

PRIVATE = ("customer", "min_stock", "min_margin")
"""Parameters for the shop's own servers: answers to them tell of customers, stock and margins."""

_LISTS = ("basket", "exclude")
_DEFAULT_K = 10
_BUNDLED = 2
_ASKED = (
    "give a product, a basket or a customer (with a product or a basket, too); not both product and basket"
)
_UNBOUNDED = frozenset({Strategy.UPSELL, Strategy.REPLENISH})
_Products = Annotated[tuple[Identifier, ...], Field(max_length=100)]
_Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=18)]


class Reason(StrEnum):
    """Why a request was turned away."""

    BAD_PARAMETER = "bad_parameter"
    WRONG_API_KEY = "wrong_api_key"
    SECRET_KEY_NEEDED = "secret_key_needed"  # noqa: S105  a reason
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


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds where a question does not say otherwise: settings, and the season now."""

    price_share: Decimal
    min_stock: int
    min_margin: float
    season: SeasonName


class Question(BaseModel):
    """A request's parameters: a product, a basket, or what a customer has, who may also come along with either."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shop: ShopIdentifier
    key: Annotated[str, Field(max_length=200)] = ""
    product: Identifier | None = None
    basket: _Products = ()
    customer: Identifier | None = None
    strategy: Strategy = Strategy.CROSS_SELL
    k: Annotated[int, Field(ge=1, le=50)] | None = None
    exclude: _Products = ()
    max_price: _Price | None = None
    order_value: _Price | None = None
    price_share: Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    currency: Currency | None = None
    season: SeasonName | None = None
    min_stock: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    min_margin: Annotated[float, Field(ge=0, le=1)] | None = None
    diverse: bool = True
    explain: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        asked = (self.product is not None) + bool(self.basket)
        if asked > 1 or (not asked and self.customer is None):
            raise PydanticCustomError("product", _ASKED)  # noqa: EM101  as below
        if self.price_share is not None and self.order_value is None:
            raise PydanticCustomError("price_share", "it is a share of order_value; give that too")  # noqa: EM101  pydantic wants literals
        return self

    @property
    def private(self) -> bool:
        """Whether only the shop's own servers may ask this."""
        return any(getattr(self, name) is not None for name in PRIVATE)

    def wish(self, standing: Standing, customer: Customer | None) -> Wish:
        """Say the same for the choosing. `customer` is who is asked for, with nothing if nothing is known of them."""
        return Wish(
            basket=self.basket if self.product is None else (self.product,),
            k=self.k or (_BUNDLED if self.strategy is Strategy.BUNDLE else _DEFAULT_K),
            exclude=frozenset(self.exclude),
            max_price=self.max_price,
            currency=self.currency,
            strategy=self.strategy,
            customer=customer,
            under=self._under(standing.price_share),
            season=self.season or standing.season,
            min_stock=standing.min_stock if self.min_stock is None else self.min_stock,
            min_margin=standing.min_margin if self.min_margin is None else self.min_margin,
            diverse=self.diverse,
        )

    def _under(self, usual: Decimal) -> Decimal | None:
        """Below what candidates are priced. What is dearer by nature, or needed again, has no bound unless one is asked for."""
        if self.order_value is None or (self.price_share is None and self.strategy in _UNBOUNDED):
            return None
        return self.order_value * (usual if self.price_share is None else self.price_share)


class Parameters(Protocol):
    """A query string's pairs; names may come several times."""

    def getall(self, key: str) -> list[str]: ...  # noqa: D102
    def keys(self) -> Iterable[str]: ...  # noqa: D102


def question_of(query: Parameters) -> Question:
    """Read a query string. Raises Refused (400) with every fault."""
    given = {name: query.getall(name) for name in query.keys()}  # noqa: SIM118  a multidict is no dict
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
    return place or str(item["type"]), str(item["msg"])


def _fault(path: str, detail: str) -> Fault:
    return Fault(Reason.BAD_PARAMETER, path, detail)
