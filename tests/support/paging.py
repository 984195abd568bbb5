"""The thank-you page's parts in the test's own process, with business time that the test moves."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.scheduler.deciding import Decider
from services.scheduler.domain import CustomerState, Journey, Programme, Published
from services.scheduler.intake import TOPICS, Intake
from services.scheduler.page.accept import Acceptances
from services.scheduler.page.api import Api
from services.scheduler.page.app import partitioner
from services.scheduler.page.delivery import Delivery
from services.scheduler.page.doors import doors_for
from services.scheduler.page.offering import Offers
from services.scheduler.page.tokens import Tokens
from services.scheduler.page.webhook import addresses_of
from services.scheduler.publish import Publisher
from services.scheduler.store import unpack
from services.scheduler.views import Views
from shared.db import create_pool, end_transaction, load_queries, migrate
from shared.events import Event
from shared.law import ContactHours
from shared.settings import Settings
from shared.topics import Topic
from tests.support.scheduling import MIGRATIONS, PARTITIONS, MovedClock, admitted, shelf

SHOP = "skincare"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
OLD_SECRET = "whsec_NzY1NDMyMTBmZWRjYmE5ODc2NTQzMjEw"
queries = load_queries(Path(__file__).with_name("scheduling.sql"))
Client = TestClient[web.Request, web.Application]


def page_step(name: str = "add-on", **changes: object) -> dict[str, Any]:
    """Return the text of an offer on the page: a product that goes with the order, 10 % off for two days."""
    text: dict[str, Any] = {
        "id": name,
        "channel": "page",
        "after": "order",
        "delay": "0m",
        "page": {"title": "Complete your routine", "text": "Goes with it.", "button": "Add it"},
        "offer": {
            "from": ["complements"],
            "count": 1,
            "incentive": {"kind": "percent", "value": "10", "code": "PAGE10", "valid_for": "48h"},
        },
    }
    return text | changes


def page_journey(shop: str = SHOP, *steps: Mapping[str, Any], **changes: object) -> Journey:
    """Return a journey of these page steps (by default `page_step()`), with nobody held out."""
    text = {
        "id": f"{shop}-page",
        "shop": shop,
        "shop_name": "A Shop",
        "time_zone": "UTC",
        "steps": list(steps) or [page_step()],
        "holdout": {"share": 0},
    }
    return Journey.model_validate(text | changes)


def asked(order_id: str = "o-1", **changes: object) -> dict[str, Any]:
    """Return what a page says of the order that `samples.order` is the event of."""
    body: dict[str, Any] = {
        "shop": SHOP,
        "customer_id": "c-1",
        "order_id": order_id,
        "currency": "USD",
        "total": "40.00",
        "lines": [{"product_id": "cleanser", "quantity": 2, "unit_price": "20.00"}],
    }
    return body | changes


@dataclass
class Stand:
    """A page without Kafka: events go in by hand, decisions are read from the outbox."""

    pool: asyncpg.Pool
    settings: Settings
    published: Published
    views: Views
    clock: MovedClock = field(default_factory=MovedClock)

    async def start(self) -> "Stand":
        """Have every partition fresh, and the journeys in force."""
        await self.fresh()
        publisher = Publisher(self.pool, self.published, self.clock)
        while not publisher.published.is_set():
            await publisher.run_once()
        return self

    async def fresh(self, *, ago: timedelta = timedelta()) -> None:
        """Say that every subscribed topic was read to its end, so long ago."""
        seen_at = self.clock.machine() - ago
        rows = [(topic.name, partition, seen_at) for topic in TOPICS for partition in range(PARTITIONS)]
        await self.pool.executemany(queries.set_position, rows)

    async def feed(self, *news: Event) -> None:
        """Let the intake have a batch."""
        async with self.pool.acquire() as connection, connection.transaction():
            await Intake(self.clock).handle(connection, [admitted(each) for each in news])

    async def offers(self) -> Offers:
        """Return offers as a further process would make them."""
        decider = Decider(Published(), self.views, ContactHours.load())
        made = Offers(self.pool, decider, partitioner(PARTITIONS), self.settings, self.clock)
        await made.look()
        return made

    def delivery(self) -> Delivery:
        """Return what delivers webhooks."""
        addresses = addresses_of(self.settings.thank_you_webhooks.get_secret_value())
        return Delivery(self.pool, addresses, self.clock)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Serve the page, and yield a client of it."""
        tokens = Tokens(self.settings.link_secret.get_secret_value())
        origins = frozenset(filter(None, self.settings.thank_you_origins.split(",")))
        acceptances = Acceptances(self.pool, tokens, self.delivery(), self.clock)
        salt = self.settings.guest_salt.get_secret_value().encode()
        offers = await self.offers()
        api = Api(offers, acceptances, doors_for(self.settings), tokens, origins, salt, self.clock)
        app = web.Application()
        app.add_routes(api.routes())
        async with TestClient(TestServer(app)) as client:
            yield client

    async def written(self, topic: Topic) -> list[dict[str, Any]]:
        """Return the data of the events that wait in the outbox for a topic, in order."""
        rows = await self.pool.fetch(queries.outbox_of, topic.name)
        return [orjson.loads(row["value"])["data"] for row in rows]

    async def state(self, customer: str = "c-1") -> CustomerState | None:
        """Return a customer's stored facts, if anything of them is stored."""
        stored = await self.pool.fetchval(queries.state, SHOP, customer)
        return CustomerState.load(unpack(stored)) if stored else None


@asynccontextmanager
async def stand(
    database_url: str,
    *journeys: Journey,
    views: Views | None = None,
    programme: Programme | None = None,
    **settings: Any,  # noqa: ANN401  any setting
) -> AsyncIterator[Stand]:
    """Yield a page on an empty database."""
    await migrate(database_url, "scheduler", MIGRATIONS)
    given = {
        "database_url": database_url,
        "stale_after_seconds": 60,
        "thank_you_deadline_seconds": 5,
        **settings,
    }
    made = Settings.model_validate(given)
    pool = await create_pool(made, "scheduler", reset=end_transaction)
    published = Published.of(journeys or [page_journey()], [programme] if programme else [])
    yield await Stand(pool, made, published, views or shelf(SHOP)).start()
    await pool.close()


async def post(client: Client, path: str, body: object, **more: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401  of the client
    """Post JSON; returns status and answer."""
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    async with client.post(path, data=data, **more) as answer:
        return answer.status, json.loads(await answer.read() or b"{}")


async def ask(client: Client, body: object = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401  of the client
    """Ask for an offer, and have an answer."""
    status, answer = await post(client, "/v1/offers/thank-you", asked() if body is None else body, **more)
    assert status == 200, answer
    return answer


def reasons(answers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the reasons of refusals."""
    return [each["reason"] for each in answers]
