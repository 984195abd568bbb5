"""Discount budgets: how much each shop's incentives may still cost in the running period."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.scheduler.domain.incentive import period_of
from services.scheduler.domain.programme import Budget
from shared.db import load_queries

queries = load_queries(Path(__file__).with_name("spending.sql"))

Connection = Any
"""asyncpg's connection or a pool's proxy of one."""


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """One budget of one shop in one calendar period."""

    shop: str
    currency: str
    per: str
    period_start: datetime


def account(shop: str, budget: Budget, now: datetime) -> Account:
    """Return the account that spends a budget at business time `now`."""
    return Account(shop, budget.currency, budget.per, period_of(budget.per, now)[0])


async def lock(
    connection: Connection, budgets: Mapping[str, Iterable[Budget]], now: datetime
) -> dict[Account, Decimal]:
    """Return what is left in every account of these shops; nobody else can reserve of them until the transaction ends."""
    amounts = {account(shop, each, now): each.amount for shop, some in budgets.items() for each in some}
    if not amounts:
        return {}
    columns = _columns(sorted(amounts))
    await connection.execute(queries.add_budgets, *columns)
    rows = await connection.fetch(queries.lock_budgets, *columns)
    reserved = {
        Account(row["shop_id"], row["currency"], row["per"], row["period_start"]): row["reserved"]
        for row in rows
    }
    return {each: max(amount - reserved[each], Decimal(0)) for each, amount in amounts.items()}


async def reserve(connection: Connection, amounts: Mapping[Account, Decimal]) -> None:
    """Take amounts from accounts that this transaction holds."""
    wanted = sorted(each for each, amount in amounts.items() if amount)
    if wanted:
        await connection.execute(queries.reserve, *_columns(wanted), [amounts[each] for each in wanted])


def _columns(accounts: Iterable[Account]) -> tuple[list[str], list[str], list[str], list[datetime]]:
    accounts = list(accounts)
    return (
        [each.shop for each in accounts],
        [each.currency for each in accounts],
        [each.per for each in accounts],
        [each.period_start for each in accounts],
    )
