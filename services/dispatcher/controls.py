"""Pauses, as the newest control of each scope says."""

from collections.abc import Iterable

from services.dispatcher.domain.policy import Switch
from shared.events import ControlSet, Event
from shared.kafka.records import Record


class Controls:
    """Every switch that was thrown, by its record's key; fed by a follower of the topic `controls`."""

    def __init__(self) -> None:
        self._switches: dict[bytes, Switch] = {}

    def take(self, record: Record, event: Event | None) -> None:
        """Note a record; a tombstone takes its switch away."""
        key = record.key or b""
        if isinstance(event, ControlSet):
            known = self._switches.get(key)
            if known is None or known.control.set_at <= event.data.set_at:
                self._switches[key] = Switch(event.shopid, event.data)
        elif event is None:
            self._switches.pop(key, None)

    def switches(self) -> Iterable[Switch]:
        """The newest of each scope."""
        return self._switches.values()
