"""What a table's partition keeps on this worker, and up to which changelog offset."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch

Changes = Mapping[bytes, bytes | None]
Kind = Literal["memory", "rocksdb"]


class Store(Protocol):
    """One partition of one table. `offset` is the last changelog offset that it holds, -1 for none."""

    offset: int

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the values of those keys that have one."""
        ...

    def apply(self, changes: Changes, offset: int) -> None:
        """Write `changes` (None deletes) and `offset` together: both or neither."""
        ...

    def close(self) -> None:
        """Let go of files; what was applied stays."""
        ...

    def clear(self) -> None:
        """Forget everything; the store is closed and cannot be used again."""
        ...


class MemoryStore:
    """A dict; empty again after a restart."""

    def __init__(self) -> None:
        self.offset = -1
        self._data: dict[bytes, bytes] = {}

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:  # noqa: D102  Store's
        return {key: self._data[key] for key in keys if key in self._data}

    def apply(self, changes: Changes, offset: int) -> None:  # noqa: D102  Store's
        for key, value in changes.items():
            if value is None:
                self._data.pop(key, None)
            else:
                self._data[key] = value
        self.offset = offset

    def close(self) -> None:  # noqa: D102  Store's
        self._data = {}

    def clear(self) -> None:  # noqa: D102  Store's
        self._data = {}


class RocksStore:
    """RocksDB; changes and offset are one write batch, read back with multi-get."""

    _OFFSET_KEY = b"\0orderwake-changelog-offset"
    _WRITE_BUFFER_BYTES = 16 * 1024 * 1024

    def __init__(self, path: Path, cache: Cache) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        table = BlockBasedOptions()
        table.set_block_cache(cache)
        table.set_bloom_filter(10, block_based=False)
        options = Options(raw_mode=True)
        options.create_if_missing(True)  # noqa: FBT003  rocksdict's signature
        options.set_write_buffer_size(self._WRITE_BUFFER_BYTES)
        options.set_block_based_table_factory(table)
        self._db = Rdict(str(path), options=options, access_type=AccessType.read_write())
        self.offset = int(self._db.get(self._OFFSET_KEY) or b"-1")

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:  # noqa: D102  Store's
        wanted: list[Any] = list(keys)
        found = self._db.get(wanted) or []
        return {key: value for key, value in zip(wanted, found, strict=True) if value is not None}

    def apply(self, changes: Changes, offset: int) -> None:  # noqa: D102  Store's
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self._OFFSET_KEY, str(offset).encode())
        self._db.write(batch)
        self.offset = offset

    def close(self) -> None:  # noqa: D102  Store's
        self._db.close()

    def clear(self) -> None:  # noqa: D102  Store's
        self._db.close()
        shutil.rmtree(self._path)


class Stores:
    """The stores open on this worker, by table and partition. RocksDB files lie under `folder`."""

    _CACHE_BYTES = 64 * 1024 * 1024

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._open: dict[tuple[str, int], Store] = {}
        self._cache = Cache(self._CACHE_BYTES) if kind == "rocksdb" else None

    def get(self, table: str, partition: int) -> Store:
        """Return the store, opened if need be."""
        place = table, partition
        if place not in self._open:
            self._open[place] = self._new(table, partition)
        return self._open[place]

    def keep_only(self, places: Iterable[tuple[str, int]]) -> None:
        """Close all others."""
        for place in set(self._open) - set(places):
            self._open.pop(place).close()

    def discard(self, table: str, partition: int) -> None:
        """Forget a store whose content cannot be trusted; it will be rebuilt from the changelog."""
        self.get(table, partition).clear()
        del self._open[table, partition]

    def _new(self, table: str, partition: int) -> Store:
        if self._cache is None:
            return MemoryStore()
        return RocksStore(self._folder / table / str(partition), self._cache)
