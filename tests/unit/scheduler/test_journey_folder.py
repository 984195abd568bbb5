"""A folder of journeys and programmes: everything wrong in it is told at once, by command too; editors know both kinds."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from services.cli import cli
from services.scheduler.journeys import (
    FOLDER,
    PROGRAMME_SCHEMA,
    SCHEMA,
    check,
    load_folder,
    load_programmes,
    programme_schema,
    schema,
)
from shared.errors import JourneyError

JOURNEY = """\
id: routine
shop: skincare
shop_name: Dewpoint
steps:
  - {id: pair, channel: email, template: skincare/pair, after: order, delay: 45m}
"""
FILES = sorted(FOLDER.glob("*.yaml"))
PROGRAMMES = sorted(FOLDER.glob("shops/*.yaml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shops").mkdir()
    (tmp_path / "routine.yaml").write_text(JOURNEY)
    (tmp_path / "shops" / "skincare.yaml").write_text("shop: skincare\napproval: two\n")
    return tmp_path


def test_a_folder_is_published_with_its_shops_programmes(folder: Path) -> None:
    published = load_folder(folder)
    assert [each.journey.id for each in published.editions] == ["routine"]
    assert published.programme("skincare").approval == "two"
    assert list(load_programmes(folder)) == ["skincare"]


def test_a_shop_without_a_programme_has_the_defaults(folder: Path) -> None:
    (folder / "shops" / "skincare.yaml").unlink()
    assert load_folder(folder).programme("skincare").approval == "one"


def test_mistakes_of_all_files_are_told_at_once(folder: Path) -> None:
    (folder / "routine.yaml").write_text(JOURNEY.replace("45m", "45"))
    (folder / "shops" / "skincare.yaml").write_text("shop: skincare\napproval: three\n")
    found = [each.replace(f"{folder}/", "") for each in check(folder).mistakes]
    assert [each.split(": ")[0] for each in found] == ["routine.yaml:5", "shops/skincare.yaml:2"]
    with pytest.raises(JourneyError, match=r"routine\.yaml:5.*\n.*skincare\.yaml:2"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("second.yaml", JOURNEY, "another file has a journey with the id routine"),
        ("shops/second.yaml", "shop: skincare", "another file is the programme of shop skincare"),
        ("shops/other.yaml", "shop: other", "no journey is of shop other; correct it to one of skincare"),
        (
            "other.yaml",
            JOURNEY.replace("routine", "other") + "caps: [{count: 1, per: 1d, journeys: [routin]}]",
            "no file has a journey routin; correct it to one of other, routine",
        ),
    ],
)
def test_files_that_do_not_fit_together_are_a_mistake(
    folder: Path, file: str, text: str, expected: str
) -> None:
    (folder / file).write_text(text)
    (mistake,) = check(folder).mistakes
    assert expected in mistake


def test_the_command_tells_every_mistake_and_fails(folder: Path) -> None:
    good = CliRunner().invoke(cli, ["journeys", "check", str(folder), "--json"])
    assert (good.exit_code, json.loads(good.stdout)["mistakes"]) == (0, [])
    (folder / "routine.yaml").write_text(JOURNEY.replace("45m", "45"))
    bad = CliRunner().invoke(cli, ["journeys", "check", str(folder)])
    assert bad.exit_code == 1
    assert "routine.yaml:5: steps.0.delay: a duration is a whole number" in bad.stderr
    absent = CliRunner().invoke(cli, ["journeys", "check", str(folder / "absent")])
    assert "is not a folder" in absent.stderr


def test_both_schemas_are_current() -> None:
    fix = "run: python -m services.scheduler.journeys"
    assert SCHEMA.read_text() == schema(), fix
    assert PROGRAMME_SCHEMA.read_text() == programme_schema(), fix


@pytest.mark.parametrize("path", [*FILES, *PROGRAMMES], ids=lambda path: path.stem)
def test_editors_find_the_schema_of_each_file_and_it_takes_the_file(path: Path) -> None:
    programme = path in PROGRAMMES
    home = "../../docs/journeys/programme" if programme else "../docs/journeys/journey"
    first = path.read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={home}.schema.json"
    rules = json.loads((PROGRAMME_SCHEMA if programme else SCHEMA).read_text())
    jsonschema.validate(json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str)), rules)
