"""What `orderwake recommend` is asked: one JSON object a line."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.errors import OrderwakeError

DAY = 86_400.0


class RecommendError(OrderwakeError):
    """A file cannot be used. The message says which, where in it, and what is wrong."""


def day_of(moment: datetime) -> float:
    """Days since 1970; a moment without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp() / DAY


class Query(BaseModel):
    """One question. Without the last three fields products are ranked by relevance alone.

    `price_below` bounds the price (of the last sale before `at`, else of the catalogue), `in_stock` leaves out what the
    catalogue knows to be sold out, `diverse` lets a category come again only after all others in the running.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    id: str
    shop: str = ""
    at: Annotated[datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=UTC))]
    basket: tuple[str, ...] = ()
    customer: str | None = None
    task: Literal["complement", "next"] = "complement"
    price_below: float | None = Field(default=None, gt=0)
    in_stock: bool = False
    diverse: bool = False


def parse(lines: Iterable[str], name: str) -> list[Query]:
    """Read queries, skipping empty lines; `name` is the file's, for messages.

    Raises RecommendError with the number of the first line that is no query.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(Query.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            message = f"{name}, line {number}: {place + ': ' if place else ''}{first['msg']}"
            raise RecommendError(message) from None
    return found
