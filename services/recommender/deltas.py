"""Reading `basket-deltas` without building models: their data stays as parsed JSON.

A record sums up thousands of orders, and nobody but the first stage writes any: validating each number would cost more than
counting it. What does not even look like a delta goes the way of everything else, through the guard.
"""

from collections.abc import Awaitable, Callable, Sequence

import orjson

from shared import metrics
from shared.events import BasketDeltaEmitted, Event
from shared.kafka.faust import BatchApp
from shared.kafka.guard import Guard
from shared.kafka.records import Admitted, Record
from shared.topics import BASKET_DELTAS

_TYPE = BasketDeltaEmitted.type_name()


def admission(app: BatchApp) -> Callable[[Sequence[Record]], Awaitable[list[Admitted]]]:
    """Return what admits records of `basket-deltas`; an event's `data` is then a dict in the shape of BasketDelta."""
    driver = app.driver
    settings = driver.settings
    guard = Guard(driver.service, driver.producer, settings.dead_letter_limit, settings.dead_letter_window)

    async def admit(records: Sequence[Record]) -> list[Admitted]:
        parsed = [(record, parse(record.value)) for record in records]
        bad = [record for record, event in parsed if event is None]
        if bad:
            await guard.admit(bad)
        good = [Admitted(record, event) for record, event in parsed if event is not None]
        metrics.EVENTS_CONSUMED.labels(BASKET_DELTAS.name).inc(len(good))
        return good

    return admit


def parse(value: bytes | None) -> Event | None:
    """Return the delta in a record's value, its data not validated; None if it is something else."""
    try:
        found = orjson.loads(value or b"")
        if found["type"] != _TYPE or not {"origin", "counts"} <= found["data"].keys():
            return None
        return BasketDeltaEmitted.model_construct(**found)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
