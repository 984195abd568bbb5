"""Holding a journey on a channel whose content providers refuse: a pause like a person's, and an operator is told."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.dispatcher.domain.breaker import CAMPAIGN_LOOKS_BACK, Campaign
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import Answer, Fault, Result
from shared import metrics
from shared.clock import Clock
from shared.events import Control, ControlSet
from shared.ids import event_id
from shared.kafka.outbox import Outgoing
from shared.switches import Scope, switch_key
from shared.topics import CONTROLS

log = structlog.get_logger()

WHO = "dispatcher"
SOURCE = "orderwake/dispatcher"


@dataclass(frozen=True, slots=True)
class Trip:
    """A campaign to hold, since business time `at`, and why."""

    scope: Scope
    at: datetime
    why: str

    def outgoing(self) -> Outgoing:
        """The pause, as `orderwake pause` would throw it."""
        scope = self.scope
        control = Control(
            action="pause",
            journey=scope.journey,
            channel=scope.channel,
            set_at=self.at,
            set_by=WHO,
            why=self.why,
        )
        event = ControlSet(
            id=event_id(WHO, scope.shop, scope.journey, scope.channel, self.at.isoformat()),
            source=SOURCE,
            time=self.at,
            shopid=str(scope.shop),
            data=control,
        )
        return Outgoing(CONTROLS.name, switch_key(scope, control), event.encode())


class Campaigns:
    """Counts refusals of content by shop, journey and channel, in one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._campaigns: defaultdict[Scope, Campaign] = defaultdict(Campaign)

    def hear(self, claimed: Claimed, answer: Answer) -> Trip | None:
        """Note an answer; what to hold because of it."""
        message = claimed.event.data
        scope = Scope(claimed.event.shopid, message.journey, message.channel)
        return self._note(scope, answer.result, answer.fault, answer.reason)

    def hear_report(self, scope: Scope, reason: str) -> Trip | None:
        """Note that content was refused after all, as carriers filter what a provider took; what to hold because of it."""
        return self._note(scope, Result.REJECTED, Fault.CONTENT, reason)

    def _note(self, scope: Scope, result: Result, fault: Fault | None, reason: str | None) -> Trip | None:
        refusals = self._campaigns[scope].hear(result, fault)
        if refusals is None:
            return None
        why = f"providers refused the content of {refusals} of the last {CAMPAIGN_LOOKS_BACK} messages: {reason}"
        log.error("campaign_held", shop=scope.shop, journey=scope.journey, channel=scope.channel, why=why)
        metrics.CAMPAIGNS_HELD.labels(scope.channel).inc()
        return Trip(scope, self._clock.business(), why)
