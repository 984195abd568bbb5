"""Composition root of the thank-you page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2

from services.scheduler.app import SERVICE
from services.scheduler.deciding import Decider
from services.scheduler.domain import Published
from services.scheduler.page.accept import Acceptances
from services.scheduler.page.api import Api
from services.scheduler.page.delivery import Delivery
from services.scheduler.page.doors import doors_for
from services.scheduler.page.offering import Offers, Partitioner
from services.scheduler.page.tokens import Tokens
from services.scheduler.page.webhook import addresses_of
from services.scheduler.views import TOPICS, Views
from shared.clock import Clock
from shared.db import create_pool, end_transaction
from shared.ids import partition_key
from shared.kafka.follower import Follower
from shared.law import ContactHours
from shared.service import Running
from shared.settings import Settings
from shared.topics import ORDERS

log = structlog.get_logger()


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Put the page together; on exit its connections are closed.

    Raises SettingsError on keys or webhooks that cannot be read, or keys that are missing where they are needed.
    """
    doors = doors_for(settings)
    if unproven := doors.unproven:
        log.warning("pages_unproven", shops=unproven, fix="give them keys in ORDERWAKE_THANK_YOU_SECRET_KEYS")
    addresses = addresses_of(settings.thank_you_webhooks.get_secret_value())
    origins = frozenset(filter(None, map(str.strip, settings.thank_you_origins.split(","))))
    tokens = Tokens(settings.link_secret.get_secret_value())
    salt = settings.guest_salt.get_secret_value().encode()
    partition_of = partitioner(await _partitions(settings))
    views = Views()
    follower = Follower(settings, TOPICS, views.take)
    pool = await create_pool(settings, SERVICE, reset=end_transaction)
    try:
        decider = Decider(Published(), views, ContactHours.load())
        offers = Offers(pool, decider, partition_of, settings, clock, lambda: follower.caught_up)
        delivery = Delivery(pool, addresses, clock)
        acceptances = Acceptances(pool, tokens, delivery, clock)
        api = Api(offers, acceptances, doors, tokens, origins, salt, clock)
        yield Running(
            loops=(follower.run, offers.run, delivery.run),
            ready=lambda: {"offers": offers.ready},
            routes=api.routes(),
        )
    finally:
        await pool.close()


def partitioner(count: int) -> Partitioner:
    """Return where every producer of ours puts a customer's events, among `count` partitions."""
    return lambda shop, customer: (int(murmur2(partition_key(shop, customer))) & 0x7FFFFFFF) % count


async def _partitions(settings: Settings) -> int:
    """Return how many partitions the broker has for customers. Raises a KafkaError while it cannot say."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    try:
        await admin.start()
        (found,) = await admin.describe_topics([ORDERS.name])
    finally:
        await admin.close()
    if not found["partitions"]:
        raise UnknownTopicOrPartitionError(ORDERS.name)
    return len(found["partitions"])
