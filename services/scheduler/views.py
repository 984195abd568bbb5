"""What the scheduler keeps in memory of compacted topics: complements, the catalogue, and thrown switches."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from services.scheduler.domain import Catalogue
from shared.events import (
    Candidate,
    Complements,
    ComplementsUpdated,
    Event,
    ProductRecorded,
)
from shared.ids import split_key
from shared.kafka.records import Record
from shared.switches import Scope, Switchboard
from shared.topics import CATALOG, COMPLEMENTS, CONTROLS

TOPICS = (COMPLEMENTS, CATALOG, CONTROLS)

_PROPOSALS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Proposals:
    """Candidates for an order, best first, and the highest version of the evidence that they come from."""

    candidates: tuple[Candidate, ...]
    version: int | None


class Views:
    """The newest record of each key. Fed by one follower; read by the poller."""

    def __init__(self) -> None:
        self._complements: dict[tuple[str, str], Complements] = {}
        self._catalogues: defaultdict[str, Catalogue] = defaultdict(Catalogue)
        self._proposals: dict[tuple[str, ...], Proposals] = {}
        self.switches = Switchboard()

    def take(self, record: Record, event: Event | None) -> None:
        """Keep what a record says; a tombstone forgets its key."""
        key = record.key or b""
        if record.topic == CONTROLS.name:
            self.switches.take(key, event)
        elif isinstance(event, ComplementsUpdated):
            self._complements[event.shopid, event.data.product_id] = event.data
            self._proposals.clear()
        elif isinstance(event, ProductRecorded):
            self._catalogues[event.shopid].put(event.data)
        elif record.topic == COMPLEMENTS.name:
            self._complements.pop(split_key(key), None)
            self._proposals.clear()
        elif record.topic == CATALOG.name:
            shop, product = split_key(key)
            self._catalogues[shop].remove(product)

    def catalogue(self, shop: str) -> Catalogue:
        """Return the shop's products."""
        return self._catalogues[shop]

    def gap(self, shop: str, product: str) -> timedelta | None:
        """Return how long after a product people usually (at the median) buy the first follower that has a timing."""
        known = self._complements.get((shop, product))
        found = (each.gap for each in known.candidates) if known else ()
        gap = next((each for each in found if each is not None), None)
        return timedelta(days=gap.days[1]) if gap else None

    def proposals(self, shop: str, products: Iterable[str]) -> Proposals:
        """Return what goes with any of `products`, each candidate once, with its best score; then what their buyers moved on to.

        In the recommender's order, which puts first what the shop says by hand: the firsts of all lists, then the seconds,
        and so on, of equals the higher score.
        """
        asked = (shop, *products)
        if asked not in self._proposals:
            if len(self._proposals) >= _PROPOSALS_KEPT:
                self._proposals.clear()
            self._proposals[asked] = self._rank(shop, asked[1:])
        return self._proposals[asked]

    def _rank(self, shop: str, products: Iterable[str]) -> Proposals:
        found = [known for each in products if (known := self._complements.get((shop, each)))]
        best: dict[str, Candidate] = {}
        places: dict[str, int] = {}
        for known in found:
            for place, candidate in enumerate(known.candidates):
                name = candidate.product_id
                places[name] = min(place, places.get(name, place))
                if name not in best or candidate.score > best[name].score:
                    best[name] = candidate
        ranked = sorted(best.values(), key=lambda one: (places[one.product_id], -one.score, one.product_id))
        # After them, those to move on to. An offer tells one from the other by their relation.
        moves = sorted((each for known in found for each in known.upgrades), key=lambda one: one.score)
        moved = {each.product_id: each for each in moves}
        ranked += sorted(moved.values(), key=lambda one: (-one.score, one.product_id))
        return Proposals(tuple(ranked), max((known.version for known in found), default=None))

    def paused(self) -> list[Scope]:
        """List everything that is held now."""
        return self.switches.paused()
