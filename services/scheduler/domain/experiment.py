"""Who is held out, and who gets which variant. Assignment is a hash: the same on every machine and for ever."""

import hashlib
from typing import NamedTuple

from services.scheduler.domain.tree import Experiment

_RANGE = 2**64


class Assignment(NamedTuple):
    """The variant that someone gets, and whether they take part, so that it counts as an exposure."""

    variant: str
    exposed: bool


def place(shop: str, customer: str, salt: str) -> float:
    """Return the customer's place in [0, 1): uniform over customers, and independent for each salt."""
    digest = hashlib.sha256(f"{shop}\x1f{customer}\x1f{salt}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (_RANGE >> 11)


def assign(shop: str, customer: str, experiment: Experiment) -> Assignment:
    """Return the variant of a customer.

    Three hashes, each with a salt of its own: the place in the layer decides who may take part, the ramp who does already,
    and the last which variant. So neither starting, pausing, ramping nor concluding moves anyone from one variant to another.
    """
    if experiment.state == "concluded":
        return Assignment(experiment.winner or experiment.control, exposed=False)
    if experiment.state == "paused" or not _takes_part(shop, customer, experiment):
        return Assignment(experiment.control, exposed=False)
    return Assignment(
        _variant(place(shop, customer, f"variant:{experiment.experiment}"), experiment), exposed=True
    )


def _takes_part(shop: str, customer: str, experiment: Experiment) -> bool:
    in_layer = place(shop, customer, f"layer:{experiment.layer or experiment.experiment}")
    return (
        experiment.share_from <= in_layer < experiment.share_to
        and place(shop, customer, f"ramp:{experiment.experiment}") < experiment.ramp
    )


def _variant(where: float, experiment: Experiment) -> str:
    total, reached = sum(each.weight for each in experiment.variants), 0
    for each in experiment.variants:
        reached += each.weight
        if where * total < reached:
            return each.name
    return experiment.variants[-1].name
