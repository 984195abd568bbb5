"""Counts what journeys send and what comes of it, and stops those that are over a limit, once."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import asyncpg
import structlog

from services.scheduler import in_force
from services.scheduler.domain import CustomerState, Published
from services.scheduler.domain.guard import (
    NEVER,
    SENT,
    Breach,
    Cohort,
    Tally,
    judge,
    rates,
    reach,
    responded,
    sent,
)
from services.scheduler.store import Connection
from shared import metrics
from shared.clock import Clock
from shared.db import load_queries
from shared.events import Channel, Control, ControlSet, Decision, Verdict
from shared.faults import PASSING
from shared.ids import event_id
from shared.kafka import outbox
from shared.kafka.outbox import Outgoing
from shared.switches import GUARD, Scope, Switchboard, switch_key
from shared.topics import CONTROLS

log = structlog.get_logger()
queries = load_queries(Path(__file__).with_name("guards.sql"))

SOURCE = "orderwake/scheduler"
_SLOTS = 16
_LOOK_SECONDS = 1.0
_KEPT = timedelta(days=40)
_LEAST = timedelta(microseconds=1)

Journeys = dict[tuple[str, str], dict[Cohort, Tally]]


class Counting:
    """Adds to the counts in the caller's transaction: what is rolled back was not counted, what comes again is not news.

    Call it last: nothing else may be waited for while its rows are held.
    """

    def __init__(self, switches: Switchboard) -> None:
        self._switches = switches
        self._slot = secrets.randbelow(_SLOTS)

    async def count_sends(
        self, connection: Connection, decided: Iterable[tuple[CustomerState, Sequence[Decision]]]
    ) -> None:
        """Count messages that were decided to be sent, by the state that holds their verdicts."""
        found: defaultdict[Cohort, Tally] = defaultdict(Tally)
        for state, decisions in decided:
            for decision in decisions:
                if decision.verdict is Verdict.SEND:
                    cohort = sent(state, decision.message_id, self._armed)
                    if cohort is not None:
                        found[cohort] += SENT
        await _add(connection, self._slot, found)

    async def count_responses(
        self, connection: Connection, changed: Iterable[tuple[CustomerState, CustomerState]]
    ) -> None:
        """Count what became known of customers' messages, between the state before and the state after."""
        found: defaultdict[Cohort, Tally] = defaultdict(Tally)
        for before, after in changed:
            if after.responses is not before.responses:
                for cohort, tally in responded(before, after, self._armed).items():
                    found[cohort] += tally
        # In rows of its own: the process's deciders would wait for it.
        await _add(connection, _SLOTS + self._slot, found)

    def _armed(self, shop: str, journey: str) -> datetime | None:
        return self._switches.resumed_at(Scope(shop, journey))


async def _add(connection: Connection, slot: int, found: Mapping[Cohort, Tally]) -> None:
    if not found:
        return
    rows = [
        (
            *(cohort.shop, cohort.journey, cohort.step, cohort.channel, cohort.place, cohort.day),
            *(cohort.since, tally.sends, tally.opens, tally.unsubscribes, tally.complaints, tally.bounces),
        )
        for cohort, tally in found.items()
    ]
    await connection.execute(queries.add_counts, slot, *zip(*rows, strict=True))


class Guards:
    """Looks once a second. Each process may; a breach is thrown once, by whoever writes it down first.

    `committed` is called after a transaction that left something in the outbox.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        switches: Switchboard,
        clock: Clock,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._switches = switches
        self._clock = clock
        self._committed = committed
        self._known = Published()
        self._forgotten: date | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self.run_once(self._clock.business())
            except PASSING as error:
                log.warning("guards_retrying", error=type(error).__name__)
            try:
                await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue

    async def run_once(self, now: datetime) -> list[Control]:
        """Stop what is over a limit at business time `now`; returns what this process threw.

        Raises JourneysReplaced if other software has derived the due steps.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            self._known = await in_force.hold(connection, self._known)
            thrown = []
            for (shop, journey), counts in (await self._counts(connection, now)).items():
                self._show(shop, journey, counts, now)
                breach = judge(counts, self._known.programme(shop).guards, now)
                if breach and (control := await self._trip(connection, Scope(shop, journey), breach, now)):
                    thrown.append(control)
            await self._forget(connection, now.date() - _KEPT)
        if thrown:
            self._committed()
        return thrown

    async def _counts(self, connection: Connection, now: datetime) -> Journeys:
        """Return what was counted of each journey since it was last resumed, as far back as its shop's guards look."""
        rows = await connection.fetch(queries.counts, (now - self._reach()).date())
        found: Journeys = {}
        for row in rows:
            shop, journey = row["shop_id"], row["journey"]
            if row["since"] == (self._switches.resumed_at(Scope(shop, journey)) or NEVER):
                cohort = Cohort(
                    *(
                        shop,
                        journey,
                        row["step"],
                        Channel(row["channel"]),
                        row["place"],
                        row["day"],
                        row["since"],
                    )
                )
                found.setdefault((shop, journey), {})[cohort] = Tally(
                    row["sends"], row["opens"], row["unsubscribes"], row["complaints"], row["bounces"]
                )
        return found

    def _reach(self) -> timedelta:
        shops = self._known.by_shop.keys() | self._known.programmes.keys()
        return max((reach(self._known.programme(shop).guards) for shop in shops), default=timedelta(days=1))

    def _show(self, shop: str, journey: str, counts: Mapping[Cohort, Tally], now: datetime) -> None:
        guards = self._known.programme(shop).guards
        begins = (now - guards.window).date()
        total = sum((tally for cohort, tally in counts.items() if cohort.day >= begins), Tally())
        for limit in rates(guards):
            share = getattr(total, limit) / total.sends if total.sends else 0.0
            metrics.GUARD_RATE.labels(shop, journey, limit).set(share)

    async def _trip(
        self, connection: Connection, scope: Scope, breach: Breach, now: datetime
    ) -> Control | None:
        """Throw the stop, unless the journey is paused or stopped already, or was for this very count."""
        standing = self._switches.standing(scope)
        if standing and standing.control.action != "resume":
            return None
        since = self._switches.resumed_at(scope) or NEVER
        trip = (scope.shop, scope.journey, since, now, breach.limit, breach.why)
        if not await connection.fetchval(queries.put_trip, *trip):
            return None
        at = max(now, standing.control.set_at + _LEAST) if standing else now
        control = Control(action="stop", journey=scope.journey, set_at=at, set_by=GUARD, why=breach.why)
        event = ControlSet(
            id=event_id(GUARD, scope.shop, scope.journey, since.isoformat()),
            source=SOURCE,
            time=at,
            shopid=str(scope.shop),
            data=control,
        )
        await outbox.put(connection, [Outgoing(CONTROLS.name, switch_key(scope, control), event.encode())])
        metrics.GUARD_TRIPS.labels(scope.shop, scope.journey, breach.limit).inc()
        log.error("journey_stopped_by_guard", shop=scope.shop, journey=scope.journey, why=breach.why)
        return control

    async def _forget(self, connection: Connection, before: date) -> None:
        """Drop counts that no guard looks at any more, once a day."""
        if self._forgotten != before:
            await connection.execute(queries.forget_counts, before)
            self._forgotten = before
