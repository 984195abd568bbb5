"""The file of hand-made relations: read at the start, and again when it has changed. And its JSON Schema."""

import json
from pathlib import Path

import structlog
from pydantic import ValidationError

from services.recommender.domain.relations import NO_RULES, Relations, Rules, contradictions
from shared.errors import RelationsError
from shared.yaml_file import read_yaml

EXAMPLE = Path(__file__).parents[2] / "relations.yaml"
SCHEMA = Path(__file__).parents[2] / "docs" / "relations" / "relations.schema.json"

log = structlog.get_logger()

Seen = tuple[int, int, int]


def load_relations(path: Path) -> Relations:
    """Return what a file says. Raises RelationsError with file, line and fix."""
    file = read_yaml(path, RelationsError, "the file")
    try:
        said = Relations.model_validate(file.value)
    except ValidationError as error:
        raise RelationsError(file.explain(error)) from None
    if mistakes := file.mistakes(contradictions(said)):
        raise RelationsError(mistakes)
    return said


def schema() -> str:
    """Return the JSON Schema of the file, as it stands in docs/relations/."""
    document = Relations.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
    return json.dumps(document, indent=2) + "\n"


class RelationsFile:
    """Each shop's rules, as the file has them; without a file nobody has any."""

    def __init__(self, path: Path | None) -> None:
        """Read the file. Raises RelationsError with file, line and fix."""
        self._path = path
        self._seen: Seen | None = None
        self._rules: dict[str, Rules] = {}
        self.version: int | None = None
        if path is not None:
            self._take(load_relations(path))
            self._seen = _seen(path)

    def of(self, shop: str) -> Rules:
        """One shop's rules."""
        return self._rules.get(shop, NO_RULES)

    def refresh(self) -> frozenset[str]:
        """Read the file again if it has changed; returns the shops whose rules are others now.

        A file that cannot be used changes nothing: what was in force stays so, and an error is logged.
        """
        if self._path is None or (seen := _seen(self._path)) == self._seen:
            return frozenset()
        self._seen = seen
        before = self._rules
        try:
            self._take(load_relations(self._path))
        except RelationsError as error:
            log.error("relations_unusable", in_force=self.version, error=str(error))  # noqa: TRY400  no traceback: it says all
            return frozenset()
        changed = {shop for shop in (*before, *self._rules) if before.get(shop, NO_RULES) != self.of(shop)}
        log.info("relations_in_force", version=self.version, changed=len(changed))
        return frozenset(changed)

    def _take(self, said: Relations) -> None:
        self._rules = {shop: Rules.of(one) for shop, one in said.shops.items()}
        self.version = said.version


def _seen(path: Path) -> Seen | None:
    """What tells one state of a file from another without reading it; follows a mounted configuration's links."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


if __name__ == "__main__":
    SCHEMA.write_text(schema())
