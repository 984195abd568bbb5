"""Journeys from YAML files."""

from pathlib import Path

from services.scheduler.domain.journey import Journey


def load_journeys(folder: Path) -> dict[str, Journey]:
    """Every journey of the folder's `*.yaml`, by id. Raises JourneyError with file, line and fix."""
    raise NotImplementedError
