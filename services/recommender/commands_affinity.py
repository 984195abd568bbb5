"""`orderwake affinity …`: what is bought with what, for people. It reads the topics only, and whole."""

import asyncio
import csv
import io
from difflib import get_close_matches
from pathlib import Path

import click
import orjson
from rich.console import Console

from services.recommender.commands_recount import recount_command
from services.recommender.domain.lookup import Affinities, Measure, matrix, side_by_side
from services.recommender.heatmap import svg
from services.recommender.telling import as_data, tell
from shared import log
from shared.errors import InfrastructureError, OrderwakeError
from shared.events import ComplementsUpdated, Event, PairCountsUpdated, ProductRecorded
from shared.ids import split_key
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from shared.settings import Settings, load
from shared.topics import CATALOG, COMPLEMENTS, PAIR_COUNTS

_WIDTH_OF_FILES = 152


class Reading:
    """All shops' counts, complements and names as the topics have them."""

    def __init__(self) -> None:
        self.shops: dict[str, Affinities] = {}

    def take(self, record: Record, event: Event | None) -> None:
        """Take one record; a tombstone takes away what its key had."""
        name, product = split_key(record.key or b"")
        shop = self.shops.setdefault(name, Affinities())
        if isinstance(event, PairCountsUpdated):
            shop.put(product, event.data)
        elif isinstance(event, ComplementsUpdated):
            shop.complements[product] = event.data
        elif isinstance(event, ProductRecorded):
            shop.names[product] = event.data.name
        elif record.topic == PAIR_COUNTS.name:
            shop.put(product, None)
        else:
            (shop.names if record.topic == CATALOG.name else shop.complements).pop(product, None)


async def read(settings: Settings, seconds: float) -> dict[str, Affinities]:
    """Read what is on the topics now. Raises InfrastructureError if that takes longer than `seconds`."""
    reading, stopping = Reading(), asyncio.Event()
    follower = Follower(settings, (PAIR_COUNTS, COMPLEMENTS, CATALOG), reading.take)
    running = asyncio.create_task(follower.run(stopping))
    try:
        await asyncio.wait_for(follower.wait_caught_up(), seconds)
    except TimeoutError:
        message = (
            f"the topics could not be read within {seconds:g} s from Kafka at {settings.kafka_bootstrap_servers}; "
            "is it there (KAFKA_BOOTSTRAP_SERVERS)? Else give it longer with --wait"
        )
        raise InfrastructureError(message) from None
    finally:
        stopping.set()
        await running
    return reading.shops


_SHOP = click.option("--shop", required=True, help="The shop's id.")
_WAIT = click.option(
    "--wait",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Seconds that reading the topics may take.",
)


@click.group()
def affinity() -> None:
    """See what is bought with what, and how much is known of it."""


affinity.add_command(recount_command)


@affinity.command()
@click.argument("product")
@_SHOP
@click.option(
    "--top", type=click.IntRange(1, 500), default=20, show_default=True, help="At most so many neighbours."
)
@_WAIT
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def show(product: str, shop: str, top: int, wait: float, *, as_json: bool) -> None:
    """What goes with PRODUCT: its complements as ranked, then what else is bought with it most.

    \b
    orderwake affinity show cleanser-1 --shop skincare
    orderwake affinity show cleanser-1 --shop skincare --top 5 --json

    Lift is how often both are bought, against two ordinary products of the shop. Later are customers who first bought the
    neighbour after PRODUCT, days until the quartiles of the days between. Score is the share of PRODUCT's buyers who take
    the neighbour too (sequence and upgrade: later), shrunken where little is known. It is not reliable under 100 of them.
    """  # noqa: D301  \b is click's mark
    counts = _shop(shop, wait)
    if not any(product in known for known in (counts.orders, counts.complements, counts.names)):
        near = get_close_matches(product, counts.orders.keys() | counts.names.keys(), n=3)
        hint = f"; near it: {', '.join(sorted(near))}" if near else ""
        message = f"no product {product!r} in {shop}{hint}"
        raise click.ClickException(message)
    if as_json:
        click.echo(orjson.dumps(as_data(counts, shop, product, top), option=orjson.OPT_INDENT_2).decode())
        return
    tell(
        Console(width=None if click.get_text_stream("stdout").isatty() else _WIDTH_OF_FILES),
        counts,
        product,
        top,
    )


@affinity.command("matrix")
@_SHOP
@click.option(
    "--top", type=click.IntRange(2, 200), default=30, show_default=True, help="The most bought products."
)
@click.option(
    "--measure",
    type=click.Choice(["lift", "count"]),
    default="lift",
    show_default=True,
    help="Against two ordinary products, or baskets with both.",
)
@click.option(
    "--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a table here."
)
@click.option(
    "--svg", "svg_file", type=click.Path(dir_okay=False, path_type=Path), help="Draw a heat map here."
)
@_WAIT
def matrix_command(  # noqa: PLR0913, PLR0917  each is an option
    shop: str, top: int, measure: Measure, csv_file: Path | None, svg_file: Path | None, wait: float
) -> None:
    """How the shop's most bought products go with each other, as a table, a heat map, or both.

    \b
    orderwake affinity matrix --shop grocer --svg grocer.svg
    orderwake affinity matrix --shop grocer --top 50 --measure count --csv grocer.csv

    Without a file the table goes to the terminal. What goes together stands together. An empty field of the table:
    no basket with both is known (pairs are pruned to each product's most frequent).
    """  # noqa: D301  \b is click's mark
    counts = _shop(shop, wait)
    products = side_by_side(counts, counts.most_bought(top))
    if not products:
        message = f"nothing was sold in {shop} yet"
        raise click.ClickException(message)
    rows = matrix(counts, products, measure)
    table = _csv(products, rows)
    if csv_file:
        csv_file.write_text(table)
        click.echo(f"{csv_file}: {len(products)} products, {measure}")
    if svg_file:
        title = f"{shop}: what is bought with what, {len(products)} most bought products"
        svg_file.write_text(svg(title, [counts.name(product) for product in products], rows, measure))
        click.echo(f"{svg_file}: {len(products)} products, {measure}")
    if not (csv_file or svg_file):
        click.echo(table, nl=False)


def _shop(shop: str, seconds: float) -> Affinities:
    log.configure("affinity", "error")
    try:
        shops = asyncio.run(read(load(), seconds))
    except OrderwakeError as error:
        raise click.ClickException(str(error)) from None
    if shop not in shops:
        message = f"no shop {shop!r} on the topics; known are: {', '.join(sorted(shops)) or 'none yet'}"
        raise click.ClickException(message)
    return shops[shop]


def _csv(products: list[str], rows: list[list[float | int | None]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["product", *products])
    for product, row in zip(products, rows, strict=True):
        writer.writerow([product, *(round(value, 4) if value is not None else "" for value in row)])
    return text.getvalue()
