"""A customer of ten thousand orders beside an ordinary one: one order taken in, and its one step decided, as transactions."""

from datetime import timedelta
from functools import reduce
from itertools import islice
from statistics import median

from bench import scheduler_people as people
from bench.scheduler_cases import Found, Terms, database
from bench.scheduler_stand import READY_AT, Stand, StandingClock, calm, lives, stand, waiting_of
from bench.service import CLOCK, Bar
from services.scheduler.domain import CustomerState, apply
from services.scheduler.domain.folding import fold
from services.scheduler.intake import KEPT
from shared.ids import partition_key
from shared.kafka.records import Admitted, Record
from shared.topics import ORDERS

BIG, ORDINARY = 0, 1
ORDERS_OF_THE_BIG = 10_000
TIMES = 40
_OLDEST_HOURS = 8000


async def whale(dsn: str, terms: Terms) -> Found:
    """Medians over forty tries each, in turn."""
    del terms
    address, _ = await database(dsn, "whale")
    async with stand(address, clock=StandingClock(READY_AT)) as ours:
        await ours.publish()
        await _fill(ours)
        calm()
        took: dict[tuple[str, int], list[float]] = {}
        for time in range(TIMES):
            for number in (BIG, ORDINARY):
                took.setdefault(("event", number), []).append(await _event(ours, number, time))
                took.setdefault(("step", number), []).append(await _step(ours))
        found = {key: median(times) for key, times in took.items()}
    return {
        "event_ms": round(found["event", ORDINARY] * 1000, 2),
        "event_whale_times": round(found["event", BIG] / found["event", ORDINARY], 2),
        "step_ms": round(found["step", ORDINARY] * 1000, 2),
        "step_whale_times": round(found["step", BIG] / found["step", ORDINARY], 2),
    }


async def _fill(ours: Stand) -> None:
    state = _big(ours)
    rows, steps = lives(people.SHOP, [ORDINARY], "the ordinary customer")
    rows.append((state.shop, state.customer_id, BIG, state.dump()))
    await ours.fill(rows, [*steps, *waiting_of(state, BIG, ours.published)])
    await ours.settle()
    poller = ours.poller()
    while await poller.run_once(READY_AT):
        pass
    await ours.settle()


def _big(ours: Stand) -> CustomerState:
    """An ordinary customer who also bought every hour or so for a year, as intake would have kept them, batch by batch."""
    state = people.person(BIG, people.SHOP, ours.published, ours.decider.views, ours.decider.law)
    at = READY_AT - timedelta(hours=_OLDEST_HOURS)
    every = timedelta(hours=_OLDEST_HOURS - 24) / ORDERS_OF_THE_BIG
    orders = iter(
        people.order(BIG, people.SHOP, 100 + number, at + number * every)
        for number in range(ORDERS_OF_THE_BIG)
    )
    bar = Bar("orders of the big customer", ORDERS_OF_THE_BIG)
    done = 0
    while batch := list(islice(orders, 200)):
        state = fold(reduce(apply, batch, state), READY_AT - KEPT)
        done += len(batch)
        bar.show(done)
    return state


async def _event(ours: Stand, number: int, time: int) -> float:
    news = people.order(number, people.SHOP, 50_000 + time, READY_AT - timedelta(minutes=46))
    key = partition_key(people.SHOP, people.name_of(number))
    admitted = Admitted(Record(ORDERS.name, number, time, key, news.encode()), news)
    intake = ours.intake()
    async with ours.pool.acquire() as connection:
        started = CLOCK.monotonic()
        async with connection.transaction():
            await intake.handle(connection, [admitted])
        return CLOCK.monotonic() - started


async def _step(ours: Stand) -> float:
    """Time the poller's transaction on the one step that the new order makes due."""
    poller = ours.poller()
    started = CLOCK.monotonic()
    claimed = await poller.run_once(READY_AT)
    seconds = CLOCK.monotonic() - started
    if claimed != 1:
        message = f"{claimed} customers were due instead of one"
        raise RuntimeError(message)
    return seconds
