"""The followed topics, read once to their end, for a command that needs what running schedulers have in memory."""

import asyncio
from collections.abc import Sequence

from services.scheduler.views import TOPICS, Views
from shared.errors import InfrastructureError
from shared.kafka.follower import Follower
from shared.settings import Settings
from shared.topics import Topic

_SECONDS = 60.0


async def read_views(settings: Settings, topics: Sequence[Topic] = TOPICS) -> Views:
    """Read complements, catalogue and switches as they are now. Raises InfrastructureError if that takes over a minute."""
    views, stopping = Views(), asyncio.Event()
    follower = Follower(settings, topics, views.take)
    running = asyncio.create_task(follower.run(stopping))
    try:
        await asyncio.wait_for(follower.wait_caught_up(), _SECONDS)
    except TimeoutError:
        message = (
            f"the topics could not be read within {_SECONDS:g} s from Kafka at {settings.kafka_bootstrap_servers}; "
            "set KAFKA_BOOTSTRAP_SERVERS, and create the topics with `orderwake topics apply`"
        )
        raise InfrastructureError(message) from None
    finally:
        stopping.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return views
