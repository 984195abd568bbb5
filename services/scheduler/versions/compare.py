"""Two versions of a journey or a programme, field by field, in the words of the file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from services.scheduler.versions.publications import Item

_NAMES = ("id", "experiment", "name")
ABSENT = object()


class Field(NamedTuple):
    """One field that differs: its place, such as `steps.pair.delay`, and its values; ABSENT where there is none."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.old is ABSENT:
            return f"{self.path}: added{_summary(self.new)}"
        if self.new is ABSENT:
            return f"{self.path}: removed{_summary(self.old)}"
        return f"{self.path}: {word(self.old)} -> {word(self.new)}"

    def as_data(self) -> dict[str, Any]:
        """Return it for machines; what is absent is left out."""
        sides = {"old": self.old, "new": self.new}
        return {"field": self.path} | {key: value for key, value in sides.items() if value is not ABSENT}


def differences(old: Item, new: Item) -> list[Field]:
    """List the fields that differ, in the order of the file; defaults count as if they were written."""
    return list(_differences(_plain(old), _plain(new), ""))


def fields_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Field]:
    """List the fields that differ between two parts, written out."""
    return list(_differences(old, new, ""))


def word(value: object) -> str:
    """Return a value as a file has it, on one line."""
    if value is None or value in ((), [], {}):
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{key}: {word(each)}" for key, each in value.items() if each not in (None, [], {}))
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(word(each) for each in value) + "]"
    return str(value)


def _plain(item: Item) -> dict[str, Any]:
    return item.model_dump(mode="json", by_alias=True)


def _differences(old: Any, new: Any, path: str) -> Iterator[Field]:  # noqa: ANN401  any JSON value
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key, ABSENT), new.get(key, ABSENT), f"{path}.{key}".lstrip("."))
    elif _named(old) and _named(new):
        before, after = _by_name(old), _by_name(new)
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key, ABSENT), after.get(key, ABSENT), f"{path}.{key}")
        kept = [key for key in before if key in after]
        if kept != [key for key in after if key in before]:
            yield Field(f"{path} (order)", kept, [key for key in after if key in before])
    elif old != new:
        yield Field(path, old, new)


def _named(value: object) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _by_name(entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return entries by what they are called, else by their place."""
    found: dict[str, Mapping[str, Any]] = {}
    for place, entry in enumerate(entries, start=1):
        name = next((str(entry[key]) for key in _NAMES if entry.get(key)), None)
        kind = "branch " if "branch" in entry else ""
        found[name if name and name not in found else f"{kind}{place}"] = entry
    return found


def _summary(value: object) -> str:
    if not isinstance(value, Mapping):
        return f" {word(value)}"
    said = [
        f"{key} {word(value[key])}"
        for key in ("channel", "after", "delay", "if")
        if value.get(key) is not None
    ]
    return f" ({', '.join(said)})" if said else ""
