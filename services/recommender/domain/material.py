"""When what goes with a product has changed enough to be said again: more than what another order or two would do.

Everything is compared with what was said last, so small changes add up until they are said.
"""

from collections.abc import Mapping, Sequence

from shared.events import Candidate, Complements
from shared.events.affinity import Timing

MATERIAL_CHANGE = 0.05
NOISE = 0.5
"""A share is known to about one part in the square root of its support; half of that is no news."""
WEIGHTS_CHANGE = 0.1
GAP_DAYS = 1.0
GAP_CHANGE = 0.1


def materially_different(new: Complements, old: Complements | None) -> bool:
    """Whether `new` says anything that readers of `old` should know; None: nothing was said yet."""
    if old is None:
        return any((new.candidates, new.upgrades, new.weights, new.later, new.repurchase))
    return (
        _candidates_differ(new.candidates, old.candidates)
        or _candidates_differ(new.upgrades, old.upgrades)
        or weights_differ(new.weights, old.weights)
        or weights_differ(new.later, old.later)
        or _timing_differs(new.repurchase, old.repurchase)
    )


def weights_differ(new: Mapping[str, float], old: Mapping[str, float]) -> bool:
    """Whether all changes together are more than WEIGHTS_CHANGE of all weights."""
    moved = sum(abs(new.get(other, 0.0) - old.get(other, 0.0)) for other in new.keys() | old.keys())
    return moved > WEIGHTS_CHANGE * sum(abs(weight) for weight in old.values())


def _candidates_differ(new: Sequence[Candidate], old: Sequence[Candidate]) -> bool:
    """Whether other products are there, another leads, one moved by more than a place, or one's evidence differs."""
    places = {one.product_id: place for place, one in enumerate(old)}
    if len(new) != len(old) or {one.product_id for one in new} != places.keys():
        return True
    return any(
        (place != places[one.product_id] if place == 0 else abs(place - places[one.product_id]) > 1)
        or _evidence_differs(one, old[places[one.product_id]])
        for place, one in enumerate(new)
    )


def _evidence_differs(new: Candidate, old: Candidate) -> bool:
    """Whether standing, score or timing differ. "Pair" and "sequence" may take turns while the score stays."""
    standing = [
        ("counted" if one.relation in ("pair", "sequence") else one.relation, one.reliable)
        for one in (new, old)
    ]
    margin = max(MATERIAL_CHANGE, NOISE / (old.support + 1) ** 0.5)
    return (
        standing[0] != standing[1]
        or abs(new.score - old.score) > margin * old.score
        or _timing_differs(new.gap, old.gap)
    )


def _timing_differs(new: Timing | None, old: Timing | None) -> bool:
    """Whether a quartile moved by more than a day and a tenth of itself, or the share by more than noise."""
    if new is None or old is None:
        return new is not old
    margin = max(MATERIAL_CHANGE, NOISE / (old.support + 1) ** 0.5)
    return abs(new.share - old.share) > margin * old.share or any(
        abs(one - former) > max(GAP_DAYS, GAP_CHANGE * former)
        for one, former in zip(new.days, old.days, strict=True)
    )
