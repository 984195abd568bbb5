"""What is known of the people who are written to: consent, opt-outs, and whether their addresses live.

Addresses are kept as salted hashes only. `connection` is always in the caller's transaction; times are business time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, Self
from uuid import UUID

from services.dispatcher import telling
from services.dispatcher.domain.addresses import address_hash
from services.dispatcher.domain.consent import Standing
from services.dispatcher.domain.faults import Fault
from shared.clock import Clock
from shared.db import load_queries
from shared.events import Channel, Consent, EngagementKind, MessageRequested
from shared.kafka import outbox
from shared.settings import Settings

queries = load_queries(Path(__file__).with_name("people.sql"))

Customer = tuple[str, str]
Connection = Any  # asyncpg hands its own connection or a pool's proxy, which share no type


class Addressed(Protocol):
    """A message on its way."""

    @property
    def message_id(self) -> UUID: ...  # noqa: D102

    @property
    def event(self) -> MessageRequested: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message did not reach its address, as a provider says. `row` has the message's columns of the ledger."""

    provider: str
    row: Any  # asyncpg's record, or a dict of the same names
    address_hash: bytes | None
    fault: Fault
    reason: str


class People:
    """Statements about people. `softs` failures in a row make an address count as dead."""

    def __init__(self, clock: Clock, salt: bytes, softs: int) -> None:
        self._clock = clock
        self._salt = salt
        self._softs = softs

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> Self:
        """As the settings have it."""
        return cls(clock, settings.guest_salt.get_secret_value().encode(), settings.soft_failures)

    def hash(self, channel: Channel, address: str) -> bytes:
        """The address as it is kept."""
        return address_hash(self._salt, channel, address)

    async def standings(self, connection: Connection, messages: Sequence[Addressed]) -> dict[UUID, Standing]:
        """What stands for and against each message; one whose customer was never read is absent."""
        rows = await connection.fetch(
            queries.standings,
            [one.message_id for one in messages],
            [one.event.shopid for one in messages],
            [str(one.event.customerid) for one in messages],
            [one.event.data.channel for one in messages],
            [self.hash(one.event.data.channel, one.event.data.recipient) for one in messages],
        )
        channels = {one.message_id: one.event.data.channel for one in messages}
        found: dict[UUID, Standing] = {}
        for row in rows:
            known = found.get(row["message_id"])
            if known is None:
                found[row["message_id"]] = _standing(row, channels[row["message_id"]])
            elif isinstance(known.stops, dict):
                known.stops[row["stopped_provider"]] = row["stopped_since"]
        return found

    async def suppress(  # noqa: PLR0913  whom, where, why, and how it came about
        self,
        connection: Connection,
        customers: Iterable[Customer],
        channel: Channel,
        reason: str,
        stopped_by: str | None = None,
        *,
        tell: bool = True,
    ) -> None:
        """Stop a channel for customers from now on, and tell that they opted out, unless more than that is told."""
        now = self._clock.business()
        found = sorted(set(customers))
        await connection.executemany(
            queries.suppress, [(*customer, channel, now, reason, stopped_by) for customer in found]
        )
        if tell:
            told = [telling.opt_out(customer, channel, reason, now) for customer in found]
            await outbox.put(connection, told)

    async def stop(
        self, connection: Connection, provider: str, channel: Channel, hashed: bytes, reason: str
    ) -> list[Customer]:
        """Stop a channel for an address: for all customers, of any shop, to whom this provider carried messages there.

        Whoever is to be written to there later, through the same provider, needs consent given after it.
        """
        await connection.execute(queries.stop, channel, hashed, provider, self._clock.business())
        rows = await connection.fetch(queries.written_to, channel, hashed, provider)
        customers = [(row["shop_id"], row["customer_id"]) for row in rows]
        await self.suppress(connection, customers, channel, reason, provider)
        return customers

    async def start(
        self, connection: Connection, provider: str, channel: Channel, hashed: bytes, age: timedelta
    ) -> None:
        """Lift what a STOP to this provider suppressed, and nothing else: consent is needed as ever.

        It was said `age` ago: a STOP that was heard since, while call-backs were late, stands.
        """
        at = self._clock.business() - age
        await connection.execute(queries.start, channel, hashed, provider, at)
        rows = await connection.fetch(queries.written_to, channel, hashed, provider)
        shops, names = [row["shop_id"] for row in rows], [row["customer_id"] for row in rows]
        await connection.execute(queries.lift, shops, names, channel, provider, at)

    async def failed(self, connection: Connection, failures: Sequence[Failure]) -> set[UUID]:
        """Note what failures say of addresses, and tell; returns the messages whose address counts as dead now."""
        dead = [one for one in failures if await self._dies(connection, one)]
        now = self._clock.business()
        await outbox.put(
            connection,
            [telling.reported(one.row, EngagementKind.BOUNCED, one.reason, now) for one in dead],
        )
        return {one.row["message_id"] for one in dead}

    async def fail_messages(self, connection: Connection, failures: Sequence[Failure]) -> None:
        """Note and tell that messages which were taken did not arrive: bounced if the address is dead, else rejected."""
        dead, now = await self.failed(connection, failures), self._clock.business()
        blameless = [one for one in failures if one.row["message_id"] not in dead]
        told = [telling.reported(one.row, EngagementKind.REJECTED, one.reason, now) for one in blameless]
        await outbox.put(connection, told)

    async def _dies(self, connection: Connection, failure: Failure) -> bool:
        row, hashed, now = failure.row, failure.address_hash, self._clock.business()
        channel = Channel(row["channel"])
        if failure.fault is Fault.STOPPED:
            customer = (row["shop_id"], row["customer_id"])
            others = (
                await self.stop(connection, failure.provider, channel, hashed, failure.reason)
                if hashed
                else []
            )
            if customer not in others:
                await self.suppress(connection, [customer], channel, failure.reason, failure.provider)
        elif failure.fault is Fault.DEAD:
            if hashed:
                await self.died(connection, channel, hashed, failure.reason)
            return True
        elif failure.fault is Fault.SOFT and hashed:
            found = await connection.fetchrow(
                queries.address_failed, channel, hashed, now, failure.reason, self._softs
            )
            return bool(found["dead"])
        return False

    async def died(self, connection: Connection, channel: Channel, hashed: bytes, reason: str) -> None:
        """Note that an address is dead."""
        await connection.execute(queries.address_died, channel, hashed, self._clock.business(), reason)

    async def reached(self, connection: Connection, addresses: Iterable[tuple[Channel, bytes]]) -> None:
        """Note that these live: failures are counted anew."""
        found = sorted(set(addresses))
        await connection.execute(
            queries.addresses_reached, [channel for channel, _ in found], [hashed for _, hashed in found]
        )


def _standing(row: Any, channel: Channel) -> Standing:  # noqa: ANN401  asyncpg's record
    given, since, stopped = row["consent"], row["suppressed_since"], row["stopped_provider"]
    return Standing(
        known=True,
        consent={channel: Consent.model_validate(given)} if given else {},
        suppressed_since={channel: since} if since else {},
        version=row["version"],
        dead=row["dead"],
        stops={stopped: row["stopped_since"]} if stopped else {},
        country=row["country"],
        region=row["region"],
        time_zone=row["time_zone"],
    )
