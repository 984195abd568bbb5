"""Named queries: SQL lives in `.sql` files, one `-- name: claim_due` line above each statement."""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)\s*$", re.MULTILINE)


class Queries:
    """SQL texts as attributes."""

    def __init__(self, texts: dict[str, str], source: str) -> None:
        self._texts = texts
        self._source = source

    def __getattr__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            message = f"{self._source} has no query named {name}; it has {', '.join(sorted(self._texts))}"
            raise AttributeError(message) from None

    def names(self) -> frozenset[str]:
        """Names of all queries in the file."""
        return frozenset(self._texts)


def load_queries(path: Path) -> Queries:
    """Read a file of named queries. Raises ValueError when two share a name."""
    pieces = _NAME.split(path.read_text())
    names, bodies = pieces[1::2], pieces[2::2]
    if len(set(names)) != len(names):
        message = f"{path.name}: a query name stands twice"
        raise ValueError(message)
    return Queries({name: body.strip() for name, body in zip(names, bodies, strict=True)}, path.name)
