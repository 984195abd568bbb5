"""`orderwake recommend` on a generated year of a fitness shop whose habits are known."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from services.recommender.commands import recommend
from shared.errors import OrderwakeError

START = datetime(2025, 1, 1, tzinfo=UTC)
FILLERS = [f"filler-{number}" for number in range(12)]
Rows = list[dict[str, Any]]


def line(order: str, customer: str | None, day: float, item: str, price: float = 10.0) -> dict[str, Any]:
    ts = START + timedelta(days=day)
    return {"order_id": order, "customer": customer, "ts": ts, "item": item, "qty": 1.0, "price": price}


def year() -> Rows:
    """62 % of kettlebell buyers buy a mat 45 days later; bands and door anchors go in one basket."""
    random, rows = Random(5), []  # noqa: S311  a simulation
    for number in range(400):
        customer, day = f"c{number}", random.uniform(0, 300)
        if number % 2:
            rows.append(line(f"{number}a", customer, day, "kettlebell", 40.0))
            if random.random() < 0.62:
                rows.append(line(f"{number}b", customer, day + random.gauss(45, 5), "mat", 25.0))
        else:
            rows += [line(f"{number}a", customer, day, item) for item in ("band", "door-anchor", "chalk")]
        rows += [line(f"{number}c", customer, day + random.uniform(0, 60), random.choice(FILLERS), 15.0)]
    return rows


def write(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def run(folder: Path, rows: Rows, queries: list[dict[str, Any]], *more: str) -> Result:
    orders = write(folder / "orders.parquet", rows)
    asked = folder / "q.jsonl"
    asked.write_text("\n".join(json.dumps(query) for query in queries))
    return CliRunner().invoke(recommend, ["--learn", str(orders), "--queries", str(asked), *more])


def answers(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.exception
    return [json.loads(text) for text in result.stdout.splitlines()]


def at(day: float) -> str:
    return (START + timedelta(days=day)).isoformat()


COMPLEMENT: dict[str, Any] = {
    "id": "c",
    "shop": "fit",
    "at": at(360),
    "basket": ["band", "chalk"],
    "customer": None,
}
NEXT: dict[str, Any] = {
    "id": "n",
    "shop": "fit",
    "at": at(345),
    "basket": ["kettlebell"],
    "customer": "new",
    "task": "next",
}


def products(answer: dict[str, Any]) -> list[str]:
    return [item["product"] for item in answer["products"]]


def test_a_year_teaches_what_goes_together_and_what_comes_next(tmp_path: Path) -> None:
    found = answers(run(tmp_path, year(), [COMPLEMENT, NEXT, {**NEXT, "id": 3, "basket": []}], "--k", "3"))
    assert [answer["id"] for answer in found] == ["c", "n", "3"]
    assert products(found[0])[0] == "door-anchor"
    assert found[0]["products"][0]["reason"].startswith("pair: 200 orders with ")
    assert products(found[1])[0] == "mat"
    assert found[1]["products"][0]["reason"].startswith("owners: ")
    assert [len(products(answer)) for answer in found] == [3, 3, 3]


def test_an_answer_does_not_change_when_later_orders_or_other_queries_are_added(tmp_path: Path) -> None:
    rows = year()
    early = [{**COMPLEMENT, "at": at(200)}, {**NEXT, "at": at(200), "basket": [], "customer": "c1"}]
    past = [row for row in rows if row["ts"] < START + timedelta(days=200)]
    other = [{**COMPLEMENT, "id": f"o{day}", "at": at(day)} for day in range(20, 360, 17)]
    alone = answers(run(tmp_path, past, early))
    among = answers(run(tmp_path, [*rows, line("now", None, 200, "chalk")], [*other, *early]))
    assert among[-2:] == alone


def test_bounds_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    sorts = {"door-anchor": "anchor", "mat": "floor", "kettlebell": "iron"}
    names = ["band", "chalk", *sorts, *FILLERS]
    catalogue = [
        {"item": name, "category": sorts.get(name, "rest"), "stock": float(name != "door-anchor")}
        for name in names
    ]
    options = ["--catalog", str(write(tmp_path / "catalog.parquet", catalogue)), "--k", "4"]
    queries: list[dict[str, Any]] = [
        COMPLEMENT,
        {**COMPLEMENT, "in_stock": True},
        {**COMPLEMENT, "price_below": 20},
        {**COMPLEMENT, "diverse": True},
    ]
    plain, in_stock, cheap, diverse = answers(run(tmp_path, year(), queries, *options))
    assert "door-anchor" in products(plain)
    assert "door-anchor" not in products(in_stock)
    assert not {"mat", "kettlebell"} & set(products(cheap))
    assert len({sorts.get(name, "rest") for name in products(diverse)}) == 4


def test_what_came_back_is_neither_taught_nor_owned(tmp_path: Path) -> None:
    rows = [line("1", "ann", 1, "mat"), line("2", "bob", 2, "band"), line("3", "cid", 3, "band")]
    returns: Rows = [{"customer": "ann", "ts": START + timedelta(days=5), "item": "mat", "qty": -1.0}]
    options = ["--returns", str(write(tmp_path / "returns.parquet", returns))]
    queries = [{**NEXT, "at": at(day), "customer": "ann", "basket": []} for day in (4, 6)]
    before, after = answers(run(tmp_path, rows, queries, *options))
    assert products(before) == ["band"]
    assert products(after) == ["band", "mat"]


def test_a_shop_that_sold_nothing_yet_has_no_answer(tmp_path: Path) -> None:
    assert answers(run(tmp_path, year(), [{**COMPLEMENT, "at": at(-1)}])) == [{"id": "c", "products": []}]


def test_shops_in_one_file_learn_apart(tmp_path: Path) -> None:
    rows = [
        {**row, "shop": shop}
        for shop in ("fit", "home")
        for row in year()
        if shop == "fit" or row["item"] == "mat"
    ]
    fit, home = answers(run(tmp_path, rows, [COMPLEMENT, {**COMPLEMENT, "shop": "home"}]))
    assert len(products(fit)) == 10
    assert products(home) == ["mat"]


def test_ids_written_as_floats_and_lines_with_gaps_are_read_for_what_they_mean(tmp_path: Path) -> None:
    rows = [{**line(str(number), None, number, f"p{number % 3}"), "customer": 7.0} for number in range(2)]
    rows.append({**line("2", None, 2, "p2"), "customer": float("nan")})
    rows.append({**line("3", None, 3, "p9"), "customer": 7.0, "qty": float("nan")})
    found = answers(run(tmp_path, rows, [{**NEXT, "customer": 7, "basket": []}]))
    assert products(found[0]) == ["p2"]


def test_categories_come_with_the_orders_too(tmp_path: Path) -> None:
    kinds = {"mat": "floor", "rug": "floor"}
    names = ["mat", "rug", *FILLERS]
    rows = [
        {**line(f"{name}{number}", None, number, name), "category": kinds.get(name, "rest")}
        for number in range(8)
        for name in names
    ]
    mats = answers(run(tmp_path, rows, [{**COMPLEMENT, "basket": ["mat"]}]))
    assert products(mats[0])[0] == "rug"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"id": "x"}, "q.jsonl, line 2: at: Field required"),
        ({**NEXT, "task": "guess"}, "q.jsonl, line 2: task: "),
        ({**NEXT, "price_under": 3}, "q.jsonl, line 2: price_under: "),
    ],
)
def test_a_bad_query_is_named_by_file_and_line(tmp_path: Path, query: dict[str, Any], says: str) -> None:
    error = run(tmp_path, year(), [COMPLEMENT, query]).exception
    assert isinstance(error, OrderwakeError)
    assert says in str(error)


def test_a_missing_column_and_a_file_of_another_kind_are_named(tmp_path: Path) -> None:
    short = [{name: value for name, value in row.items() if name != "price"} for row in year()]
    error = run(tmp_path, short, [COMPLEMENT]).exception
    assert isinstance(error, OrderwakeError)
    assert "orders.parquet: no column price" in str(error)
    other = tmp_path / "other.parquet"
    other.write_text("order_id,customer")
    error = run(tmp_path, year(), [COMPLEMENT], "--catalog", str(other)).exception
    assert isinstance(error, OrderwakeError)
    assert "cannot be read as Parquet" in str(error)
