"""Made-up messages to try templates on: one as it should be, and the hard cases. Nobody in them exists."""

from collections.abc import Iterator, Mapping
from typing import Any

PICTURES = "https://images.example.com/"
LINK = "https://go.example.com/k3Fq9"
LONG = "Extraordinarily Gentle Overnight Restoring and Illuminating Botanical Ceremony, Refillable Edition No. 12"
MARKUP = '<img src=x onerror=alert(1)> & "Söhne"'

_SHOPS: dict[str, tuple[str, str, list[tuple[str, str, str]]]] = {
    "skincare": (
        "Dewpoint",
        "Gentle Oat Cleanser",
        [
            ("Rose Water Toner", "24.00", "It restores the balance after cleansing."),
            ("Barrier Serum", "38.00", "Ceramides for the hours in which skin mends itself."),
            ("Daily Mineral SPF 50", "29.00", "The last step of every morning."),
        ],
    ),
    "fitness": (
        "Ironleaf",
        "Competition Kettlebell 16 kg",
        [
            ("Training Mat, 10 mm", "49.00", "It saves floor and wrists."),
            ("Kettlebell Guide", "15.00", "Twelve weeks, three sessions each."),
        ],
    ),
    "home-goods": (
        "Hearth & Linen",
        "Stoneware Table Lamp",
        [
            ("Linen Shade, Natural", "62.00", "From the same workshop."),
            ("Beeswax Candles, Set of 6", "28.00", "They burn for eight hours each."),
        ],
    ),
    "grocer": (
        "Greenbasket",
        "Wholegrain Pasta",
        [
            ("Tomato Passata", "2.49", "Customers who bought your Wholegrain Pasta often take it along."),
            ("Pecorino, 200 g", "6.90", "A natural companion to your Wholegrain Pasta."),
        ],
    ),
}
_ANY = (
    "Northstar Supply",
    "Espresso Grinder",
    [
        ("Tamping Station", "34.00", "Customers who bought your Espresso Grinder often take it along."),
        ("Cleaning Tablets", "12.00", "You may be running low."),
    ],
)


def full(shop: str) -> dict[str, Any]:
    """All that a template of a shop may see, with nothing missing."""
    name, bought, offered = _SHOPS.get(shop, _ANY)
    products = [_product(number, *product) for number, product in enumerate(offered, 1)]
    return {
        "first_name": "Ana",
        "shop_name": name,
        "order_id": "o-1001",
        "purchase": [bought],
        "products": products,
        "incentive": {
            "kind": "percent",
            "value": "15",
            "currency": None,
            "code": "WELCOME15",
            "text": "15% off",
            "expires_text": "Thursday 5 March, 11:59 pm",
            "expires_at": "2026-03-06T05:00:00+00:00",
        },
        "add_more": "$12.00",
        "add_more_amount": "12.00",
        "add_more_currency": "USD",
        "early_access_until": "Thursday 5 March, 11:59 pm",
        "answers": ["happy", "unhappy"],
        "guide": {"title": "Your first week", "url": f"https://{shop}.example.com/guides/first-week"},
        "time_zone": "America/New_York",
        **ours(),
    }


def ours() -> dict[str, Any]:
    """What the dispatcher itself adds."""
    return {
        "answer_links": {answer: f"https://offers.example.com/a/{answer}" for answer in ("happy", "unhappy")},
        "unsubscribe_url": "https://offers.example.com/u/sample-token",
        "postal_address": "Sample Street 1, Springfield, IL 62701, USA",
        "link": LINK,
    }


def cases(shop: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The full message and each hard case, by what is hard about it."""
    view = full(shop)
    products, incentive = view["products"], view["incentive"]
    yield "full", view
    yield "no first name", {**view, "first_name": None}
    yield "no purchase", {**view, "purchase": []}
    yield "no products", {**view, "products": []}
    yield "no incentive", {**view, "incentive": None, "add_more": None, "add_more_amount": None}
    yield "no questions and no guide", {**view, "answers": [], "answer_links": {}, "guide": None}
    bare = dict.fromkeys(("price", "currency", "url", "image_url", "why"))
    yield "bare products", {**view, "products": [{**product, **bare} for product in products]}
    yield (
        "bare incentive",
        {**view, "incentive": {**incentive, "code": None, "expires_text": None, "expires_at": None}},
    )
    yield "six products", {**view, "products": (products * 6)[:6]}
    yield "long names", _named(view, LONG)
    yield "HTML in names", _named(view, MARKUP)
    yield "free shipping", {**view, "incentive": {**incentive, "kind": "free_shipping", "value": None}}
    yield (
        "early access",
        {**view, "incentive": {**incentive, "kind": "early_access", "value": None, "code": None}},
    )
    added = ("add_more_amount", "add_more_currency", "time_zone", "link")
    yield "from before the figures", {key: value for key, value in view.items() if key not in added}


def _product(number: int, name: str, price: str, why: str) -> dict[str, Any]:
    return {
        "product_id": f"sample-{number}",
        "name": name,
        "price": price,
        "currency": "USD",
        "url": f"https://shop.example.com/p/{number}",
        "image_url": f"{PICTURES}{number}.png" if number < 3 else None,  # noqa: PLR2004  the last is without
        "why": why,
        "relation": None,
    }


def _named(view: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        **view,
        "first_name": name,
        "shop_name": name,
        "purchase": [name],
        "products": [{**product, "name": name, "why": name} for product in view["products"]],
        "incentive": {**view["incentive"], "code": name[:24]},
    }
