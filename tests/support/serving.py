"""What tests of the recommendation API put on its topics, and shelves filled without Kafka."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.recommender.domain.relations import NO_RULES, Rules
from services.recommender.domain.shelf import Shelf
from shared.events import (
    Candidate,
    Complements,
    ComplementsUpdated,
    CustomerProducts,
    CustomerProductsUpdated,
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


def product(name: str, /, category: str | None = None, price: str | None = None, **said: object) -> Product:
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


def says(name: str, *candidates: Candidate, **said: object) -> Complements:
    """Say what goes with a product, and what else is named."""
    return Complements.model_validate({"product_id": name, "version": 1, "candidates": candidates} | said)


def has(*products: str, days_ago: Mapping[str, float] = {}, **said: object) -> CustomerProducts:
    """Say what a customer has: all bought at NOW, or some days before."""
    owned = {
        name: {"last_at": NOW - timedelta(days=days_ago.get(name, 0)), "times": 1}
        for name in (*products, *days_ago)
    }
    return CustomerProducts.model_validate({"products": owned} | said)


def shelf(
    complements: Mapping[str, tuple[Candidate, ...] | Complements],
    catalogue: tuple[Product, ...] = (),
    rules: Rules = NO_RULES,
    /,
    **sold: int | PairCounts,
) -> Shelf:
    """Fill a shelf; `sold` is baskets, or all counts, by product."""
    made = Shelf(rules)
    for name, said in complements.items():
        made.put_complements(name, said if isinstance(said, Complements) else says(name, *said))
    for one in catalogue:
        made.put_listing(one.product_id, one)
    for name, counts in sold.items():
        made.put_counts(name, baskets(name, counts) if isinstance(counts, int) else counts)
    return made


def baskets(name: str, orders: int, **said: object) -> PairCounts:
    """Say in how many baskets a product was, and what else is named."""
    return PairCounts.model_validate({"product_id": name, "orders": orders, "pairs": {}} | said)


def complements_event(name: str, *candidates: Candidate, version: int = 1) -> ComplementsUpdated:
    """Say what goes with a product."""
    data = Complements(product_id=name, version=version, candidates=candidates)
    return ComplementsUpdated(id=f"{name}/{version}", source="/tests", time=NOW, shopid=SHOP, data=data)


def listed(said: Product) -> ProductRecorded:
    """Say that the catalogue has a product."""
    return ProductRecorded(id=said.product_id, source="/tests", time=NOW, shopid=SHOP, data=said)


def known(customer: str, said: CustomerProducts) -> CustomerProductsUpdated:
    """Say what a customer has."""
    return CustomerProductsUpdated(
        id=customer, source="/tests", time=NOW, shopid=SHOP, subject=customer, data=said
    )


def counted(name: str, orders: int, **pairs: int) -> PairCountsUpdated:
    """Say in how many baskets a product was, and with what."""
    data = PairCounts(product_id=name, orders=orders, pairs=pairs)
    return PairCountsUpdated(id=name, source="/tests", time=NOW, shopid=SHOP, data=data)


async def publish(
    settings: Settings,
    topic: str,
    *events: ComplementsUpdated | ProductRecorded | PairCountsUpdated | CustomerProductsUpdated,
) -> None:
    """Put records on a topic by product, or customer, and wait until the broker has them."""
    await _send(settings, topic, {_subject(one): one.encode() for one in events})


def _subject(
    event: ComplementsUpdated | ProductRecorded | PairCountsUpdated | CustomerProductsUpdated,
) -> str:
    return event.subject or "" if isinstance(event, CustomerProductsUpdated) else event.data.product_id


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
