"""The figures: what was decided, what was sent, what it was worth, and what the holdout shows."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from services.reporting import store
from services.reporting.domain.attribution import Credit, Sale, Takings, attribute, takings
from services.reporting.domain.lift import (
    CONFIDENCE,
    MINIMUM_BUYERS,
    MINIMUM_PEOPLE,
    Arm,
    Comparison,
    Person,
    Sample,
    compare,
    orders_per_person,
    revenue_per_person,
)
from services.reporting.store import Scope, queries
from shared.events import MESSAGE_CHANNELS, Channel, Verdict

METHOD = (
    "net revenue and orders per eligible person, from their first send (treated) or ghost (held out) on, "
    f"for the same span in both arms; difference of means with Welch's {CONFIDENCE:.0%} interval "
    f"(Biometrika 34, 1947), made for one reading, given from {MINIMUM_PEOPLE} people and {MINIMUM_BUYERS} "
    "buyers per arm on"
)


async def summary(
    pool: asyncpg.Pool, shop: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> dict[str, Any]:
    """Counts as plain JSON values.

    `sent` counts occurrences whose latest verdict is send, and equals accepted + withheld + rejected +
    unknown + pending (no news from the dispatcher yet). `handed_over` (events for other tools) and `shown` (offers on the
    thank-you page) are verdicts of send that send no message. `skipped`, `deferred` and `ghost` are by latest
    verdict too.
    `orders` are live ones: neither tests nor history, cancelled ones included.
    """
    span = (shop, since, until)
    orders = dict((await pool.fetch(queries.order_counts, *span))[0])
    doubles = dict((await pool.fetch(queries.doubles, shop))[0])
    rows = [dict(row) for row in await pool.fetch(queries.occurrence_counts, *span)]
    messages = [row for row in rows if row["channel"] in MESSAGE_CHANNELS]
    states = _by_state_and_channel(messages)
    elsewhere = _count(rows, "channel", Verdict.SEND)
    return {
        "orders": orders["live"],
        "orders_not_counted": {name: orders[name] for name in ("cancelled", "test", "history")},
        "decided": sum(row["occurrences"] for row in rows),
        "attempts": sum(row["attempts"] for row in rows),
        "sent": _count(messages, "channel", Verdict.SEND),
        "handed_over": elsewhere.get(Channel.EVENT, 0),
        "shown": elsewhere.get(Channel.PAGE, 0),
        "accepted": states["accepted"],
        "withheld": sum(states["withheld"].values()),
        "rejected": sum(states["rejected"].values()),
        "unknown": sum(states["unknown"].values()),
        "pending": sum(states["pending"].values()),
        "skipped": _count(rows, "reason", Verdict.SKIP),
        "deferred": sum(_count(rows, "reason", Verdict.DEFER).values()),
        "deferred_by_reason": _count(rows, "reason", Verdict.DEFER),
        "ghost": sum(_count(rows, "channel", Verdict.GHOST).values()),
        "duplicates": sum(doubles.values()),
        "duplicates_by_kind": doubles,
        "sent_by_journey": _by_journey(messages),
    }


def _count(rows: Iterable[Mapping[str, Any]], field: str, verdict: Verdict) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        if row["verdict"] == verdict:
            counts[row[field] or "unstated"] += row["occurrences"]
    return dict(counts.most_common())


def _by_state_and_channel(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, dict[str, int]]:
    states: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row["state"]:
            channel = row["channel"]
            states[row["state"]][channel] = states[row["state"]].get(channel, 0) + row["occurrences"]
    return states


def _by_journey(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["state"]:
            counts = found[row["journey"], row["channel"]]
            counts["sent"] += row["occurrences"]
            counts[row["state"]] += row["occurrences"]
    columns = ("sent", "accepted", "withheld", "rejected", "unknown", "pending")
    return [
        {"journey": journey, "channel": channel} | {column: counts[column] for column in columns}
        for (journey, channel), counts in sorted(found.items())
    ]


async def report(pool: asyncpg.Pool, scope: Scope, window: timedelta, now: datetime) -> dict[str, Any]:
    """Everything that `orderwake report` shows. Money is Decimal; `window` and `now` are business time."""
    sales = await store.sales(pool, scope.shop)
    touches = await store.touches(pool, scope.shop)
    people = await store.eligible(pool, scope)
    credits_ = [credit for credit in attribute(sales, touches, window) if scope.covers(credit.sale.placed_at)]
    days = window / timedelta(days=1)
    return {
        "shop": scope.shop,
        "since": scope.since,
        "until": scope.until,
        "as_of": now,
        "counts": await summary(pool, scope.shop, scope.since, scope.until),
        "attributed": {"rule": "last accepted message before the order", "window_days": days}
        | attributed(credits_),
        "holdout": {"method": METHOD, "window_days": days, "shops": holdout(people, sales, window, now)},
    }


def attributed(credits_: Sequence[Credit]) -> dict[str, list[dict[str, Any]]]:
    """Takings in all, by channel, by journey and by touch, each per currency."""
    return {
        "total": _takings_by(credits_, lambda _: {}),
        "by_channel": _takings_by(credits_, lambda credit: {"channel": credit.touch.channel}),
        "by_journey": _takings_by(credits_, lambda credit: {"journey": credit.touch.journey}),
        "by_touch": _takings_by(
            credits_,
            lambda credit: {
                "shop": credit.touch.shop,
                "journey": credit.touch.journey,
                "step": credit.touch.step,
                "channel": credit.touch.channel,
            },
        ),
    }


def _takings_by(credits_: Iterable[Credit], name: Callable[[Credit], dict[str, str]]) -> list[dict[str, Any]]:
    groups: dict[tuple[tuple[str, str], ...], list[Sale]] = defaultdict(list)
    for credit in credits_:
        groups[tuple(name(credit).items())].append(credit.sale)
    return [
        dict(group) | {"currency": currency} | _takings(sums)
        for group, sold in sorted(groups.items())
        for currency, sums in takings(sold).items()
    ]


def _takings(sums: Takings) -> dict[str, Any]:
    return {"orders": sums.orders, "gross": sums.gross, "returned": sums.returned, "net": sums.net}


def holdout(
    people: Sequence[Person], sales: Sequence[Sale], window: timedelta, now: datetime
) -> list[dict[str, Any]]:
    """Compare per shop: shops may hold out different shares, so people of several are never pooled."""
    found = []
    for shop in sorted({person.shop for person in people}):
        own = [person for person in people if person.shop == shop]
        sold = [sale for sale in sales if sale.shop == shop]
        money = [
            {"currency": currency} | _comparison(compare(revenue_per_person(own, sold, currency, window)))
            for currency in sorted({sale.currency for sale in sold})
        ]
        found.append(
            {
                "shop": shop,
                "treated": sum(person.arm is Arm.TREATED for person in own),
                "held_out": sum(person.arm is Arm.HELD_OUT for person in own),
                "windows_still_open": sum(person.since + window > now for person in own),
                "revenue": money,
                "orders": _comparison(compare(orders_per_person(own, sold, window))),
            }
        )
    return found


def _comparison(found: Comparison) -> dict[str, Any]:
    known = found.low is not None and found.high is not None
    return {
        "treated": _sample(found.treated),
        "held_out": _sample(found.held_out),
        "difference_per_person": round(found.difference, 4),
        "interval": [found.low, found.high] if known else None,
        "cannot_know_yet": found.cannot_know_because,
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "people": sample.people,
        "buyers": sample.buyers,
        "total": sample.total,
        "per_person": round(sample.mean, 4),
    }
