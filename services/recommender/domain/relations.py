"""What a merchandiser says by hand of which products go together: pins, bans and relations.

One file for all shops of a deployment. Hand beats counts: pins come first, in their order, then warranties and refills,
then what the counts say; a ban beats everything, a pin's contradiction included, which is refused when the file is read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.events import Candidate
from shared.events.affinity import Relation
from shared.events.envelope import Identifier, ShopIdentifier, Text

HandMade = Literal["premium", "warranty", "refill"]
Location = tuple[int | str, ...]
_NONE: frozenset[str] = frozenset()


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Pin(_Said):
    """`show` these, in this order, before all else beside `product`, or beside every product of `category`."""

    product: Identifier | None = None
    category: Text | None = None
    show: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.product is None) == (self.category is None):
            message = "give one of product and category"
        elif len(set(self.show)) < len(self.show):
            message = "show names a product twice; remove one"
        elif self.product in self.show:
            message = "show names the product itself; remove it"
        else:
            return self
        raise ValueError(message)


class Ban(_Said):
    """Never propose `product`: nowhere, or, with `beside`, not to go with that one."""

    product: Identifier
    beside: Identifier | None = None


class Made(_Said):
    """`product` is the premium tier, the warranty or a refill of another."""

    product: Identifier
    kind: Annotated[HandMade, Field(alias="is")]
    of: Identifier

    @model_validator(mode="after")
    def _of_another(self) -> Self:
        if self.product == self.of:
            message = "a product has no relation with itself; name another in of"
            raise ValueError(message)
        return self


class ShopRelations(_Said):
    """What is said of one shop."""

    pins: tuple[Pin, ...] = ()
    bans: tuple[Ban, ...] = ()
    relations: tuple[Made, ...] = ()


class Relations(_Said):
    """The whole file. Raise `version` with each change: it is in the logs and in `/v1/status`."""

    version: Annotated[int, Field(ge=1)]
    shops: dict[ShopIdentifier, ShopRelations] = {}


def contradictions(said: Relations) -> Iterator[tuple[Location, str]]:
    """Yield what the file says twice or both ways: where, and what to do about it."""
    for shop, one in said.shops.items():
        nowhere = {ban.product for ban in one.bans if ban.beside is None}
        apart = {(ban.beside, ban.product) for ban in one.bans}
        seen: set[tuple[str, str | None]] = set()
        for number, pin in enumerate(one.pins):
            where: Location = ("shops", shop, "pins", number)
            about = ("product", pin.product) if pin.product else ("category", pin.category)
            if about in seen:
                yield where, f"{about[1]} has pins already; say all of them in one show"
            seen.add(about)
            for place, shown in enumerate(pin.show):
                if shown in nowhere or (pin.product is not None and (pin.product, shown) in apart):
                    yield (*where, "show", place), f"{shown} is banned there; remove the pin or the ban"
        for number, made in enumerate(one.relations):
            if made.product in nowhere or (made.of, made.product) in apart:
                yield (
                    ("shops", shop, "relations", number, "product"),
                    f"{made.product} is banned there; remove the relation or the ban",
                )


@dataclass(frozen=True, slots=True)
class Rules:
    """One shop's relations, ready to be asked for one product at a time."""

    pins: Mapping[tuple[str, str], tuple[str, ...]]
    banned: frozenset[str]
    banned_beside: Mapping[str, frozenset[str]]
    made: Mapping[str, tuple[tuple[str, HandMade], ...]]

    @classmethod
    def of(cls, said: ShopRelations) -> Self:
        """Sort what is said by the product it is said of."""
        beside: dict[str, frozenset[str]] = {}
        for ban in said.bans:
            if ban.beside is not None:
                beside[ban.beside] = beside.get(ban.beside, _NONE) | {ban.product}
        made: dict[str, tuple[tuple[str, HandMade], ...]] = {}
        for one in said.relations:
            made[one.of] = (*made.get(one.of, ()), (one.product, one.kind))
        return cls(
            pins={
                ("product", pin.product) if pin.product else ("category", pin.category or ""): pin.show
                for pin in said.pins
            },
            banned=frozenset(ban.product for ban in said.bans if ban.beside is None),
            banned_beside=beside,
            made=made,
        )

    def bans(self, product: str, *beside: str) -> bool:
        """Whether `product` is not to be proposed to go with `beside`."""
        return product in self.banned or any(product in self.banned_beside.get(one, _NONE) for one in beside)

    def beside(self, product: str, category: str | None) -> dict[str, Relation]:
        """What is to stand first beside a product, best first, and why: its pins, its category's, warranties, refills."""
        found: dict[str, Relation] = {}
        for shown in (*self._pins("product", product), *self._pins("category", category)):
            found.setdefault(shown, "pinned")
        for other, kind in self.made.get(product, ()):
            if kind != "premium":
                found.setdefault(other, kind)
        found.pop(product, None)
        return {other: relation for other, relation in found.items() if not self.bans(other, product)}

    def premium(self, product: str) -> dict[str, Relation]:
        """Premium tiers of a product, in the order of the file."""
        return self._made(product, "premium")

    def refills(self, product: str) -> dict[str, Relation]:
        """Refills of a product, in the order of the file."""
        return self._made(product, "refill")

    def put_first(
        self,
        product: str,
        first: Mapping[str, Relation],
        candidates: Iterable[Candidate],
        known: Callable[[str], Candidate | None] = lambda _: None,
    ) -> tuple[Candidate, ...]:
        """Put `first` (of `beside` or `premium`) before candidates of `product`, and drop what is banned.

        What is put first keeps its evidence, from the candidates or from `known`; without any, support and score are zero.
        """
        by_id = {one.product_id: one for one in candidates}

        def put(other: str, relation: Relation) -> Candidate:
            evidence = by_id.get(other) or known(other)
            if evidence is None:
                return Candidate(product_id=other, score=0.0, support=0, relation=relation)
            return evidence.model_copy(update={"relation": relation})

        rest = (one for other, one in by_id.items() if other not in first and not self.bans(other, product))
        return (*(put(other, relation) for other, relation in first.items()), *rest)

    def _made(self, product: str, wanted: HandMade) -> dict[str, Relation]:
        made = self.made.get(product, ())
        return {other: kind for other, kind in made if kind == wanted and not self.bans(other, product)}

    def _pins(self, kind: str, name: str | None) -> tuple[str, ...]:
        return self.pins.get((kind, name), ()) if name is not None else ()


NO_RULES = Rules.of(ShopRelations())
