"""The benchmarks' own arithmetic: what they compare, and what a client makes of answers."""

import asyncio
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

import pytest
from aiohttp import web

from bench import kafka_streams
from bench.case import Measured
from bench.figures import OURS, QUIX, STREAMS, Figures, Found, ratios, table
from bench.http_load import drive
from bench.orders import counts_of, make
from bench.recommender_latency import percentiles

ORDERS = 300


def figures(seconds: float) -> Figures:
    return Figures(ORDERS, 2 * ORDERS, 4 * ORDERS, Measured(seconds, seconds / 2, 100_000_000))


def test_ratios_are_of_the_peers_that_ran() -> None:
    found: Found = {
        ("pairs", QUIX): figures(2.0),
        ("pairs", OURS): figures(1.0),
        ("driver", QUIX): figures(1.0),
        ("driver", STREAMS): figures(3.0),
        ("driver", OURS): figures(1.0),
    }
    assert ratios(found) == {
        "ratio_quixstreams": 2.0,
        "driver_ratio_quixstreams": 1.0,
        "driver_ratio_kafka_streams": 3.0,
    }
    assert "2.00x" in table(found)


def test_what_peers_must_count_is_what_the_recount_says_of_baskets() -> None:
    orders = make(ORDERS)
    recounted = {
        key: {"": tally["orders"], **(tally["pairs"] if isinstance(tally["pairs"], dict) else {})}
        for key, tally in orders.expected().items()
    }
    assert orders.baskets() == recounted


def test_counts_read_back_have_baskets_and_pairs_of_each_bucket() -> None:
    found = counts_of([("p-1", 730, "", 3), ("p-1", 730, "p-2", 2), ("p-1", 731, "", 1)])
    assert found == {b"grocer|p-1|730": {"": 3, "p-2": 2}, b"grocer|p-1|731": {"": 1}}


def test_without_java_or_maven_kafka_streams_is_left_out_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kafka_streams.build() == (None, "Java and Maven not found")


def test_percentiles_are_of_what_was_seen() -> None:
    assert percentiles([number / 100 for number in range(100, 0, -1)]) == {
        "p50": 0.5,
        "p95": 0.95,
        "p99": 0.99,
        "p100": 1.0,
    }


async def served(answers: Sequence[web.Response]) -> tuple[web.AppRunner, int]:
    left = iter(answers)

    async def answer(_: web.Request) -> web.Response:
        return next(left)

    app = web.Application()
    app.router.add_get("/x", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return runner, port


async def test_the_load_client_waits_for_every_answer() -> None:
    runner, port = await served([web.json_response({"products": ["x"] * 2000}) for _ in range(50)])
    try:
        taken = await asyncio.wait_for(drive(port, repeat("/x"), 500, 0.1, {}), 30)
    finally:
        await runner.cleanup()
    assert len(taken.since_due) == len(taken.since_sent) == len(taken.late) == 50
    assert min(taken.since_sent) > 0


async def test_the_load_client_does_not_count_refusals() -> None:
    runner, port = await served([web.Response(status=503) for _ in range(10)])
    try:
        with pytest.raises(RuntimeError, match="503"):
            await asyncio.wait_for(drive(port, repeat("/x"), 100, 0.1, {}), 30)
    finally:
        await runner.cleanup()
