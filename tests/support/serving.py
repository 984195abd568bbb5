"""What tests of the recommendation API put on its topics, and shelves filled without Kafka."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from services.recommender.domain.shelf import Shelf
from shared.events import (
    Candidate,
    Complements,
    ComplementsUpdated,
    PairCounts,
    PairCountsUpdated,
    Product,
    ProductRecorded,
)
from shared.ids import partition_key
from shared.kafka.producer import make_producer
from shared.settings import Settings

SHOP = "fitness"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def candidate(product: str, support: int, score: float) -> Candidate:
    """Give a candidate from a pair, or from popularity where no basket supports it."""
    return Candidate(
        product_id=product,
        score=score,
        support=support,
        relation="pair" if support else "popular",
        reliable=support >= 100,
    )


def product(name: str, category: str | None = None, price: str | None = None, **said: object) -> Product:
    """Give a product in dollars."""
    fields = {
        "product_id": name,
        "updated_at": NOW,
        "name": name.title(),
        "category": category,
        "price": Decimal(price) if price else None,
        "currency": "USD" if price else None,
    }
    return Product.model_validate(fields | said)


def shelf(
    complements: Mapping[str, tuple[Candidate, ...]], catalogue: tuple[Product, ...] = (), **sold: int
) -> Shelf:
    """Fill a shelf; `sold` is baskets by product."""
    made = Shelf()
    for name, candidates in complements.items():
        made.put_complements(name, candidates)
    for one in catalogue:
        made.put_listing(one.product_id, one)
    for name, baskets in sold.items():
        made.put_sold(name, baskets)
    return made


def complements_event(name: str, *candidates: Candidate, version: int = 1) -> ComplementsUpdated:
    """Say what goes with a product."""
    data = Complements(product_id=name, version=version, candidates=candidates)
    return ComplementsUpdated(id=f"{name}/{version}", source="/tests", time=NOW, shopid=SHOP, data=data)


def listed(said: Product) -> ProductRecorded:
    """Say that the catalogue has a product."""
    return ProductRecorded(id=said.product_id, source="/tests", time=NOW, shopid=SHOP, data=said)


def counted(name: str, orders: int, **pairs: int) -> PairCountsUpdated:
    """Say in how many baskets a product was, and with what."""
    data = PairCounts(product_id=name, orders=orders, pairs=pairs)
    return PairCountsUpdated(id=name, source="/tests", time=NOW, shopid=SHOP, data=data)


async def publish(
    settings: Settings, topic: str, *events: ComplementsUpdated | ProductRecorded | PairCountsUpdated
) -> None:
    """Put records on a topic by product and wait until the broker has them."""
    await _send(settings, topic, {one.data.product_id: one.encode() for one in events})


async def take_away(settings: Settings, topic: str, *names: str) -> None:
    """Put tombstones on a topic."""
    await _send(settings, topic, dict.fromkeys(names))


async def _send(settings: Settings, topic: str, values: Mapping[str, bytes | None]) -> None:
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for name, value in values.items():
            await producer.send_and_wait(topic, value, key=partition_key(SHOP, name))
    finally:
        await producer.stop()
