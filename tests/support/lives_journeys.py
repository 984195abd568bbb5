"""Journeys with everything that a journey may have, drawn anew for each life."""

import random
from typing import Any

from services.scheduler.domain import Catalogue, Journey, Programme
from tests.support.deciding import SHELF, SHOP, journey, product, step

SELLS = {"from": ["complements", "replenish"], "count": 2, "max_price_share": None}
SPANS = ("12h", "2d", "7d")


def two_versions(chance: random.Random) -> tuple[Journey, Journey]:
    """Return the main journey as it was and as it came to be, with the experiment ramped up."""
    fields = _terms(chance)
    split = chance.choice([1, 3])
    return (
        journey(*_steps(split, 0.5), id="routine", **fields),
        journey(*_steps(split, 1.0), step("later", delay="6d", offer=SELLS), id="routine", **fields),
    )


def others(chance: random.Random) -> list[Journey]:
    """Return journeys that start with reorder points and with carts."""
    refill = step(
        "again", after="reorder", delay="0h", offer={"from": ["replenish"], "count": 1}, priority=20
    )
    cart = step("left", after="cart", delay="1h", offer=None, channel=chance.choice(["email", "sms"]))
    recovery = {"id": "recover", "hand_over": "cart_recovery", "after": "cart", "delay": "2d"}
    return [
        journey(refill, id="refill", **_terms(chance)),
        journey(cart, recovery, id="carts", starts="cart", **_terms(chance)),
    ]


def programme(chance: random.Random) -> Programme:
    """Return a shop's rules."""
    return Programme.model_validate(
        {
            "shop": SHOP,
            "holdout": {"share": chance.choice([0, 0, 0.5]), "salt": "all"},
            "slot": chance.choice([None, {"window": "2d", "loser": chance.choice(["drop", "defer"])}]),
            "caps": [
                {"count": 3, "per": "7d", "action": chance.choice(["drop", "defer"])},
                {"count": 1, "per": "3d", "journeys": ["routine", "refill"], "action": "defer"},
            ][: chance.randint(0, 2)],
            "blackouts": [{"name": "feast", "first": "2026-04-03", "last": "2026-04-06"}],
            "replacement_groups": {"lotions": ["toner", "toner-rich", "category:serum"]},
        }
    )


def shelf(chance: random.Random) -> Catalogue:
    """Return the shop's products, one of them perhaps sold out."""
    gone = chance.choice([None, *SHELF])
    return Catalogue(product(each, stock=0) if each == gone else product(each) for each in SHELF)


def _terms(chance: random.Random) -> dict[str, Any]:
    return {
        "re_entry": chance.choice(["always", "always", "once", "10d"]),
        "priority": chance.choice([20, 50]),
        "caps": [
            {"count": chance.randint(1, 3), "per": chance.choice(SPANS), "action": _action(chance)},
            {"count": 2, "per": "7d", "channels": ["sms"], "action": _action(chance)},
        ][: chance.randint(1, 2)],
        "cool_down": chance.choice([None, {"span": chance.choice(SPANS), "action": _action(chance)}]),
        "after_return": {"span": chance.choice(SPANS), "action": _action(chance)},
        "ignored": chance.choice([None, {"last": 4, "patience": "2d", "action": _action(chance)}]),
        "exit_when": chance.choice([(), ("unhappy",), ("goal", "returned")]),
        "quiet_hours": chance.choice(
            [{}, {"email": {"starts": "21:00", "ends": "07:30", "action": _action(chance)}}]
        ),
        "late": chance.choice(["skip", "send", "shift"]),
        "holdout": {"share": chance.choice([0, 0, 0.5])},
    }


def _action(chance: random.Random) -> str:
    return chance.choice(["drop", "defer"])


def _steps(split: int, ramp: float) -> list[dict[str, Any]]:
    ten, fifteen = ({"kind": "percent", "value": value, "valid_for": "2d"} for value in ("10", "15"))
    soon = step("soon", offer={**SELLS, "incentive": ten}, priority=10)
    return [
        {
            "experiment": "percent",
            "ramp": ramp,
            "step": soon,
            "variants": [
                {"name": "ten", "weight": 1},
                {"name": "fifteen", "weight": split, "set": {"offer": {"incentive": fifteen}}},
            ],
        },
        {
            "branch": [
                {
                    "if": "segment.returning || segment.vip",
                    "steps": [
                        step("bundle", delay="2h", offer={**SELLS, "count": 3, "owned_by": "category"})
                    ],
                },
                {
                    "if": "order.total < 20.0",
                    "steps": [step("more", delay="3h", offer={**SELLS, "owned_by": "group"})],
                },
                {"steps": [step("plain", delay="3h", offer=None)]},
            ]
        },
        step("text", channel="sms", delay="4h", offer=SELLS, skip_after="12h", expires="36h"),
        step("check", after="delivery", delay="1d", at="10:00", offer=None, asks=["happy", "unhappy"]),
        step(
            "thanks",
            after={"answer": "check"},
            delay="1h",
            when="answers['check'] == 'happy'",
            offer=None,
            expires="9d",
        ),
        {
            "id": "help",
            "hand_over": "support",
            "after": {"answer": "check"},
            "delay": "0h",
            "when": "answers['check'] == 'unhappy'",
        },
        step("follow", after={"step": "soon"}, delay="3d", offer=SELLS, expires="9d", skip_after="2d"),
        {
            "id": "win",
            "hand_over": "win_back",
            "after": {"step": "soon"},
            "delay": "8d",
            "when": "!engagement.responded",
        },
        step("weekly", after="delivery", delay="7d", repeat={"every": "7d", "times": 3}, expires="6d"),
    ]
