"""Tables as a batch sees them."""

from collections.abc import Iterable, Mapping

from shared.kafka.faust.stores import Store


class PartitionTable:
    """One table's partition during one batch. Reads see the batch's own writes; a key's last write wins.

    Writes are kept here until the batch has been processed; then changelog and store get them as one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changes: dict[bytes, bytes | None] = {}

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the values of those keys that have one."""
        wanted = set(keys)
        found = self._store.get_many(wanted - self.changes.keys())
        for key in wanted & self.changes.keys():
            value = self.changes[key]
            if value is not None:
                found[key] = value
        return found

    def get(self, key: bytes) -> bytes | None:
        """Return one key's value; for many, `get_many` costs one look-up in all."""
        return self.get_many((key,)).get(key)

    def set_many(self, values: Mapping[bytes, bytes | None]) -> None:
        """Write values; None deletes."""
        self.changes.update(values)

    def set(self, key: bytes, value: bytes | None) -> None:
        """Write one value; None deletes."""
        self.changes[key] = value


Tables = Mapping[str, PartitionTable]
