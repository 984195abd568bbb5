"""What the stream workers publish of their tables: `pair-counts` by product, `customer-products` by customer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from services.recommender import wire
from services.recommender.domain import baskets
from services.recommender.domain.reorder import reorder_at
from services.recommender.domain.timeline import MINUTES_A_DAY
from services.recommender.publisher import Publisher
from services.recommender.tables import rows_of
from shared.clock import Clock
from shared.events import Timing
from shared.ids import split_key
from shared.kafka.faust import BatchApp, Output, PartitionTable
from shared.settings import Settings
from shared.topics import BASKET_DELTAS, CUSTOMER_PRODUCTS, ORDERS, PAIR_COUNTS


@dataclass(frozen=True)
class Publishers:
    """What keeps the published topics up to date: rows of products, and what customers have."""

    rows: Publisher
    customers: Publisher


Repurchase = Callable[[str, str], Timing | None]
_DAY_SECONDS = 86_400.0


class Rows:
    """Says `pair-counts` of products' rows."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._kept = settings.recommender_pairs_kept
        self._clock = clock

    def __call__(self, table: PartitionTable, keys: Sequence[bytes]) -> list[Output]:
        """Return a record for each product key that the table has."""
        now = self._clock.business()
        until_day = now.timestamp() / _DAY_SECONDS
        outputs = []
        for key, row in rows_of(table, keys, self._kept, until_day).items():
            shop, product = split_key(key)
            outputs.append(Output(PAIR_COUNTS.name, *wire.pair_counts(shop, product, row, now.isoformat())))
        return outputs


class Customers:
    """Says `customer-products`: what customers have. `repurchase` tells when a product's buyers buy it again, if known."""

    def __init__(self, clock: Clock, repurchase: Repurchase) -> None:
        self._clock = clock
        self._repurchase = repurchase

    def __call__(self, table: PartitionTable, keys: Sequence[bytes]) -> list[Output]:
        """Return a record for each customer key; a tombstone for one that is gone."""
        now = self._clock.business().isoformat()
        found = table.get_many(keys)
        outputs = []
        for key in keys:
            raw = found.get(key)
            if raw is None:
                outputs.append(Output(CUSTOMER_PRODUCTS.name, key, None))
                continue
            shop, customer = split_key(key)
            record = baskets.load(raw)
            products = {
                product: self._has(shop, product, minutes)
                for product, minutes in baskets.purchases(record).items()
            }
            said = wire.customer_products(shop, customer, products, baskets.given_back(record), now)
            outputs.append(Output(CUSTOMER_PRODUCTS.name, *said))
        return outputs

    def _has(self, shop: str, product: str, minutes: Sequence[int]) -> dict[str, object]:
        days = [minute / MINUTES_A_DAY for minute in minutes]
        has: dict[str, object] = {"last_at": _moment(days[-1]), "times": len(days)}
        gaps = [later - sooner for sooner, later in pairwise(days)]
        point = reorder_at(days[-1], gaps, self._repurchase(shop, product))
        if point is not None:
            has["reorder_at"] = _moment(point[0])
        return has


def _moment(day: float) -> datetime:
    return datetime.fromtimestamp(round(day * MINUTES_A_DAY) * 60, UTC)


def publishers_of(
    app: BatchApp, settings: Settings, clock: Clock, busy: Callable[[], bool], repurchase: Repurchase
) -> Publishers:
    """Return what keeps both topics up to date for the partitions that this worker has."""
    seconds = settings.recommender_publish_seconds
    rows = Publisher(
        app, BASKET_DELTAS, "pairs", Rows(settings, clock), clock=clock, seconds=seconds, busy=busy
    )
    customers = Publisher(
        app, ORDERS, "baskets", Customers(clock, repurchase), clock=clock, seconds=seconds, busy=busy
    )
    return Publishers(rows, customers)
