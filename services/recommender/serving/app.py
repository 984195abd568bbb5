"""Composition root of the recommendation API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.recommender.serving.api import Api
from services.recommender.serving.keys import doors_for
from services.recommender.serving.shelves import Shelves
from shared.clock import Clock
from shared.service import Running
from shared.settings import Settings


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Put the API together.

    Raises SettingsError on keys that cannot be read or are missing where they are needed, RelationsError on a bad file.
    """
    doors = doors_for(settings)
    shelves = Shelves(settings)
    origins = frozenset(filter(None, map(str.strip, settings.recommendation_origins.split(","))))
    api = Api(shelves, doors, origins, settings, clock)
    yield Running(
        loops=(shelves.follower.run, shelves.refresh),
        ready=lambda: {"caught_up": shelves.ready()},
        routes=api.routes(),
    )
