"""Journey files: what is refused and how it is told, and that the shops' files say what was agreed."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from services.scheduler.domain import Journey
from services.scheduler.journeys import FOLDER, SCHEMA, load_journey, load_journeys, schema
from shared.errors import JourneyError

GOOD = """\
id: routine
shop: skincare
shop_name: Dewpoint
steps:
  - id: pair
    channel: email
    template: skincare/pair
    after: order
    delay: 45m
"""

SHOPS: dict[str, list[tuple[object, ...]]] = {
    "skincare-routine": [
        ("complete-your-routine", "email", "order", "45m", "percent", "10", "48h"),
        ("thank-you", "page", "order", "0d", None, None, None),
        ("expires-tonight", "sms", "order", "4h", "percent", "10", "tonight"),
        ("satisfaction-check", "email", "delivery", "1d", None, None, None),
        ("tell-support", "event", {"answer": "satisfaction-check"}, "0d", None, None, None),
        ("your-routine", "email", "delivery", "3d", None, None, None),
    ],
    "fitness-gear": [
        ("thank-you", "page", "order", "0d", None, None, None),
        ("bands-add-on", "email", "order", "30m", "free_shipping", None, "3d"),
        ("mat-add-on", "email", "order", "45m", "percent", "12", "3d"),
        ("kettlebell-bundle", "email", "order", "1h", "percent", "15", "3d"),
        ("pull-up-bar-add-on", "email", "order", "2h", "percent", "10", "3d"),
        ("gear-guide", "email", "order", "1h", None, None, None),
        ("delivered", "sms", "delivery", "0d", None, None, None),
        ("home-gym-bundle", "email", "delivery", "3d", "percent", "20", "7d"),
        ("next-level", "email", "delivery", "60d", None, None, None),
    ],
    "home-goods-four-weeks": [
        ("care-and-styling", "email", "delivery", "7d", None, None, None),
        ("brand-story", "email", "delivery", "14d", None, None, None),
        ("early-access", "email", "delivery", "21d", "early_access", None, "48h"),
        ("again-or-in-season", "email", "delivery", "28d", None, None, None),
    ],
    "grocer-next-basket": [
        ("big-basket", "sms", "order", "4h", "free_shipping", None, "3d"),
        ("next-basket", "email", "order", "1d", None, None, None),
    ],
}
CAPS = {
    "skincare-routine": [(3, "7d")],
    "fitness-gear": [(4, "14d")],
    "home-goods-four-weeks": [(4, "28d")],
    "grocer-next-basket": [(2, "7d")],
}


def write(folder: Path, text: str, name: str = "routine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def told(folder: Path, text: str) -> str:
    with pytest.raises(JourneyError) as caught:
        load_journey(write(folder, text))
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "delay: 45m",
            "delay: 45",
            "routine.yaml:9: steps.0.delay: a duration is a whole number with m, h or d",
        ),
        ("delay: 45m", "dealy: 45m", "routine.yaml:9: steps.0.dealy: there is no such field"),
        ("    delay: 45m\n", "", "routine.yaml:5: steps.0.delay: this field is needed; add it"),
        ("shop: skincare", "shop: Skin Care", "routine.yaml:2: shop: String should match pattern"),
        (
            "channel: email",
            "channel: fax",
            "routine.yaml:6: steps.0.channel: Input should be 'email', 'sms', 'push', 'webhook', 'page' or 'event'",
        ),
        ("delay: 45m", "delay: 45m\n    at: 21:00", "routine.yaml:10: steps.0.at: a time of day is written"),
        ("shop_name", "time_zone: Mars\nshop_name", "routine.yaml:3: time_zone: an IANA zone such as"),
        ("delay: 45m", "delay: 45m\n    expires: 1h", "routine.yaml:5: steps.0: expires must not be before"),
        ("id: routine", "id: [routine", "routine.yaml:2: not YAML"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_fix(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in told(tmp_path, GOOD.replace(old, new)).splitlines())


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("delay: 45m", "delay: soon").replace("id: routine", "id: Routine!")
    assert len(told(tmp_path, text).splitlines()) == 2


def test_an_offer_without_what_its_source_needs_is_a_mistake(tmp_path: Path) -> None:
    text = GOOD + "    offer: {from: [seasonal]}\n"
    assert "routine.yaml:10: steps.0.offer: from: [seasonal] needs seasons" in told(tmp_path, text)


def test_two_steps_with_one_id_are_a_mistake(tmp_path: Path) -> None:
    again = GOOD[GOOD.index("  - id") :]
    assert "two steps have the same id" in told(tmp_path, GOOD + again)


def test_two_files_with_one_journey_are_a_mistake(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "second.yaml")
    with pytest.raises(JourneyError, match=r"second\.yaml:1: another file has a journey with the id routine"):
        load_journeys(tmp_path)


@pytest.mark.parametrize("folder", ["", "absent"])
def test_a_folder_without_journeys_stops_the_start(tmp_path: Path, folder: str) -> None:
    with pytest.raises(JourneyError):
        load_journeys(tmp_path / folder)


def test_the_version_follows_the_meaning_not_the_layout(tmp_path: Path) -> None:
    plain = load_journey(write(tmp_path, GOOD))
    spaced = load_journey(write(tmp_path, "# a comment\n" + GOOD.replace("id: routine", "id:   routine")))
    other = load_journey(write(tmp_path, GOOD.replace("45m", "50m")))
    assert plain.version == spaced.version != other.version
    assert re.fullmatch("[0-9a-f]{12}", plain.version)


def test_a_published_journey_reads_back_the_same() -> None:
    for journey in load_journeys().values():
        again = Journey.model_validate_json(journey.model_dump_json())
        assert (again, again.version) == (journey, journey.version)


def test_the_schema_in_the_docs_is_the_models() -> None:
    assert SCHEMA.read_text() == schema()


def test_the_shops_files_meet_the_published_schema() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for path in FOLDER.glob("*.yaml"):
        validator.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("journey", SHOPS)
def test_the_worked_shops_have_their_exact_delays_discounts_and_caps(journey: str) -> None:
    terms = load_journeys()[journey].model_dump(mode="json")
    found = []
    for step in terms["steps"]:
        incentive = (step["offer"] or {}).get("incentive") or {}
        found.append(
            (
                *(step[name] for name in ("id", "channel", "after", "delay")),
                *(incentive.get(name) for name in ("kind", "value", "valid_for")),
            )
        )
    assert found == [(*row[:6], "2d" if row[6] == "48h" else row[6]) for row in SHOPS[journey]]
    assert [(cap["count"], cap["per"]) for cap in terms["caps"]] == CAPS[journey]


def test_every_template_that_a_journey_names_is_listed_for_those_who_write_them() -> None:
    text = SCHEMA.with_name("README.md").read_text()
    steps = [leaf.step for journey in load_journeys().values() for leaf in journey.leaves]
    named = {step.template for step in steps if step.template}
    assert named == set(re.findall(r"^\| `([a-z-]+/[a-z-]+)` \|", text, re.MULTILINE))
