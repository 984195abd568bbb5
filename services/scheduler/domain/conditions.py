"""Conditions in CEL, the expression language that Kubernetes users know: what they may look at, and their check.

Each is compiled once. At load it is evaluated on a sample of everything that it may look at, so that a wrong name or a
comparison of text with a number is an error in the file, not a silent "no" in production.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

import cel
from pydantic import AfterValidator, WithJsonSchema

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "order": {
        "id": "o-1",
        "total": 42.0,
        "currency": "USD",
        "country": "US",
        "region": "NY",
        "products": ["p-1"],
        "categories": ["mat"],
        "items": 2,
        "number": 1,
        "single_item": False,
        "from_cart": False,
        "cancelled": False,
        "returned": False,
        "returned_any": False,
    },
    "customer": {
        "orders": 1,
        "spent": 42.0,
        "average_order": 42.0,
        "orders_in_90_days": 1,
        "days_since_previous": -1,
        "ordered_again": False,
        "returns": 0,
        "unhappy": False,
        "country": "US",
        "region": "NY",
        "locale": "en-US",
        "guest": False,
        "staff": False,
        "email": True,
        "sms": False,
        "push": False,
        "webhook": False,
        "products": ["p-1"],
        "categories": ["mat"],
    },
    "segment": {
        "name": "first",
        "first": True,
        "returning": False,
        "loyal": False,
        "vip": False,
        "converted_abandoner": False,
    },
    "delivery": {"confirmed": True, "days": 2.5},
    "engagement": {"sent": 1, "opened": 0, "clicked": 0, "answered": 0, "accepted": 0, "responded": False},
    "answers": {"sample": "happy"},
    "cart": {"total": 42.0, "products": ["p-1"], "ordered": False},
}
"""What `if`, `when`, `entry`, `goal` and `exit_when` may look at, with a sample of each. docs/journeys explains them."""

CANDIDATE_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "candidate": {
        "product_id": "p-2",
        "category": "mat",
        "brand": "Dew",
        "price": 12.0,
        "price_share": 0.25,
        "margin": 3.0,
        "stock": 5,
        "score": 0.1,
        "support": 120,
        "reliable": True,
        "relation": "pair",
        "consumable": False,
    }
}
"""What an offer's `where` may look at. Unknown prices, margins and stocks are -1."""


@lru_cache(maxsize=4096)
def _program(text: str) -> cel.Program:
    return cel.compile(text)


def holds(text: str, facts: cel.Context) -> bool:
    """Whether a condition holds; one that cannot be evaluated on these facts does not."""
    try:
        return _program(text).execute(facts) is True
    except (KeyError, RuntimeError, TypeError, ValueError):
        return False


def facts_of(values: Mapping[str, Any]) -> cel.Context:
    """Return values as `holds` takes them. Building it costs ten times an evaluation: make one for many conditions."""
    return cel.Context(dict(values))


def _checked(text: str, fields: Mapping[str, Mapping[str, Any]]) -> str:
    try:
        value = _program(text).execute(cel.Context(dict(fields)))
    except KeyError as error:
        # Which steps ask is the journey's to know; the names of the other maps are ours.
        if "answers[" in text or "answers." in text:
            return text
        message = f"there is no field {error}; there are {_names(fields)}"
        raise ValueError(message) from None
    except RuntimeError:
        known = ", ".join(fields)
        message = f"it names something other than {known}, or a function that CEL does not have"
        raise ValueError(message) from None
    except (TypeError, ValueError) as error:
        message = f"it is no condition in CEL: {str(error).splitlines()[0]}"
        raise ValueError(message) from None
    if not isinstance(value, bool):
        message = f"a condition is true or false, and this is {value!r}"
        raise ValueError(message)  # noqa: TRY004  pydantic reports ValueErrors
    return text


def _names(fields: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(f"{name}.{{{', '.join(inner)}}}" for name, inner in fields.items())


CelCondition = Annotated[
    str,
    AfterValidator(lambda text: _checked(text, FIELDS)),
    WithJsonSchema(
        {"type": "string", "description": "A condition in CEL", "examples": ["order.total < 50.0"]}
    ),
]
CandidateCondition = Annotated[
    str,
    AfterValidator(lambda text: _checked(text, CANDIDATE_FIELDS)),
    WithJsonSchema(
        {"type": "string", "description": "A condition in CEL", "examples": ["candidate.score > 0.05"]}
    ),
]
