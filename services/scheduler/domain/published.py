"""The journeys in force: which version each enrolment follows, and the shops' own rules."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from services.scheduler.domain.journey import Journey
from services.scheduler.domain.programme import Programme

DERIVATION = 2
"""Raised whenever `due` comes to mean something else, so that running processes derive every customer anew."""


@dataclass(frozen=True)
class Edition:
    """A published version. It is for enrolments that began at `begins_at` or later, and before `ends_at` (None: no bound).

    `drained`: its people leave; their open steps are skipped as journey_stopped.
    """

    journey: Journey
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    drained: bool = False

    def takes(self, moment: datetime) -> bool:
        """Whether an enrolment that began at a moment follows it."""
        return (self.begins_at is None or moment >= self.begins_at) and (
            self.ends_at is None or moment < self.ends_at
        )


@dataclass(frozen=True)
class Published:
    """Every edition that somebody may follow, and the programmes by shop."""

    editions: tuple[Edition, ...] = ()
    programmes: Mapping[str, Programme] = field(default_factory=dict)

    @classmethod
    def of(cls, journeys: Iterable[Journey], programmes: Iterable[Programme] = ()) -> "Published":
        """Return journeys as published for everyone, whenever they began."""
        return cls(
            tuple(Edition(journey) for journey in journeys),
            {programme.shop: programme for programme in programmes},
        )

    @cached_property
    def by_shop(self) -> Mapping[str, tuple[Edition, ...]]:
        """Editions by shop, in the order of their ids and beginnings."""
        found: defaultdict[str, list[Edition]] = defaultdict(list)
        for edition in self.editions:
            found[edition.journey.shop].append(edition)
        return {shop: tuple(each) for shop, each in found.items()}

    @cached_property
    def looking_back(self) -> frozenset[str]:
        """Shops of which some journey looks at verdicts to tell what is due."""
        return frozenset(each.journey.shop for each in self.editions if each.journey.looks_back)

    def journey(self, journey: str, version: str) -> Journey:
        """Return a published version. Raises KeyError if there is none."""
        return self._versions[journey, version]

    @cached_property
    def _versions(self) -> dict[tuple[str, str], Journey]:
        return {(each.journey.id, each.journey.version): each.journey for each in self.editions}

    def programme(self, shop: str) -> Programme:
        """Return the shop's rules, or the defaults."""
        known = self.programmes.get(shop)
        if known is None:
            known = self._defaults[shop] = self._defaults.get(shop) or Programme(shop=shop)
        return known

    @cached_property
    def _defaults(self) -> dict[str, Programme]:
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of all that decides which steps are due, whatever its order."""
        lines = [
            f"{each.journey.id}@{each.journey.version} {each.begins_at} {each.ends_at} {each.drained}"
            for each in self.editions
        ]
        lines += [programme.model_dump_json(exclude_defaults=True) for programme in self.programmes.values()]
        text = "\n".join([str(DERIVATION), *sorted(lines)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
