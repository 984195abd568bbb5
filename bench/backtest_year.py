"""A year of a real grocer lived again under the complete journeys: how long `orderwake backtest` takes.

Complete Journey, 155,848 baskets of 2,469 households. Deliveries, returns, consent and zones are drawn from the demo's stated
distributions; prices are those last paid; complements are given: the 20 products most often in one basket with each, counted
over every fourth basket. Making the events is not timed.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations, islice
from pathlib import Path

from demo import generate, grocer
from services.scheduler.backtest.files import Files
from services.scheduler.backtest.run import Outcome, Plan, run
from services.scheduler.backtest.tally import total
from shared import events, ids
from shared.clock import SystemClock
from shared.events import Candidate, Event

SEED = 1
YEAR = (datetime(2017, 1, 1, 5, tzinfo=UTC), datetime(2018, 1, 1, 5, tzinfo=UTC))
_CANDIDATES = 20
_EVERY = 4
_LARGEST_BASKET = 60
_SHOP_OF_JOURNEYS = "shop: "


def main() -> None:
    """Make the year if it is not there, live it, print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--baskets", type=int, help="only so many of the year")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--journey", type=Path, default=Path("journeys/complete.yaml"))
    parser.add_argument("--keep", type=Path, help="a folder for the events, taken from there if it has them")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        kept = arguments.keep or Path(temporary)
        file = kept / f"year-{arguments.baskets or 'whole'}.jsonl"
        if not file.exists():
            kept.mkdir(parents=True, exist_ok=True)
            _say(f"making the events of the year in {file}")
            _write(file, arguments.baskets)
        journeys = _journeys(arguments.journey, Path(temporary) / "journeys")
        clock = SystemClock()
        begun = clock.monotonic()
        outcome = run(Plan(Files.of(file), journeys), arguments.workers)
        seconds = clock.monotonic() - begun
    found = _figures(outcome, seconds, arguments.workers)
    for name, value in found.items():
        _say(f"{name}: {value}")
    if arguments.json:
        sys.stdout.write(json.dumps(found) + "\n")


def _figures(outcome: Outcome, seconds: float, workers: int) -> dict[str, object]:
    sums = total(outcome.tally.cells).get((), Counter())
    figures = {each.name: count for each, count in sorted(sums.items()) if not each.of}
    return {
        "backtest_year_seconds": round(seconds, 1),
        "workers": workers,
        "events": outcome.events,
        "customers": outcome.customers,
        "decisions": outcome.tally.decisions,
        "decisions_per_second": round(outcome.tally.decisions / seconds),
        **figures,
    }


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _journeys(file: Path, folder: Path) -> Path:
    """A folder with the one journey, as the grocer's."""
    folder.mkdir()
    lines = [
        f"{_SHOP_OF_JOURNEYS}{grocer.SHOP}" if line.startswith(_SHOP_OF_JOURNEYS) else line
        for line in file.read_text().splitlines()
    ]
    (folder / file.name).write_text("\n".join(lines) + "\n")
    return folder


def _write(file: Path, baskets: int | None) -> None:
    part = file.with_suffix(".part")
    with part.open("wb") as out:
        out.writelines(event.encode() + b"\n" for event in _year(baskets))
    part.rename(file)


def _year(baskets: int | None) -> Iterator[Event]:
    catalogue = grocer.products()
    sold: dict[str, events.Line] = {}
    together: dict[str, Counter[str]] = {}
    people: dict[str, generate.Person] = {}
    placed = grocer.orders(SEED, *YEAR, catalogue, history=False)
    for number, (who, order) in enumerate(islice(placed, baskets)):
        if who.customer not in people:
            people[who.customer] = who
            yield generate.profile(SEED, who, len(people), YEAR[0])
        yield generate.order_event(who, order)
        for event in generate.aftermath(SEED, who, order):
            yield event.model_copy(update={"customerid": who.customer})
        sold.update({line.product_id: line for line in order.lines})
        if number % _EVERY == 0:
            _pair(together, sorted({line.product_id for line in order.lines})[:_LARGEST_BASKET])
    yield from (_product(catalogue[sku], line.unit_price) for sku, line in sold.items())
    yield from (_complements(sku, others) for sku, others in together.items())


def _pair(together: dict[str, Counter[str]], basket: list[str]) -> None:
    for one, other in combinations(basket, 2):
        together.setdefault(one, Counter())[other] += 1
        together.setdefault(other, Counter())[one] += 1


def _product(product: events.Product, price: Decimal) -> Event:
    priced = product.model_copy(update={"price": price, "currency": "USD"})
    return events.ProductRecorded(
        id=ids.event_id("bench", "product", product.product_id),
        source="/bench",
        time=YEAR[0],
        shopid=grocer.SHOP,
        data=priced,
    )


def _complements(sku: str, others: Counter[str]) -> Event:
    most = sum(others.values())
    found = tuple(
        Candidate(product_id=other, score=count / most, support=count, relation="pair", reliable=False)
        for other, count in others.most_common(_CANDIDATES)
    )
    return events.ComplementsUpdated(
        id=ids.event_id("bench", "complements", sku),
        source="/bench",
        time=YEAR[0],
        shopid=grocer.SHOP,
        data=events.Complements(product_id=sku, version=1, candidates=found),
    )


if __name__ == "__main__":
    main()
