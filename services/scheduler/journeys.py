"""Journeys from YAML files, checked; an error names the file, the line and the fix. And their JSON Schema."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.scheduler.domain.journey import Journey
from shared.errors import JourneyError

Location = tuple[int | str, ...]

FOLDER = Path(__file__).parents[2] / "journeys"
SCHEMA = Path(__file__).parents[2] / "docs" / "journeys" / "journey.schema.json"


def load_journeys(folder: Path = FOLDER) -> dict[str, Journey]:
    """Return every journey of the folder's `*.yaml`, by id. Raises JourneyError with file, line and fix."""
    if not folder.is_dir():
        message = f"{folder} is not a folder; put the journeys there or name their folder"
        raise JourneyError(message)
    journeys: dict[str, Journey] = {}
    for path in sorted(folder.glob("*.yaml")):
        journey = load_journey(path)
        if journey.id in journeys:
            message = (
                f"{path}:1: another file has a journey with the id {journey.id}; give one of them a new id"
            )
            raise JourneyError(message)
        journeys[journey.id] = journey
    if not journeys:
        message = f"{folder} has no *.yaml; put at least one journey there"
        raise JourneyError(message)
    return journeys


def load_journey(path: Path) -> Journey:
    """Return the journey in one file. Raises JourneyError with file, line and fix."""
    text = path.read_text()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"{path}:{line}: not YAML: {error.problem}; mend the syntax there"
        raise JourneyError(message) from None
    try:
        return Journey.model_validate(value)
    except ValidationError as error:
        raise JourneyError(_explain(path, root, error)) from None


def schema() -> str:
    """Return the JSON Schema of a journey file, as it stands in docs/journeys/."""
    document = Journey.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
    return json.dumps(document, indent=2) + "\n"


def _explain(path: Path, root: yaml.Node | None, error: ValidationError) -> str:
    """List the mistakes by line: what is wrong there, what to write instead."""
    errors = error.errors(include_url=False)
    found = [(_line(root, each["loc"]), each) for each in errors if not _follows(each["loc"], errors)]
    found.sort(key=lambda each: each[0])
    return "\n".join(f"{path}:{line}: {_place(each)}: {_fix(each)}" for line, each in found)


def _follows(location: Location, errors: Sequence[ErrorDetails]) -> bool:
    """Whether the error at a location only says again that something inside is wrong."""
    inside = (each["loc"] for each in errors if each["loc"] != location)
    return any(other[: len(location)] == location for other in inside)


def _place(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"]) or "the journey"


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


if __name__ == "__main__":
    SCHEMA.write_text(schema())
