"""Pauses and stops, as a follower of the topic `controls` reads them."""

from shared.events import Event
from shared.kafka.records import Record
from shared.switches import Switch, Switchboard


class Controls:
    """What is thrown now, in every scope."""

    def __init__(self) -> None:
        self._board = Switchboard()

    def take(self, record: Record, event: Event | None) -> None:
        """Note a record."""
        self._board.take(record.key or b"", event)

    def switches(self) -> list[Switch]:
        """Every pause and stop that was not resumed."""
        return self._board.thrown()
