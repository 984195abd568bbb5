"""What is fed to dispatchers that die: batches of messages, each with the fault that its far end will meet it with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.events import Channel, CustomerRecorded, EngagementKind, Event, MessageRequested
from tests.support.dispatcher_fated import Plan
from tests.support.messages import START, customer, engagement, message


class Fate(StrEnum):
    """What meets a message on its way."""

    NOTHING = "nothing"
    LOST_AFTER = "no answer, taken"
    LOST_BEFORE = "no answer, not taken"
    LATER = "not taken yet"
    NEVER = "turned down"
    FORBIDDEN = "no consent"
    EARLY = "consent read later"


_FAULTS: Mapping[Channel, Mapping[Fate, str]] = {
    Channel.EMAIL: {
        Fate.LOST_AFTER: "drop_taken",
        Fate.LOST_BEFORE: "drop_lost",
        Fate.LATER: "4xx",
        Fate.NEVER: "5xx",
    },
    Channel.SMS: {
        Fate.LOST_AFTER: "timeout_after",
        Fate.LOST_BEFORE: "timeout_before",
        Fate.LATER: "429",
        Fate.NEVER: "21211",
    },
}


@dataclass
class Feed:
    """Makes batches; `plan` is what the far ends look up."""

    plan: Plan
    fates: dict[str, Fate] = field(default_factory=dict)
    messages: list[MessageRequested] = field(default_factory=list)
    _early: list[CustomerRecorded] = field(default_factory=list)
    _number: int = 0

    def batch(self) -> list[Event]:
        """One message of each fate on each channel, and their customers; those of the early ones come with the next batch."""
        people, made = self.rest(), []
        for channel in (Channel.EMAIL, Channel.SMS):
            for fate in Fate:
                self._number += 1
                person = customer(self._number, granted=fate is not Fate.FORBIDDEN)
                (self._early if fate is Fate.EARLY else people).append(person)
                made.append(self._message(channel, fate))
        self.messages += made
        return [*people, *made]

    def due(self) -> list[MessageRequested]:
        """The messages that can come to an end now."""
        early = {each.customerid for each in self._early}
        return [each for each in self.messages if each.customerid not in early]

    def rest(self) -> list[Event]:
        """The customers that were not told yet."""
        told, self._early = self._early, []
        return [*told]

    def opened(self, taken: Mapping[str, int]) -> list[Event]:
        """That people opened what they got, for which there is no other proof."""
        return [
            engagement(int(str(each.customerid)[1:]), EngagementKind.OPENED, START, each.data.message_id)
            for each in self.messages
            if each.data.channel is Channel.EMAIL and str(each.data.message_id) in taken
        ]

    def _message(self, channel: Channel, fate: Fate) -> MessageRequested:
        made = message(self._number, channel)
        fault = _FAULTS[channel].get(fate)
        if fault is not None:
            self.plan[made.data.recipient] = fault
        self.fates[str(made.data.message_id)] = fate
        return made
