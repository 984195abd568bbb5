"""Journeys from YAML files, checked; an error names the file, the line and the fix. And their JSON Schema."""

import json
from pathlib import Path

from pydantic import ValidationError

from services.scheduler.domain.journey import Journey
from shared.errors import JourneyError
from shared.yaml_file import read_yaml

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
    file = read_yaml(path, JourneyError, "the journey")
    try:
        return Journey.model_validate(file.value)
    except ValidationError as error:
        raise JourneyError(file.explain(error)) from None


def schema() -> str:
    """Return the JSON Schema of a journey file, as it stands in docs/journeys/."""
    document = Journey.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
