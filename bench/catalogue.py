"""A made shop of 5,000 products and 5,000 customers as the recommendation API finds it on its topics, and what is asked of it."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from shared.events import (
    Candidate,
    Complements,
    ComplementsUpdated,
    CustomerProducts,
    CustomerProductsUpdated,
    Event,
    Has,
    PairCounts,
    PairCountsUpdated,
    Product,
    ProductRecorded,
    Timing,
)
from shared.topics import CATALOG, COMPLEMENTS, CUSTOMER_PRODUCTS, PAIR_COUNTS

SHOP = "bench"
PRODUCTS, CATEGORIES, BRANDS = 5000, 50, 40
CUSTOMERS, OWNED = 5000, 30
NEIGHBOURS = 200
TOP, UPGRADES = 10, 5
NOW = datetime(2026, 3, 2, tzinfo=UTC)
_TIMING = Timing(support=120, share=0.3, days=(10.0, 30.0, 60.0), mean_days=35.0)


def news(chance: random.Random) -> Iterator[tuple[str, str, Event]]:
    """Yield topic, product or customer, and event of everything that the shop's topics say."""
    for number in range(PRODUCTS):
        name = f"p-{number}"
        frame = {"id": name, "source": "/bench", "time": NOW, "shopid": SHOP}
        others = [f"p-{other}" for other in chance.sample(range(PRODUCTS), NEIGHBOURS)]
        yield CATALOG.name, name, ProductRecorded(**frame, data=_listing(name, number, chance))
        yield COMPLEMENTS.name, name, ComplementsUpdated(**frame, data=_complements(name, others))
        yield PAIR_COUNTS.name, name, PairCountsUpdated(**frame, data=_counts(name, number, others))
    for number in range(CUSTOMERS):
        name = f"c-{number}"
        frame = {"id": name, "source": "/bench", "time": NOW, "shopid": SHOP, "customerid": name}
        yield CUSTOMER_PRODUCTS.name, name, CustomerProductsUpdated(**frame, data=_has(chance))


def _listing(name: str, number: int, chance: random.Random) -> Product:
    price = Decimal(chance.randrange(100, 9900)) / 100
    return Product(
        product_id=name,
        updated_at=NOW,
        name=f"Product {number}",
        category=f"category {number % CATEGORIES}",
        brand=f"brand {number % BRANDS}",
        price=price,
        currency="USD",
        in_stock=number % 10 != 0,
        stock=number % 97,
        margin=price / 4,
        seasons=("winter", "spring") if number % 7 == 0 else (),
    )


def _complements(name: str, others: list[str]) -> Complements:
    return Complements(
        product_id=name,
        version=1,
        candidates=tuple(
            Candidate(product_id=one, score=0.3 / rank, support=300 // rank, relation="pair", gap=_TIMING)
            for rank, one in enumerate(others[:TOP], start=1)
        ),
        upgrades=tuple(
            Candidate(product_id=one, score=0.1, support=30, relation="upgrade") for one in others[-UPGRADES:]
        ),
        weights={one: 1 / (rank + 5) for rank, one in enumerate(others)},
        later={one: 1 / (rank + 5) for rank, one in enumerate(others)},
        repurchase=_TIMING,
    )


def _counts(name: str, number: int, others: list[str]) -> PairCounts:
    return PairCounts(
        product_id=name,
        orders=1000 - number // 10,
        pairs=dict.fromkeys(others, 7),
        bucket=730,
        bought=600.0 - number // 10,
        together=dict.fromkeys(others, 5.0),
        buyers=800 - number // 10,
        follows=dict.fromkeys(others, (5, 2.0)),
        exposure=900.0,
        recent={str(20_500 + day): 5 for day in range(14)},
        newly={str(20_500 + day): 2 for day in range(14)},
        repurchase=_TIMING,
    )


def _has(chance: random.Random) -> CustomerProducts:
    return CustomerProducts(
        products={
            f"p-{product}": Has(
                last_at=NOW - timedelta(days=chance.randrange(200)),
                times=chance.randint(1, 4),
                reorder_at=NOW + timedelta(days=chance.randrange(60)),
            )
            for product in chance.sample(range(PRODUCTS), OWNED)
        }
    )


def questions(chance: random.Random) -> Iterator[str]:
    """Yield path and query of request after request.

    Of twenty: eight about a product, five about a basket of three under a quarter of its price, three about what a customer
    may want next, one about what a customer needs again, one about what is dearer, one bundle, one product that nobody knows.
    """
    kinds = [_product] * 8 + [_basket] * 5 + [_customer] * 3 + [_replenish, _upsell, _bundle, _unknown]
    while True:
        yield "/v1/recommendations?" + urlencode({"shop": SHOP, "k": "4", **chance.choice(kinds)(chance)})


def _some(chance: random.Random) -> str:
    return f"p-{int(PRODUCTS * chance.random() ** 2)}"


def _product(chance: random.Random) -> dict[str, str]:
    return {"product": _some(chance)}


def _basket(chance: random.Random) -> dict[str, str]:
    return {"basket": ",".join(_some(chance) for _ in range(3)), "order_value": "150", "currency": "USD"}


def _customer(chance: random.Random) -> dict[str, str]:
    return {"customer": f"c-{chance.randrange(CUSTOMERS)}"}


def _replenish(chance: random.Random) -> dict[str, str]:
    return {**_customer(chance), "strategy": "replenish"}


def _upsell(chance: random.Random) -> dict[str, str]:
    return {**_product(chance), "strategy": "upsell"}


def _bundle(chance: random.Random) -> dict[str, str]:
    return {**_product(chance), "strategy": "bundle"}


def _unknown(chance: random.Random) -> dict[str, str]:
    return {"product": f"new-{_some(chance)}"}
