"""How long `orderwake journeys plan` takes: the open steps of everyone who waits, derived by the old journeys and by the new."""

from bench import scheduler_people as people
from bench.scheduler_cases import Found, Terms, database
from bench.scheduler_stand import READY_AT, lives, stand
from bench.service import CLOCK, Bar
from services.scheduler.domain import Journey, Published
from services.scheduler.versions import plan as planning
from services.scheduler.versions.plan import Question

MILLION = 1_000_000
WORKERS = 2


async def plan(dsn: str, terms: Terms) -> Found:
    """Plan an hour's delay for a step that everyone waits for; the figure is for a million people."""
    address, _ = await database(dsn, "plan")
    async with stand(address) as ours:
        await ours.publish()
        await ours.fill(*lives(people.SHOP, range(terms.plan_people), "people who wait", "copied"))
        await ours.settle()
        question = Question(ours.published, _later(ours.published), (people.SHOP,), READY_AT)
        bar = Bar("planned", terms.plan_people)
        async with ours.pool.acquire() as connection:
            began = CLOCK.monotonic()
            found = await planning.make(connection, ours.settings, question, WORKERS, bar.show)
            seconds = CLOCK.monotonic() - began
    if found.total("move") < terms.plan_people:
        message = f"of {terms.plan_people} people only {found.total('move')} would have a step moved"
        raise RuntimeError(message)
    return {
        "planned_people": float(terms.plan_people),
        "plan_seconds": round(seconds, 1),
        "plan_seconds_per_million": round(seconds * MILLION / terms.plan_people, 1),
    }


def _later(published: Published) -> Published:
    (edition,) = published.editions
    text = edition.journey.model_dump(mode="json", exclude_defaults=True)
    for step in text["steps"]:
        if step["id"] == "expires-tonight":
            step["delay"] = "5h"
    return Published.of([Journey.model_validate(text)])
