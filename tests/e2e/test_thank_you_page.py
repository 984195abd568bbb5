"""A storefront's thank-you page with the script tag, in a real browser: one offer, one click, and else nothing."""

import html
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.scheduler.domain import Journey
from services.scheduler.views import Views
from shared import events, ids
from shared.kafka.records import Record
from shared.topics import CATALOG, ENGAGEMENT
from tests.support.browser import Tab, browser
from tests.support.paging import SHOP, Stand, asked, page_journey, page_step, stand
from tests.support.samples import START
from tests.support.scheduling import envelope, shelf
from tests.support.waiting import eventually

PK = "pk_skincare_1"
CARD = "document.querySelector('.orderwake-offer')"
ROOT = f"{CARD}.shadowRoot"
BUTTON = f"{ROOT}.querySelector('button')"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63646068f85f0f0002870180eb47ba92"
    "0000000049454e44ae426082"
)


@dataclass
class Storefront:
    """A shop's page under a strict policy. `extra` are more attributes of the script tag."""

    tab: Tab
    page: Stand
    address: str = ""
    api: str = ""
    extra: str = ""

    async def show(self, **changes: Any) -> None:  # noqa: ANN401  of the order
        """Open the page for an order; returns when the script has asked and shown what there is."""
        order = json.dumps(asked(**changes))
        tag = (
            f'<script src="{self.api}/v1/thank-you.js" data-key="{PK}" '
            f'data-order="{html.escape(order)}" {self.extra} async></script>'
        )
        self.markup = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Thank you</title>'
            f"<body><h1>Thank you for your order</h1>{tag}<footer>The shop</footer>"
        )
        await self.tab.open(f"{self.address}/thank-you")

    async def answer(self, request: web.Request) -> web.Response:
        """Serve the page, and the pictures of products."""
        if request.path.endswith(".png"):
            return web.Response(body=PIXEL, content_type="image/png")
        if request.path != "/thank-you":
            return web.Response(status=204)
        policy = f"default-src 'none'; script-src {self.api}; connect-src {self.api}; img-src {self.address}"
        headers = {"Content-Security-Policy": policy}
        return web.Response(text=self.markup, content_type="text/html", headers=headers)


def sell(views: Views, product_id: str, **fields: Any) -> None:  # noqa: ANN401  of a product
    """Put a product on the shelf."""
    data = events.Product.model_validate(
        {
            "product_id": product_id,
            "updated_at": START,
            "category": "skin",
            "price": Decimal(9),
            "currency": "USD",
        }
        | fields
    )
    record = Record(CATALOG.name, 0, 0, ids.partition_key(SHOP, product_id), b"")
    views.take(record, events.ProductRecorded(**envelope(SHOP, None, START), data=data))


@asynccontextmanager
async def storefront(
    database_url: str, journey: Journey, *products: dict[str, Any]
) -> AsyncIterator[Storefront]:
    """Yield a storefront with products that go with the order."""
    views = shelf(SHOP, goes_with=[each["product_id"] for each in products])
    settings: dict[str, Any] = {"thank_you_keys": f"{SHOP}:{PK}", "thank_you_origins": "*"}
    async with (
        browser() as tab,
        stand(database_url, journey, views=views, **settings) as page,
        page.client() as client,
    ):
        shop = Storefront(tab, page, api=str(client.make_url("")).rstrip("/"))
        app = web.Application()
        app.router.add_get("/{path:.*}", shop.answer)
        async with TestServer(app) as server:
            shop.address = str(server.make_url("")).rstrip("/")
            for each in products:
                pictured = {"image_url": f"{shop.address}/{each['product_id']}.png"}
                sell(views, **pictured | each)
            await tab.resize(800)
            yield shop


TONER = {"product_id": "toner", "name": "Rose Water Toner", "url": "https://shop.example/toner"}
SERUM = {
    "product_id": "serum",
    "name": "Vitamin C Serum",
    "url": "https://shop.example/serum",
    "price": "9.50",
}
TWO = page_journey(SHOP, page_step(offer={**page_step()["offer"], "count": 2}))


