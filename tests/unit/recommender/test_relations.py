"""What merchandisers say by hand: what is refused and how it is told, and what it does to the counts' candidates."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from services.recommender.domain.relations import NO_RULES, Rules, ShopRelations
from services.recommender.relations import EXAMPLE, SCHEMA, RelationsFile, load_relations, schema
from shared.errors import RelationsError
from tests.support.serving import candidate

GOOD = """\
version: 3
shops:
  fitness:
    pins:
      - {product: bell, show: [mat, guide]}
      - {category: bands, show: [anchor]}
    bans:
      - product: chalk
      - {product: rope, beside: bell}
    relations:
      - {product: care, is: warranty, of: bench}
      - {product: pro-mat, is: premium, of: mat}
"""
PLACES = Path(__file__).parents[3]


def write(folder: Path, text: str) -> Path:
    path = folder / "relations.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return RelationsFile(write(tmp_path, GOOD)).of("fitness")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 3\n", "", "relations.yaml:1: version: this field is needed; add it"),
        ("pins:", "pin:", "relations.yaml:4: shops.fitness.pin: there is no such field"),
        ("{product: bell, show", "{show", "relations.yaml:5: shops.fitness.pins.0: give one of product"),
        (
            "[anchor]",
            "[anchor, anchor]",
            "relations.yaml:6: shops.fitness.pins.1: show names a product twice",
        ),
        ("[anchor]", "[]", "relations.yaml:6: shops.fitness.pins.1.show: Tuple should have at least 1 item"),
        (
            "[mat, guide]",
            "[mat, bell]",
            "relations.yaml:5: shops.fitness.pins.0: show names the product itself",
        ),
        (
            "[mat, guide]",
            "[mat, chalk]",
            "relations.yaml:5: shops.fitness.pins.0.show.1: chalk is banned there",
        ),
        ("[mat, guide]", "[rope]", "relations.yaml:5: shops.fitness.pins.0.show.0: rope is banned there"),
        ("category: bands", "product: bell", "relations.yaml:6: shops.fitness.pins.1: bell has pins already"),
        ("of: bench", "of: care", "relations.yaml:11: shops.fitness.relations.0: a product has no relation"),
        ("is: warranty", "is: nice", "relations.yaml:11: shops.fitness.relations.0.is: Input should be"),
        (
            "product: care,",
            "product: chalk,",
            "relations.yaml:11: shops.fitness.relations.0.product: chalk is",
        ),
        (
            "product: chalk",
            "product: 1.5",
            "relations.yaml:8: shops.fitness.bans.0.product: an id must be text",
        ),
        ("version: 3", "version: [3", "relations.yaml:2: not YAML"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_fix(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(RelationsError) as caught:
        load_relations(write(tmp_path, GOOD.replace(old, new)))
    assert expected in str(caught.value).replace(f"{tmp_path}/", "")


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(RelationsError, match=r"none\.yaml: cannot be read: No such file"):
        RelationsFile(tmp_path / "none.yaml")


def test_without_a_file_nothing_is_said_by_hand() -> None:
    file = RelationsFile(None)
    assert (file.of("fitness"), file.version, file.refresh()) == (NO_RULES, None, frozenset())


def test_a_products_pins_lead_its_categorys_follow_then_what_is_made_for_it(rules: Rules) -> None:
    assert rules.beside("bell", "bands") == {"mat": "pinned", "guide": "pinned", "anchor": "pinned"}
    assert rules.beside("bench", None) == {"care": "warranty"}
    assert rules.beside("anchor", "bands") == {}
    assert rules.premium("mat") == {"pro-mat": "premium"}


def test_a_ban_holds_everywhere_or_beside_one_product(rules: Rules) -> None:
    assert rules.bans("chalk")
    assert rules.bans("rope", "mat", "bell")
    assert not rules.bans("rope", "mat")
    assert not rules.bans("bell", "rope")


def test_what_is_put_first_keeps_its_evidence(rules: Rules) -> None:
    counted = (candidate("rope", 300, 0.5), candidate("chalk", 200, 0.4), candidate("guide", 150, 0.3))
    found = rules.put_first(
        "bell",
        rules.beside("bell", "kettlebell"),
        (*counted, candidate("bench", 10, 0.01)),
        {"mat": candidate("mat", 7, 0.007)}.get,
    )
    assert [(one.product_id, one.relation, one.support, one.reliable) for one in found] == [
        ("mat", "pinned", 7, False),
        ("guide", "pinned", 150, True),
        ("bench", "pair", 10, False),
    ]


def test_a_pin_without_evidence_says_so(rules: Rules) -> None:
    (care,) = rules.put_first("bench", rules.beside("bench", None), ())
    assert (care.relation, care.support, care.score, care.reliable) == ("warranty", 0, 0.0, False)


def test_without_rules_candidates_stay_as_they_are() -> None:
    counted = (candidate("rope", 300, 0.5), candidate("chalk", 200, 0.4))
    assert NO_RULES.put_first("bell", NO_RULES.beside("bell", "bands"), counted) == counted


def test_a_banned_category_pin_is_only_banned_where_it_is_said() -> None:
    said = {
        "pins": [{"category": "bands", "show": ["anchor"]}],
        "bans": [{"product": "anchor", "beside": "loop"}],
    }
    rules = Rules.of(ShopRelations.model_validate(said))
    assert rules.beside("loop", "bands") == {}
    assert rules.beside("heavy", "bands") == {"anchor": "pinned"}


def test_a_changed_file_is_in_force_without_a_new_start(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    file = RelationsFile(path)
    assert file.refresh() == frozenset()
    path.write_text(GOOD.replace("version: 3", "version: 4").replace("chalk", "liquid-chalk"))
    assert file.refresh() == {"fitness"}
    assert file.of("fitness").bans("liquid-chalk")
    assert file.version == 4


@pytest.mark.parametrize("broken", ["version: none", None])
def test_a_file_spoilt_while_running_changes_nothing(tmp_path: Path, broken: str | None) -> None:
    path = write(tmp_path, GOOD)
    file = RelationsFile(path)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    assert file.refresh() == frozenset()
    assert (file.version, file.of("fitness").bans("chalk")) == (3, True)


def test_the_schema_in_the_docs_is_the_models_and_fits_the_example() -> None:
    assert SCHEMA.read_text() == schema()
    jsonschema.Draft202012Validator(json.loads(schema())).validate(yaml.safe_load(EXAMPLE.read_text()))


def test_the_worked_shops_relations_name_products_they_sell() -> None:
    shops = yaml.safe_load((PLACES / "demo" / "shops.yaml").read_text())
    for shop, said in load_relations(EXAMPLE).shops.items():
        sold = {product[0] for product in shops[shop]["products"]}
        categories = {product[2] for product in shops[shop]["products"]}
        named = {one for pin in said.pins for one in (*pin.show, pin.product) if one}
        named |= {one for ban in said.bans for one in (ban.product, ban.beside) if one}
        named |= {one for made in said.relations for one in (made.product, made.of)}
        assert named <= sold
        assert {pin.category for pin in said.pins if pin.category} <= categories
