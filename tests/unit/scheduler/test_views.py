"""The followed topics in memory: the newest record of each key, and tombstones forget."""

from services.scheduler.views import Proposals, Views
from shared import events
from shared.events import Channel, Control, ControlSet
from shared.kafka.records import Record
from shared.switches import Scope
from shared.topics import CATALOG, COMPLEMENTS, CONTROLS
from tests.support.samples import START
from tests.support.scheduling import envelope, shelf

SHOP = "skincare"


def complements(views: Views, product: str, *found: tuple[str, float], version: int = 1) -> None:
    candidates = tuple(
        events.Candidate(product_id=name, score=score, support=9, relation="pair") for name, score in found
    )
    data = events.Complements(product_id=product, version=version, candidates=candidates)
    event = events.ComplementsUpdated(**envelope(SHOP, None, START), data=data)
    views.take(Record(COMPLEMENTS.name, 0, 0, f"{SHOP}|{product}".encode(), b""), event)


def test_an_orders_candidates_come_once_each_with_their_best_score() -> None:
    views = Views()
    complements(views, "mat", ("strap", 0.2), ("block", 0.4), version=3)
    complements(views, "bands", ("strap", 0.5), ("anchor", 0.1), version=5)
    found = views.proposals(SHOP, ["mat", "bands", "unknown"])
    ranked = [(each.product_id, each.score) for each in found.candidates]
    assert ranked == [("strap", 0.5), ("block", 0.4), ("anchor", 0.1)]
    assert found.version == 5


def test_one_products_candidates_keep_the_recommenders_order() -> None:
    views = Views()
    complements(views, "mat", ("pinned", 0.0), ("strap", 0.2), ("block", 0.4))
    assert [each.product_id for each in views.proposals(SHOP, ["mat"]).candidates] == [
        "pinned",
        "strap",
        "block",
    ]
    complements(views, "bands", ("anchor", 0.1), ("block", 0.3))
    found = [(each.product_id, each.score) for each in views.proposals(SHOP, ["mat", "bands"]).candidates]
    assert found == [("anchor", 0.1), ("pinned", 0.0), ("block", 0.4), ("strap", 0.2)]


def test_what_buyers_moved_on_to_comes_last_the_most_likely_first() -> None:
    views = Views()
    for bought, scores in (("mat", {"thick-mat": 0.1, "bench": 0.3}), ("bands", {"thick-mat": 0.2})):
        upgrades = tuple(
            events.Candidate(product_id=name, score=score, support=9, relation="upgrade")
            for name, score in scores.items()
        )
        pairs = (events.Candidate(product_id="block", score=0.05, support=9, relation="pair"),)
        data = events.Complements(product_id=bought, version=1, candidates=pairs, upgrades=upgrades)
        event = events.ComplementsUpdated(**envelope(SHOP, None, START), data=data)
        views.take(Record(COMPLEMENTS.name, 0, 0, f"{SHOP}|{bought}".encode(), b""), event)
    found = views.proposals(SHOP, ["mat", "bands"]).candidates
    assert [(each.product_id, each.score, each.relation) for each in found] == [
        ("block", 0.05, "pair"),
        ("bench", 0.3, "upgrade"),
        ("thick-mat", 0.2, "upgrade"),
    ]


def test_nothing_known_is_no_candidate_and_no_version() -> None:
    assert Views().proposals(SHOP, ["mat"]) == Proposals((), None)


def test_tombstones_forget_complements_and_products() -> None:
    views = shelf(SHOP)
    assert views.catalogue(SHOP).get("toner")
    views.take(Record(COMPLEMENTS.name, 0, 1, b"skincare|cleanser", None), None)
    views.take(Record(CATALOG.name, 0, 1, b"skincare|toner", None), None)
    assert views.proposals(SHOP, ["cleanser"]).candidates == ()
    assert views.catalogue(SHOP).get("toner") is None


def test_a_shops_products_are_its_own() -> None:
    assert shelf(SHOP).catalogue("fitness").get("toner") is None


def test_a_pause_lasts_until_its_own_key_is_resumed_or_erased() -> None:
    views = Views()
    for key, action, channel in ((b"a", "pause", "sms"), (b"b", "pause", None), (b"b", "resume", None)):
        control = {"action": action, "channel": channel, "set_at": START, "set_by": "tests", "why": "to see"}
        event = ControlSet(**envelope(SHOP, None, START), data=Control.model_validate(control))
        views.take(Record(CONTROLS.name, 0, 0, key, b""), event)
    assert views.paused() == [Scope(SHOP, None, Channel.SMS)]
    views.take(Record(CONTROLS.name, 0, 1, b"a", None), None)
    assert views.paused() == []