@pytest.mark.parametrize("width", [375, 800])
@pytest.mark.parametrize("dark", [False, True])
async def test_the_offer_is_shown_and_one_click_accepts_it(
    database_url: str, width: int, *, dark: bool
) -> None:
    async with storefront(database_url, TWO, TONER, SERUM) as shop:
        await shop.tab.resize(width, dark=dark)
        await shop.show()
        await shop.tab.until(f"{CARD} !== null")
        text = await shop.tab.evaluate(f"{ROOT}.textContent")
        for said in ("Complete your routine", "Rose Water Toner", "$9.50", "10% off", "PAGE10", "Add it"):
            assert said in text
        assert await shop.tab.evaluate(f"{ROOT}.querySelectorAll('img').length") == 2
        assert await shop.tab.evaluate("document.scrollingElement.scrollWidth") <= width
        await shop.tab.click(BUTTON)
        await shop.tab.until(f"{ROOT}.querySelector('[role=status]').textContent === 'Accepted. Thank you!'")
        assert await shop.tab.evaluate(BUTTON) is None
        assert [each["kind"] for each in await shop.page.written(ENGAGEMENT)] == ["offer_accepted"]
        await shop.show()
        await shop.tab.until(f"{CARD} !== null")
        assert await shop.tab.evaluate(f"{ROOT}.querySelector('[role=status]').textContent")
        assert shop.tab.console == []


async def test_it_can_be_reached_and_pressed_with_the_keyboard(database_url: str) -> None:
    async with storefront(database_url, TWO, TONER) as shop:
        await shop.show()
        await shop.tab.until(f"{CARD} !== null")
        for _ in range(2):
            await shop.tab.press("Tab")
        assert await shop.tab.evaluate(f"{ROOT}.activeElement === {BUTTON}")
        await shop.tab.press("Enter")
        await shop.tab.until(f"{ROOT}.activeElement === {ROOT}.querySelector('[role=status]')")


async def test_screen_readers_find_a_region_by_its_heading_and_a_button_by_its_name(
    database_url: str,
) -> None:
    async with storefront(database_url, TWO, TONER) as shop:
        await shop.show()
        await shop.tab.until(f"{CARD} !== null")
        tree = await shop.tab.call("Accessibility.getFullAXTree")
        found = {
            (node["role"]["value"], node.get("name", {}).get("value"))
            for node in tree["nodes"]
            if not node.get("ignored")
        }
        assert {
            ("region", "Complete your routine"),
            ("heading", "Complete your routine"),
            ("link", "Rose Water Toner"),
            ("button", "Add it"),
        } <= found


async def test_what_a_catalogue_says_is_text_and_never_a_script(database_url: str) -> None:
    evil = {
        "product_id": "toner",
        "name": "<img src=x onerror=document.title='taken'>",
        "url": "javascript:document.title='taken'",
        "image_url": "javascript:document.title='taken'",
    }
    async with storefront(database_url, TWO, evil) as shop:
        await shop.show()
        await shop.tab.until(f"{CARD} !== null")
        assert await shop.tab.evaluate(f"{ROOT}.querySelector('li').textContent.includes('<img src=x')")
        assert await shop.tab.evaluate(f"{ROOT}.querySelectorAll('a, img').length") == 0
        assert await shop.tab.evaluate("document.title") == "Thank you"


async def test_the_shop_chooses_the_place_and_the_words(database_url: str) -> None:
    async with storefront(database_url, TWO, TONER) as shop:
        shop.extra = 'data-target="footer" data-accepted="It is in your parcel."'
        await shop.show()
        await shop.tab.until("document.querySelector('footer .orderwake-offer') !== null")
        await shop.tab.click(BUTTON)
        await shop.tab.until(f"{ROOT}.textContent.includes('It is in your parcel.')")


async def test_nothing_is_shown_to_people_held_out_and_nothing_is_logged(database_url: str) -> None:
    async with storefront(database_url, page_journey(holdout={"share": 1}), TONER) as shop:
        await shop.show()
        await eventually(shop.page.state, what="the decision")
        assert await shop.tab.evaluate(f"{CARD} === null")
        assert shop.tab.console == []


async def test_a_page_that_cannot_ask_shows_nothing_and_throws_nothing(database_url: str) -> None:
    async with storefront(database_url, TWO, TONER) as shop:
        await shop.show(order_id="")
        await eventually(lambda: "422" in " ".join(shop.tab.console), what="the refusal")
        assert await shop.tab.evaluate(f"{CARD} === null")
        assert not [line for line in shop.tab.console if "exception" in line.lower()]


async def test_a_click_that_is_lost_may_be_made_again(database_url: str) -> None:
    async with storefront(database_url, TWO, TONER) as shop:
        await shop.show()
        await shop.tab.until(f"{CARD} !== null")
        await shop.tab.call("Network.enable")
        offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await shop.tab.call("Network.emulateNetworkConditions", offline=True, **offline)
        await shop.tab.click(BUTTON)
        await shop.tab.until(f"{ROOT}.textContent.includes('Please try again')")
        await shop.tab.call("Network.emulateNetworkConditions", offline=False, **offline)
        await shop.tab.click(BUTTON)
        await shop.tab.until(f"{ROOT}.textContent.includes('Accepted. Thank you!')")
