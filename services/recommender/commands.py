"""`orderwake recommend`: rankings for given queries from files, without Kafka."""

import json
from pathlib import Path
from typing import TextIO

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--learn",
    type=FILE,
    required=True,
    help="Orders (Parquet): order_id, customer, ts, item, qty, price; category if known.",
)
@click.option("--returns", type=FILE, help="What came back (Parquet): customer, ts, item, qty.")
@click.option("--catalog", type=FILE, help="Products (Parquet): item; category, price, stock if known.")
@click.option(
    "--queries",
    type=click.File("r", encoding="utf-8"),
    required=True,
    help="One JSON object a line; - for standard input.",
)
@click.option("--k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Products an answer.")
def recommend(learn: Path, returns: Path | None, catalog: Path | None, queries: TextIO, k: int) -> None:
    """Rank products for each query, from what happened before the query's moment alone.

    \b
    orderwake recommend --learn orders.parquet --queries q.jsonl --k 10 > ranked.jsonl
    orderwake recommend --learn orders.parquet --returns returns.parquet --catalog c.parquet --queries q.jsonl

    \b
    A query (task: complement or next; customer may be null; times without a zone are UTC):
    {"id": "1", "shop": "fit", "at": "2026-03-01T12:00:00Z", "basket": ["mat"], "customer": "7", "task": "complement"}
    It may ask for "price_below": 20, "in_stock": true, "diverse": true.

    \b
    An answer, in the order of the queries:
    {"id": "1", "products": [{"product": "band", "score": 0.31, "reason": "pair: 120 orders with mat"}]}
    """  # noqa: D301  \b is click's mark
    from services.recommender.history import read  # noqa: PLC0415  imported when called
    from services.recommender.offline import answer_all  # noqa: PLC0415  as above
    from services.recommender.queries import day_of, parse  # noqa: PLC0415  as above

    asked = parse(queries, queries.name)
    click.echo("reading orders", err=True)
    shops = read(learn, returns, catalog)
    last = max((day_of(query.at) for query in asked), default=0.0)
    total = sum(purchase.day < last for shop in shops.values() for purchase in shop.orders)
    with click.progressbar(
        length=total, label="learning and ranking", file=click.get_text_stream("stderr")
    ) as bar:
        answers = list(answer_all(shops, asked, k, bar.update))
    for answer in answers:
        click.echo(json.dumps(answer))
