"""Journeys and programmes from YAML files, checked; an error names the file, the line and the fix. And their JSON Schemas."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from services.scheduler.domain import Journey
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.published import Published
from shared.errors import JourneyError
from shared.yaml_file import read_yaml

_ROOT = Path(__file__).parents[2]
FOLDER = _ROOT / "journeys"
SCHEMA = _ROOT / "docs" / "journeys" / "journey.schema.json"
PROGRAMME_SCHEMA = _ROOT / "docs" / "journeys" / "programme.schema.json"

_Model = TypeVar("_Model", Journey, Programme)


@dataclass(frozen=True)
class Checked:
    """What a folder holds, by path, and every mistake in it: one line each, with file, line and fix."""

    journeys: dict[Path, Journey]
    programmes: dict[Path, Programme]
    mistakes: tuple[str, ...]


def check(folder: Path) -> Checked:
    """Read a folder's `*.yaml` (journeys) and `shops/*.yaml` (programmes), to the end whatever is wrong."""
    if not folder.is_dir():
        return Checked({}, {}, (f"{folder} is not a folder; put the journeys there or name their folder",))
    mistakes: list[str] = []
    journeys = _read(Journey, sorted(folder.glob("*.yaml")), "the journey", mistakes)
    programmes = _read(Programme, sorted((folder / "shops").glob("*.yaml")), "the programme", mistakes)
    if not journeys and not mistakes:
        mistakes.append(f"{folder} has no *.yaml; put at least one journey there")
    mistakes += _doubles(journeys, programmes)
    if not mistakes:
        mistakes += _strangers(journeys, programmes)
    return Checked(journeys, programmes, tuple(mistakes))


def load_folder(folder: Path = FOLDER) -> Published:
    """Return a folder's journeys and programmes as published for everyone. Raises JourneyError with every mistake."""
    checked = _sound(folder)
    return Published.of(checked.journeys.values(), checked.programmes.values())


def load_journeys(folder: Path = FOLDER) -> dict[str, Journey]:
    """Return every journey of the folder's `*.yaml`, by id. Raises JourneyError with file, line and fix."""
    return {journey.id: journey for journey in _sound(folder).journeys.values()}


def load_programmes(folder: Path = FOLDER) -> dict[str, Programme]:
    """Return every programme of the folder's `shops/*.yaml`, by shop. Raises JourneyError with file, line and fix."""
    return {programme.shop: programme for programme in _sound(folder).programmes.values()}


def load_journey(path: Path) -> Journey:
    """Return the journey in one file. Raises JourneyError with file, line and fix."""
    return _load(Journey, path, "the journey")


def load_programme(path: Path) -> Programme:
    """Return the programme in one file. Raises JourneyError with file, line and fix."""
    return _load(Programme, path, "the programme")


def schema() -> str:
    """Return the JSON Schema of a journey file, as it stands in docs/journeys/."""
    return _schema(Journey)


def programme_schema() -> str:
    """Return the JSON Schema of a programme file, as it stands in docs/journeys/."""
    return _schema(Programme)


def _sound(folder: Path) -> Checked:
    checked = check(folder)
    if checked.mistakes:
        raise JourneyError("\n".join(checked.mistakes))
    return checked


def _read(model: type[_Model], paths: list[Path], whole: str, mistakes: list[str]) -> dict[Path, _Model]:
    found: dict[Path, _Model] = {}
    for path in paths:
        try:
            found[path] = _load(model, path, whole)
        except JourneyError as error:
            mistakes += str(error).splitlines()
    return found


def _load(model: type[_Model], path: Path, whole: str) -> _Model:
    file = read_yaml(path, JourneyError, whole)
    try:
        return model.model_validate(file.value)
    except ValidationError as error:
        raise JourneyError(file.explain(error)) from None


def _doubles(journeys: dict[Path, Journey], programmes: dict[Path, Programme]) -> list[str]:
    found: list[str] = []
    ids: set[str] = set()
    for path, journey in journeys.items():
        if journey.id in ids:
            found.append(
                f"{path}:1: another file has a journey with the id {journey.id}; give one of them a new id"
            )
        ids.add(journey.id)
    shops: set[str] = set()
    for path, programme in programmes.items():
        if programme.shop in shops:
            found.append(f"{path}:1: another file is the programme of shop {programme.shop}; merge the two")
        shops.add(programme.shop)
    return found


def _strangers(journeys: dict[Path, Journey], programmes: dict[Path, Programme]) -> list[str]:
    """Names of journeys and shops that no file of the folder has. A shop without a programme has the defaults."""
    found: list[str] = []
    shops = {journey.shop for journey in journeys.values()}
    ids = {journey.id for journey in journeys.values()}
    for path, programme in programmes.items():
        if programme.shop not in shops:
            known = ", ".join(sorted(shops))
            found.append(
                f"{path}:1: shop: no journey is of shop {programme.shop}; correct it to one of {known}"
            )
    caps = [(path, journey.caps) for path, journey in journeys.items()]
    caps += [(path, programme.caps) for path, programme in programmes.items()]
    for path, terms in caps:
        named = {name for cap in terms for name in cap.journeys}
        found += [
            f"{path}:1: caps: no file has a journey {name}; correct it to one of {', '.join(sorted(ids))}"
            for name in sorted(named - ids)
        ]
    return found


def _schema(model: type[Journey | Programme]) -> str:
    document = model.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    PROGRAMME_SCHEMA.write_text(programme_schema())
