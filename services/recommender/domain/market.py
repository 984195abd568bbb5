"""One shop as the ranker sees it: rows, catalogue, solved weights; what to compute again when they change, and the answer."""

from collections.abc import Mapping
from functools import partial

from services.recommender.domain.model import Model
from services.recommender.domain.ranking import candidate_of, complements
from services.recommender.domain.relations import Rules
from services.recommender.domain.shop import Listed, Row, ShopCounts
from services.recommender.domain.speaking import Speaking, rounded
from services.recommender.domain.upgrades import upgrade_of, upgrades
from shared.events import Candidate, Complements, PairCounts

WEIGHTS_KEPT = 150
TOLD_CHANGE = 0.05
TOLD_ORDERS = 50.0


class Market:
    """Keeps one shop. `top` candidates are ranked of a product, whose row has `kept` neighbours and followers at most."""

    def __init__(self, top: int, kept: int) -> None:
        self._top = top
        self.counts = ShopCounts(kept)
        self._model = Model()
        self._weights, self._later = Speaking(), Speaking()
        self._told: dict[str, float] = {}

    @property
    def rows(self) -> Mapping[str, Row]:
        """Every product's newest row."""
        return self.counts.rows

    @property
    def day(self) -> int:
        """The newest day on which anything was sold; on another one other things sell of late."""
        return self._model.day

    def put(self, row: PairCounts) -> frozenset[str]:
        """Take a product's newest counts. Returns the others for whose ranking and weights that is material.

        They are those that have it among their neighbours, once it sold 5 % more, or fewer, of TOLD_ORDERS and what it
        had sold when they were last told.
        """
        self.counts.put(row)
        self._model.put(row)
        told = self._told.get(row.product_id, 0.0)
        if abs(row.bought - told) <= TOLD_CHANGE * (told + TOLD_ORDERS):
            return frozenset()
        self._told[row.product_id] = row.bought
        return self.counts.having(row.product_id)

    def put_listing(self, product: str, listed: Listed) -> frozenset[str]:
        """Take what the catalogue says. Returns the products whose ranking it changes."""
        return self.counts.put_listing(product, listed)

    def put_published(self, said: Complements) -> None:
        """Take what was published of a product: its weights stand until others are solved here."""
        self._weights.publish(said.product_id, said.weights)
        self._later.publish(said.product_id, said.later)

    def is_solved(self, product: str) -> bool:
        """Whether it was solved here who speaks for `product`."""
        return self._weights.is_solved(product)

    def solve(self, product: str) -> frozenset[str]:
        """Solve anew who speaks for `product`. Returns those whose own weights have moved by enough to look at them."""
        moved = self._weights.solve(product, self._model.baskets(product))
        return frozenset(moved) | frozenset(self._later.solve(product, self._model.owners(product)))

    def complements(self, product: str, version: int, rules: Rules) -> Complements:
        """Say what goes with `product`, the shop's own rules applied."""
        row = self.rows.get(product)
        for speaking in (self._weights, self._later):
            speaking.settle(product)
        return Complements(
            product_id=product,
            version=version,
            candidates=self._candidates(product, rules),
            upgrades=self._upgrades(product, rules),
            weights=rounded(self._weights.heaviest(product, WEIGHTS_KEPT, self._model.beyond(product))),
            later=rounded(self._later.heaviest(product, WEIGHTS_KEPT)),
            repurchase=row.repurchase if row else None,
        )

    def _candidates(self, product: str, rules: Rules) -> tuple[Candidate, ...]:
        ranked = complements(
            self.counts,
            product,
            self._top,
            self._model.together,
            lambda other: rules.bans(other, product),
        )
        first = rules.beside(product, self.counts.listing(product).category)
        known = partial(candidate_of, self.counts, product)
        return rules.put_first(product, first, ranked, known)[: self._top]

    def _upgrades(self, product: str, rules: Rules) -> tuple[Candidate, ...]:
        known = partial(upgrade_of, self.counts, product)
        found = upgrades(self.counts, product)
        return rules.put_first(product, rules.premium(product), found, known)[: self._top]
