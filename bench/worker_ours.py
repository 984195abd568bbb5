"""Our worker: python -m bench.worker_ours BOOTSTRAP TOPIC GROUP FOLDER JOB.

JOB `driver` counts orders by customer. `pairs` is the recommender's stream worker, guard and publisher included; its
topics and group are the declared ones. It leaves out the ranker, which is a role of its own and runs after this.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import uvloop

from services.recommender import agents
from services.recommender.lag import Lag
from services.recommender.published import publishers_of
from services.recommender.publisher import Publisher
from shared import collector, log
from shared.clock import SystemClock
from shared.kafka.faust import BatchApp, Output, Tables, batch_agent, make_app, run
from shared.kafka.faust.stores import Kind
from shared.kafka.records import Admitted, Record
from shared.settings import Settings
from shared.topics import RECOMMENDER_APP, RECOMMENDER_TABLES, Key, Topic

BATCH = 2000
_BUSY_RECORDS = 2000
_CLOCK = SystemClock()


def counting(settings: Settings, topic: str, group: str, store: Kind = "rocksdb") -> BatchApp:
    """One table write per order: records are decoded, not guarded, as in the peers' workers."""
    app = make_app(settings, group, "bench", tables=("counts",), store=store)

    async def admit(records: Sequence[Record]) -> list[Admitted]:
        return [Admitted(record, None) for record in records]

    @batch_agent(app, Topic(topic, Key.ANY, (), (), ()), tables=("counts",), admit=admit)
    async def count(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        counts = tables["counts"]
        known = counts.get_many({one.record.key or b"" for one in batch})
        for one in batch:
            orjson.loads(one.record.value or b"")
            key = one.record.key or b""
            known[key] = b"%d" % (int(known.get(key, b"0")) + 1)
        counts.set_many(known)
        return []

    del count
    return app


async def work(app: BatchApp, beside: Sequence[Publisher], lag: Lag) -> None:
    """Run until SIGTERM; say when records can come, and when the first are here."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)

    async def tell() -> None:
        await app.driver.ready.wait()
        _say("ready")

    take, told = app.driver.take, False

    def observed(place: tuple[str, int]) -> int | None:
        nonlocal told
        if not told:
            told = True
            _say(f"{_CLOCK.machine().timestamp()}")
        return take(place)

    app.driver.take = observed  # type: ignore[method-assign]  # the driver tells nobody of a first batch
    await asyncio.gather(
        tell(), run(app, stopping), lag.run(stopping), *(one.run(stopping) for one in beside)
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _busy(lag: Lag) -> bool:
    return sum(lag.by_topic.values()) > _BUSY_RECORDS


def main(bootstrap: str, topic: str, group: str, folder: str, job: str) -> None:
    """Put the worker together and run it."""
    log.configure("bench", "warning")
    settings = Settings(kafka_bootstrap_servers=bootstrap, data_dir=Path(folder), batch_records=BATCH)

    async def start() -> None:
        if job == "driver":
            app = counting(settings, topic, group)
            await work(app, (), Lag(app, settings))
            return
        app = make_app(settings, RECOMMENDER_APP, "recommender", tables=RECOMMENDER_TABLES)
        lag = Lag(app, settings)
        publishers = publishers_of(app, settings, _CLOCK, lambda: _busy(lag), lambda *_: None)
        agents.register(app, publishers)
        await work(app, (publishers.rows, publishers.customers), lag)

    collector.quieten()
    uvloop.run(start())


if __name__ == "__main__":
    main(*sys.argv[1:])
