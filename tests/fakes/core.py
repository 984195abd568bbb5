"""What every fake provider behind HTTP has in common: faults, checks, the log of what it took, call-backs.

Faults at the wire, for each of them: `drop_before` (closes before it reads), `timeout_before` (reads, takes
nothing, never answers), `timeout_after` (takes it, never answers), `drop_after` (takes it, closes). Each provider
adds the answers by which it refuses.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal
from tests.fakes.callbacks import CallBack, CallBacks, Telling
from tests.fakes.fates import Fates, Planned
from tests.fakes.faults import Faults
from tests.fakes.log import ReceivedLog, read
from tests.fakes.server import Server, cut, now
from tests.fakes.specification import CONTRACTS, Specification, specification

WIRE = ("drop_before", "timeout_before", "timeout_after", "drop_after")
_RECEIVED, _CALLED_BACK, _LISTED = "received.jsonl", "called_back.jsonl", 200
Entry = dict[str, Any]


class HttpFake(Server, ABC):
    """A server on 127.0.0.1. While `gate` is cleared nothing that is accepted is answered.

    `callback_url` is where call-backs go (none without it), `public_url` the address that they are signed for, if
    that is another; `fates` says which. `finds` are the faults that questions meet. `checked` says whether requests
    are held against the published specification, which lies beside the repository; what does not fit it is
    counted in `violation_count`, and the first of it listed in `violations`.
    """

    kind: ClassVar[str]
    specification: ClassVar[str] = ""
    form: ClassVar[str] = ""
    """The path in the specification to which a form is posted, if it is one."""
    refusals: ClassVar[Mapping[str, Refusal]]
    codes: ClassVar[tuple[str, ...]] = ()
    """Fates besides FATES: what it may say later about a message that it took."""
    drops: ClassVar[bool] = False
    """Whether it takes a message to an address that it knows to be dead, and drops it."""
    stops: ClassVar[frozenset[int]] = frozenset()
    """Answers to a call-back that it takes as an end."""

    def __init__(  # noqa: PLR0913  the knobs of a fake
        self,
        folder: Path,
        faults: Faults | None = None,
        *,
        callback_url: str = "",
        public_url: str = "",
        fates: Fates | None = None,
        check: bool = True,
        posting: int = 1,
        tries: int = 12,
        clock: Callable[[], datetime] = now,
    ) -> None:
        super().__init__()
        self.faults = faults or Faults()
        self.finds = Faults()
        self.fates = fates or Fates()
        self.callback_url = callback_url
        self.public_url = public_url
        self.clock = clock
        self.requests = 0
        self.violations: list[str] = []
        self.violation_count = 0
        self.stopped: set[str] = set()
        self.dead: set[str] = set()
        self.last: Ask | None = None
        self.check = check
        self._specification = self.published() if check else None
        self._received = ReceivedLog(folder / _RECEIVED)
        self._called_back = ReceivedLog(folder / _CALLED_BACK)
        self.entries: dict[str, Entry] = {entry["reference"]: entry for entry in self.received()}
        self.call_backs = CallBacks(self.stops, tries, posting)

    @classmethod
    def faults_known(cls) -> tuple[str, ...]:
        """Names of all faults."""
        return (*WIRE, *cls.refusals)

    @property
    def checked(self) -> bool:
        """Whether requests are held against a published specification."""
        return self._specification is not None

    @property
    def credentials(self) -> dict[str, str]:
        """What a client needs besides the address."""
        return {}

    async def start(self, port: int = 0) -> None:
        """Listen, and tell what is due."""
        await super().start(port)
        self.call_backs.start()

    async def stop(self) -> None:
        """Let stalled requests go, forget what was not told, close; once."""
        if self.closing.is_set():
            return
        await self.call_backs.stop()
        await super().stop()
        self._received.close()
        self._called_back.close()

    async def settle(self) -> None:
        """Wait until every call-back was taken, or given up."""
        await self.call_backs.settle()

    def received(self) -> list[Entry]:
        """What was accepted, in order; see Accepted for what an entry says."""
        return read(self._received.path)

    def called_back(self) -> list[Entry]:
        """Every attempt at a call-back, in order: `reference`, `k`, `event`, `status` (0: no answer)."""
        return read(self._called_back.path)

    def status(self) -> dict[str, Any]:
        """Counts, as a process tells them."""
        return {
            "requests": self.requests,
            "accepted": len(self.entries),
            "checked": self.checked,
            "violation_count": self.violation_count,
            "violations": self.violations,
            "call_backs_pending": self.call_backs.pending,
            "call_backs_refused": self.call_backs.refused,
        }

    def inbound(self, sender: str, text: str, to: str = "") -> None:
        """A person's SMS to us: STOP and START are heeded, and told. Raises TypeError where people cannot write."""
        del sender, text, to
        message = f"nobody can write back through {self.kind}"
        raise TypeError(message)

    @abstractmethod
    def refuse(self, ask: Ask) -> Refusal | None:
        """What is wrong with a request in the provider's eyes: credentials, then content."""

    @abstractmethod
    def accept(self, ask: Ask) -> Accepted:
        """Take a message."""

    def report(self, entry: Entry, event: str, detail: str) -> Any:  # noqa: ANN401  the provider's shape
        """The payload by which an event is told; None if it tells no such event."""
        del entry, event, detail

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """The request that tells `payload`, signed now. Raises TypeError where nothing is ever told."""
        del entry, payload
        message = f"{self.kind} calls nobody back"
        raise TypeError(message)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """What an event changes in the provider's state."""
        del detail
        if event in ("bounced", "complained"):
            self.dead.add(entry["to"])

    def published(self) -> Specification | None:
        """The published specification, if it is here."""
        path = CONTRACTS / "openapi" / self.specification
        return specification(path) if self.specification and path.exists() else None

    def found_wrong(self, ask: Ask) -> list[str]:
        """What in a request breaks the specification."""
        checks, fields = self._specification, ask.form if self.form else ()
        if checks is None:
            return []
        return [*checks.violations(ask.request, ask.body), *checks.unknown(self.form, fields)]

    def refused(self, fault: str, ask: Ask) -> Refusal:
        """The answer of a fault by name."""
        del ask
        return self.refusals[fault]

    def note(self, violations: list[str]) -> None:
        """Count what broke the specification."""
        self.violation_count += len(violations)
        self.violations += violations[: max(0, _LISTED - len(self.violations))]

    async def read(self, request: web.Request) -> Ask:
        """Read a request to its end and check it."""
        ask = Ask(request, await request.read())
        self.requests += 1
        self.last = ask
        self.note(self.found_wrong(ask))
        return ask

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Take a message, or meet the next fault."""
        fault = self.faults.take()
        if fault == "drop_before":
            self.requests += 1
            return cut(request)
        ask = await self.read(request)
        refusal = self.refuse(ask)
        if refusal is None and fault is not None and fault in self.refusals:
            refusal = self.refused(fault, ask)
        if refusal is not None:
            return refusal.response()
        if fault == "timeout_before":
            return await self.stall()
        accepted = self.accept(ask)
        if accepted.entry is not None:
            self._keep(accepted.entry)
        if fault == "timeout_after":
            return await self.stall()
        if fault == "drop_after":
            return cut(request)
        await self.gate.wait()
        return accepted.response

    async def found(self, answer: Mapping[str, Any] | None) -> web.StreamResponse:
        """What a question finds, unless it meets a fault; None: nothing by that name."""
        fault = self.finds.take()
        if fault is not None:
            refusal = self.refusals.get(fault)
            return refusal.response() if refusal else await self.stall()
        return web.json_response(answer, status=200 if answer is not None else 404)

    def tell_inbound(self, entry: Entry, payload: Any) -> None:  # noqa: ANN401  the provider's shape
        """Tell of a person's message, if anybody is to be told."""
        if self.callback_url:
            self.call_backs.plan(0, lambda: self.tell(entry, "inbound", payload))

    def tell(self, entry: Entry, event: str, payload: Any, times: int = 1) -> Telling:  # noqa: ANN401  the provider's shape
        """An event on its way."""

        def told(status: int) -> None:
            self._called_back.append(
                {"reference": entry["reference"], "k": entry.get("k", ""), "event": event, "status": status}
            )

        return Telling(lambda: self.sign(entry, payload), told, times)

    def _keep(self, entry: Entry) -> None:
        self._received.append(entry)
        self.entries[entry["reference"]] = entry
        dropped = self.drops and entry["to"] in self.dead | self.stopped
        for planned in self.fates.plan("dropped" if dropped else None):
            self.call_backs.plan(planned.after, partial(self._happen, entry, planned))

    def _happen(self, entry: Entry, planned: Planned) -> Telling | None:
        event, _, detail = planned.event.partition(":")
        self.happened(entry, event, detail)
        payload = self.report(entry, event, detail) if self.callback_url else None
        return None if payload is None else self.tell(entry, planned.event, payload, planned.times)
