"""What the scheduler keeps in memory of compacted topics: complements, the catalogue, and thrown switches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from shared.events import (
    Candidate,
    Complements,
    ComplementsUpdated,
    Control,
    ControlSet,
    Event,
    Product,
    ProductRecorded,
)
from shared.ids import split_key
from shared.kafka.records import Record
from shared.topics import CATALOG, COMPLEMENTS, CONTROLS

TOPICS = (COMPLEMENTS, CATALOG, CONTROLS)

_ProductKey = tuple[str, str]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Paused:
    """What is held: a shop, or only one of its journeys, one of its channels, or both."""

    shop_id: str
    journey: str | None
    channel: str | None


@dataclass(frozen=True, slots=True)
class Proposals:
    """Candidates for an order, best first, and the highest version of the evidence that they come from."""

    candidates: tuple[Candidate, ...]
    version: int | None


class Views:
    """The newest record of each key. Fed by one follower; read by the poller."""

    def __init__(self) -> None:
        self._complements: dict[_ProductKey, Complements] = {}
        self._products: dict[_ProductKey, Product] = {}
        self._controls: dict[bytes, tuple[str, Control]] = {}

    def take(self, record: Record, event: Event | None) -> None:
        """Keep what a record says; a tombstone forgets its key."""
        key = record.key or b""
        if record.topic == CONTROLS.name:
            self._controls.pop(key, None)
            if isinstance(event, ControlSet):
                self._controls[key] = (event.shopid, event.data)
        elif record.topic == COMPLEMENTS.name:
            _keep(self._complements, key, event.data if isinstance(event, ComplementsUpdated) else None)
        elif record.topic == CATALOG.name:
            _keep(self._products, key, event.data if isinstance(event, ProductRecorded) else None)

    def product(self, shop: str, product: str) -> Product | None:
        """Return the product as the catalogue has it, or None if it is not there."""
        return self._products.get((shop, product))

    def proposals(self, shop: str, products: Iterable[str]) -> Proposals:
        """Return what goes with any of `products`: each candidate once, with its best score."""
        found = [known for each in products if (known := self._complements.get((shop, each)))]
        best: dict[str, Candidate] = {}
        for candidate in (candidate for known in found for candidate in known.candidates):
            present = best.get(candidate.product_id)
            if present is None or candidate.score > present.score:
                best[candidate.product_id] = candidate
        ranked = sorted(best.values(), key=lambda candidate: (-candidate.score, candidate.product_id))
        return Proposals(tuple(ranked), max((known.version for known in found), default=None))

    def paused(self) -> list[Paused]:
        """List everything that is held now."""
        return [
            Paused(shop, control.journey, control.channel)
            for shop, control in self._controls.values()
            if control.action == "pause"
        ]


def _keep(kept: dict[_ProductKey, _T], key: bytes, value: _T | None) -> None:
    if value is None:
        kept.pop(split_key(key), None)
    else:
        kept[split_key(key)] = value
