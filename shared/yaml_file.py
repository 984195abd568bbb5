"""YAML files that people write: what is wrong in one is told with file, line and fix."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.errors import OrderwakeError

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class YamlFile:
    """A file's value as plain lists, mappings and scalars, and where each part of it stands. `whole` names the whole."""

    path: Path
    value: object
    root: yaml.Node | None
    whole: str

    def mistakes(self, found: Iterable[tuple[Location, str]]) -> str:
        """One line for each mistake (where in the value, and what to write instead), in the order of the file."""
        placed = [(_line(self.root, location), location, fix) for location, fix in found]
        placed.sort(key=lambda each: each[0])
        return "\n".join(
            f"{self.path}:{line}: {'.'.join(map(str, location)) or self.whole}: {fix}"
            for line, location, fix in placed
        )

    def explain(self, error: ValidationError) -> str:
        """One line for each mistake that a model found."""
        errors = error.errors(include_url=False)
        return self.mistakes(
            (_as_written(self.value, each), _fix(each))
            for each in errors
            if not _follows(each["loc"], errors)
        )


def read_yaml(path: Path, raises: type[OrderwakeError], whole: str) -> YamlFile:
    """Read a file. `raises` is raised, with file, line and fix, where it cannot be read or is not YAML."""
    try:
        text = path.read_text()
        return YamlFile(path, yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader), whole)
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8"
        message = f"{path}: cannot be read: {problem}; put the file there or name another"
        raise raises(message) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"{path}:{line}: not YAML: {error.problem}; mend the syntax there"
        raise raises(message) from None


def _as_written(value: object, error: ErrorDetails) -> Location:
    """Return an error's location without the names of the alternatives that a model tried, which no file holds."""
    written: list[int | str] = []
    for part in error["loc"]:
        inside: dict[int | str, object] = {}
        if isinstance(value, dict):
            inside = value
        elif isinstance(value, list):
            inside = dict(enumerate(value))
        if part in inside:
            value = inside[part]
            written.append(part)
    if error["type"] == "missing":
        written.append(error["loc"][-1])
    return tuple(written)


def _follows(location: Location, errors: Sequence[ErrorDetails]) -> bool:
    """Whether the error at a location only says again that something inside is wrong."""
    inside = (each["loc"] for each in errors if each["loc"] != location)
    return any(other[: len(location)] == location for other in inside)


def _fix(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such field; correct its name or remove it"
    if error["type"] == "missing":
        return "this field is needed; add it"
    return f"{error['msg'].removeprefix('Value error, ')}; change the value"


def _line(node: yaml.Node | None, location: Location) -> int:
    """Return the line of the deepest part of `location` that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == part), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line + 1, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
