"""The Faust driver: agents that take batches, tables with a changelog, and commits that never run ahead of either.

    from shared.kafka.faust import Output, Tables, batch_agent, make_app, run

    def build(settings: Settings) -> BatchApp:
        app = make_app(settings, topics.RECOMMENDER_APP, "recommender", tables=topics.RECOMMENDER_TABLES)

        @batch_agent(app, topics.ORDERS, tables=("baskets",))
        async def orders(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
            baskets = tables["baskets"]                                  # this partition's part of the table
            known = baskets.get_many({one.record.key for one in batch})  # {key: value}, bytes, of those that exist
            baskets.set_many({key: new_value, other_key: None})          # None deletes
            return [Output(topics.BASKET_DELTAS.name, key, value)]       # partition by key, murmur2

        return app

    await run(app, stop)        # until the asyncio.Event `stop` is set (on SIGTERM); raises what else ended it
    app.driver.ready.is_set()   # assigned and recovered: for /readyz; `await app.driver.ready.wait()` in tests
    app.driver.lag()            # {(topic, partition): records}

What it promises for a batch of one partition:

- The guard admits the records first; refused ones are dead letters, with the broker, before anything is committed.
  A batch that could not be unpacked (its codec is unknown here, or it is broken) is refused as one record.
- Batches of a partition come in order, one at a time. Equal partition numbers of all the app's topics are on the
  same worker, so agents of co-partitioned topics may share a table; one batch at a time holds its partition.
- `process` sees its own writes. Nothing leaves before it returns: then outputs are published and acknowledged,
  then the changelogs, then the stores are written, then the batch is acknowledged and will be committed. After a
  crash anywhere in between the batch is read again **on the tables as they were** for every key whose write is
  not in the changelog yet, so it must yield the same outputs. Keep the last counted offset per source partition
  in each value. With `tables_first` it is the other way round, and a table's changes are durable all or none: keep in the
  table how far it reaches and what it has to send.
- RetryLater is retried until it works; other exceptions three times, then `run` raises and nothing was
  acknowledged. While brokers are away it waits. A record over its topic's limit stops the worker.
- A worker whose partitions went to another writes nothing more for them: the batch in hand is dropped.
- On `stop` and on rebalance the batch in hand is finished, flushed and committed first.

Topics (sources, outputs, `<app_id>-<table>-changelog`) must exist with equal partition counts before `run`; Faust's own
leader topic is switched off.
"""

from shared.kafka.faust.agents import batch_agent
from shared.kafka.faust.app import BatchApp, make_app, run
from shared.kafka.faust.producer import Output
from shared.kafka.faust.tables import PartitionTable, Tables

__all__ = ["BatchApp", "Output", "PartitionTable", "Tables", "batch_agent", "make_app", "run"]
