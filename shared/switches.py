"""The switches that people and guards throw: which are in force, and what they bear on."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.events import Channel, Control, ControlSet, Event

EVERY = "*"
"""In an envelope's `shopid` and in a key: all of them."""
GUARD = "guard"
"""Who threw the switch, where no person did."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a switch bears on: a shop, a journey, a channel, or what they have in common; None is every one."""

    shop: str | None = None
    journey: str | None = None
    channel: Channel | None = None

    def holds(self, shop: str, journey: str, channel: str) -> bool:
        """Whether a step or message of this journey on this channel is meant."""
        return (
            self.shop in (None, shop) and self.journey in (None, journey) and self.channel in (None, channel)
        )

    def includes(self, other: "Scope") -> bool:
        """Whether all that `other` means is meant here too."""
        return (
            self.shop in (None, other.shop)
            and self.journey in (None, other.journey)
            and self.channel in (None, other.channel)
        )

    def __str__(self) -> str:
        shop = f"shop {self.shop}" if self.shop else "every shop"
        where = f"journey {self.journey} of {shop}" if self.journey else shop
        return f"{where} on {self.channel}" if self.channel else where


@dataclass(frozen=True, slots=True)
class Switch:
    """A control with the shop that it stands in, or `EVERY`."""

    shop: str
    control: Control

    @property
    def scope(self) -> Scope:
        """What it bears on."""
        shop = None if self.shop == EVERY else self.shop
        return Scope(shop, self.control.journey, self.control.channel)


def switch_key(scope: Scope, control: Control) -> bytes:
    """Key of a control on its topic.

    Each action of a scope has a key of its own, and so has the guard: compaction keeps the last of each, and a stop of
    the guard's that is published twice cannot push out what a person did between.
    """
    parts = [scope.shop, scope.journey, scope.channel, control.action]
    if control.set_by == GUARD:
        parts.append(GUARD)
    return "|".join(part or EVERY for part in parts).encode()


_STRICTNESS = {"resume": 0, "pause": 1, "stop": 2}


@dataclass
class Switchboard:
    """The last record of each key, as compaction keeps them too; of a scope's, the newest `set_at` is in force."""

    _records: dict[bytes, Switch] = field(default_factory=dict)
    _standing: dict[Scope, Switch] = field(default_factory=dict)
    _resumed: dict[Scope, datetime] = field(default_factory=dict)

    def take(self, key: bytes, event: Event | None) -> None:
        """Note a record; a tombstone takes its switch away."""
        self._records.pop(key, None)
        if isinstance(event, ControlSet):
            self._records[key] = Switch(event.shopid, event.data)
        self._standing = {}
        self._resumed = {}
        for switch in sorted(self._records.values(), key=_precedence):
            self._standing[switch.scope] = switch
            if switch.control.action == "resume":
                self._resumed[switch.scope] = switch.control.set_at

    def standing(self, scope: Scope) -> Switch | None:
        """What was done last to exactly this scope."""
        return self._standing.get(scope)

    def thrown(self) -> list[Switch]:
        """Every scope's pause or stop that was not resumed."""
        return [switch for switch in self._standing.values() if switch.control.action != "resume"]

    def paused(self) -> list[Scope]:
        """Every scope that is paused."""
        return [switch.scope for switch in self.thrown() if switch.control.action == "pause"]

    def stopped(self, shop: str, journey: str, channel: str) -> str | None:
        """Who stopped these, and why, if anyone did."""
        for switch in self.thrown():
            control = switch.control
            if control.action == "stop" and switch.scope.holds(shop, journey, channel):
                return f"{control.set_by}: {control.why}"
        return None

    def resumed_at(self, scope: Scope) -> datetime | None:
        """When exactly this scope was last resumed, whatever was done to it since."""
        return self._resumed.get(scope)


def _precedence(switch: Switch) -> tuple[datetime, int]:
    return switch.control.set_at, _STRICTNESS[switch.control.action]
