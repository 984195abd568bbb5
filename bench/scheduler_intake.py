"""A worker process of ours that takes in a day's news of its share of the partitions, or a shop's past.

As in the service, a batch is one transaction: records are decoded, applied to their customers' states, and the due steps that
follow are written, with the position. Kafka is left out.
"""

import argparse
from collections.abc import Iterator, Sequence

import uvloop

from bench import scheduler_people as people
from bench.scheduler_stand import PARTITIONS, READY_AT, Stand, StandingClock, calm, queries, stand
from bench.scheduler_worker import Told, tell, timed
from services.scheduler.intake import Intake
from shared import log
from shared.events import Event, decode
from shared.ids import partition_key
from shared.kafka.records import Admitted, Record
from shared.topics import ALL, Topic

TOPIC_OF = {kind: topic for topic in ALL if not topic.name.startswith("inbound.") for kind in topic.types}
Raw = tuple[Topic, Record]


def batches(news: Iterator[Event], size: int, mine: Sequence[int]) -> Iterator[list[Raw]]:
    """Yield records of one topic and of these partitions, as a consumer gets them."""
    held: dict[str, list[Raw]] = {}
    for offset, event in enumerate(news):
        customer = event.customerid or ""
        partition = int(customer[2:]) % PARTITIONS
        if partition in mine:
            topic = TOPIC_OF[type(event)]
            key = partition_key(event.shopid, customer)
            batch = held.setdefault(topic.name, [])
            batch.append((topic, Record(topic.name, partition, offset, key, event.encode())))
            if len(batch) == size:
                yield held.pop(topic.name)
    yield from held.values()


async def take_in(dsn: str, numbers: Sequence[int], mine: Sequence[int], shop: str) -> Told:
    """Take in the news of customers in these partitions; returns how many events that were."""
    shops = tuple(dict.fromkeys((people.SHOP, shop)))
    async with stand(dsn, shops, StandingClock(READY_AT)) as ours:
        news = people.news(numbers, shop) if shop == people.SHOP else people.past(numbers, shop)
        waiting = list(batches(news, ours.settings.batch_records, mine))
        intake = ours.intake()
        calm()

        async def all_of_it() -> Told:
            for batch in waiting:
                await _batch(ours, intake, batch)
            return {"events": float(sum(len(batch) for batch in waiting))}

        return await timed(all_of_it)


async def _batch(ours: Stand, intake: Intake, batch: Sequence[Raw]) -> None:
    admitted = [Admitted(record, decode(record.value or b"", topic.types)) for topic, record in batch]
    topic, last = batch[-1]
    async with ours.pool.acquire() as connection, connection.transaction():
        await intake.handle(connection, admitted)
        await connection.execute(
            queries.advance, topic.name, last.partition, last.offset, ours.clock.machine()
        )


def main() -> None:
    """Take in this process's share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--people", type=int, required=True)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--shop", default=people.SHOP, help="of another shop the past is taken in: orders without journeys"
    )
    given = parser.parse_args()
    log.configure("bench", "warning")
    mine = [partition for partition in range(PARTITIONS) if partition % given.workers == given.worker]
    numbers = range(given.first, given.first + given.people)
    tell(uvloop.run(take_in(given.dsn, numbers, mine, given.shop)))


if __name__ == "__main__":
    main()
