"""Messages brought to where a test wants them, and providers that say what a test has them say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from services.dispatcher.compose import Composer
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Ledger, Move
from services.dispatcher.providers.base import Answer, CallBack, Parcel, Report, Said, Sought
from services.dispatcher.reconcile import Reconciler
from services.dispatcher.reports import Hearing
from shared.events import Channel, MessageRequested
from tests.support.dispatching import Bench, going


@dataclass
class Scripted:
    """A provider that finds, and reads, what a test put there; `asked` is what it was asked."""

    name: str = "smtp"
    channel: Channel = Channel.EMAIL
    once: bool = False
    found: Answer | None = None
    reports: Sequence[Report] | Exception = ()
    asked: list[Sought] = field(default_factory=list)
    seen: list[CallBack] = field(default_factory=list)
    reply: tuple[str, bytes] = ("text/xml", b"<Response/>")

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, parcel: Parcel) -> Answer:
        """Take it."""
        return Answer.accepted(f"ref-{parcel.message_id}")

    async def find(self, sought: Sought) -> Answer | None:
        """What the test says."""
        self.asked.append(sought)
        return self.found

    def read(self, call_back: CallBack) -> Sequence[Report]:
        """What the test says, or raise it."""
        self.seen.append(call_back)
        if isinstance(self.reports, Exception):
            raise self.reports
        return self.reports


@dataclass
class Sendonly(Scripted):
    """One that cannot be asked: SMTP is like that."""

    find = None  # type: ignore[assignment]


def ledger_of(stack: Bench) -> Ledger:
    """The ledger of one more worker."""
    return Ledger(uuid4(), stack.clock, 30, stack.people)


def hearing_of(stack: Bench) -> Hearing:
    """Who takes reports."""
    return Hearing(stack.pool, ledger_of(stack), stack.clock, lambda: None)


def reconciler_of(stack: Bench, provider: Scripted, woken: Callable[[], None] = lambda: None) -> Reconciler:
    """Who looks into what is unknown, with one provider to ask."""
    return Reconciler(
        pool=stack.pool,
        ledger=ledger_of(stack),
        clock=stack.clock,
        settings=stack.settings,
        providers={provider.name: provider},
        hearing=hearing_of(stack),
        compose=Composer(stack.settings, stack.clock).parcel,
        wake=woken,
    )


async def handed(stack: Bench, provider: str = "smtp", cause: Cause | None = None) -> None:
    """Hand over whatever is due, as a worker does, and then write what came of it."""
    ledger = ledger_of(stack)
    async with stack.pool.acquire() as connection, connection.transaction():
        claimed = await ledger.claim(connection, 100)
        standings = await ledger.people.standings(connection, claimed)
        leaving = [
            type(one)(one.claimed, one.provider, standings[one.claimed.message_id])
            for one in going(claimed, provider)
        ]
        left = await ledger.hand_over(connection, leaving)
        if cause is not None:
            reference = f"ref-{provider}" if cause is Cause.TAKEN else None
            moves = [Move(message, None, reference) for message in sorted(left)]
            await ledger.move(connection, cause, moves)


def said(what: Said, event: MessageRequested | None = None, **more: Any) -> Report:  # noqa: ANN401  any field
    """A report of a message, under an id of its own."""
    fields: dict[str, Any] = {"report_id": str(uuid4()), **more}
    message: UUID | None = event.data.message_id if event else None
    return Report(said=what, message_id=message, **fields)
