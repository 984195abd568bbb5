"""What one deciding transaction may spend and give: budgets and codes, held from before the first decision until commit."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from services.scheduler.domain import Published
from services.scheduler.domain.programme import Budget
from services.scheduler.domain.signing import made
from services.scheduler.domain.terms import IncentiveTerms, Ladder
from services.scheduler.spending import budgets, codes
from services.scheduler.spending.budgets import Account, Connection
from services.scheduler.spending.codes import Given
from shared.errors import RetryLater
from shared.events import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Keeps:
    """What must be counted for a shop: its budgets, and the pools that its journeys draw from, with these journeys."""

    budgets: Sequence[Budget]
    pools: Mapping[str, frozenset[str]]


def kept(published: Published) -> dict[str, Keeps]:
    """Return what must be counted, of the shops that have any of it."""
    drawing: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for edition in published.editions:
        for leaf in edition.journey.leaves:
            terms = leaf.step.offer.incentive if leaf.step.offer else None
            rungs = terms.ladder if isinstance(terms, Ladder) else [terms] if terms else []
            for pool in (rung.pool for rung in rungs if rung.pool):
                drawing[edition.journey.shop][pool].add(edition.journey.id)
    counting = {shop: programme.budgets for shop, programme in published.programmes.items()}
    shops = {shop for shop, some in counting.items() if some} | drawing.keys()
    return {
        shop: Keeps(counting.get(shop, ()), {pool: frozenset(names) for pool, names in drawing[shop].items()})
        for shop in shops
    }


@dataclass
class Till:
    """Decisions take from it at once; `close` writes down what they took."""

    secret: bytes
    turns: Counter[UUID]
    short: Counter[tuple[str, str]]
    accounts: dict[Account, Decimal] = field(default_factory=dict)
    drawn: dict[tuple[str, str], deque[str]] = field(default_factory=dict)
    held_by_others: set[tuple[str, str]] = field(default_factory=set)
    _taken: list[tuple[str, Decision]] = field(default_factory=list)
    _asked: dict[UUID, str | None] = field(default_factory=dict)

    def left(self, shop: str) -> Mapping[str, Decimal] | None:
        """Return what is left of a shop's budgets, by currency; None if it has none."""
        found = {each.currency: amount for each, amount in self.accounts.items() if each.shop == shop}
        return found or None

    def codes(self, shop: str) -> "ShopCodes":
        """Return the port that shows decisions the shop's codes."""
        return ShopCodes(self, shop)

    def show(self, shop: str, message_id: UUID, terms: IncentiveTerms) -> str | None:
        """Return the code that a message would get. Raises RetryLater while others hold the last of its pool."""
        self._asked[message_id] = terms.pool
        if terms.pool is None:
            return made(self.secret, shop, terms.prefix or "", message_id, self.turns[message_id])
        waiting = self.drawn.get((shop, terms.pool))
        if waiting:
            return waiting[0]
        if (shop, terms.pool) in self.held_by_others:
            self.short[shop, terms.pool] += 1
            message = f"the last codes of pool {terms.pool} are held by others"
            raise RetryLater(message)
        return None

    def take(self, shop: str, decision: Decision) -> None:
        """Let a decision have what it promises, if it sends."""
        if decision.verdict is not Verdict.SEND or decision.offer is None:
            return
        self._taken.append((shop, decision))
        pool = self._asked.get(decision.message_id)
        if pool is not None and decision.offer.incentive.code is not None:
            self.drawn[shop, pool].popleft()
        self._spend(shop, decision, Decimal(-1))

    def _spend(self, shop: str, decision: Decision, sign: Decimal) -> None:
        account = self._account(shop, decision)
        if account is not None and decision.offer and decision.offer.reserved:
            self.accounts[account] += sign * decision.offer.reserved

    def _account(self, shop: str, decision: Decision) -> Account | None:
        currency = decision.offer.currency if decision.offer else None
        return next((each for each in self.accounts if (each.shop, each.currency) == (shop, currency)), None)

    @property
    def mark(self) -> int:
        """Where `undo` goes back to."""
        return len(self._taken)

    def undo(self, mark: int) -> None:
        """Take back what decisions took since a mark."""
        while len(self._taken) > mark:
            shop, decision = self._taken.pop()
            pool = self._asked.get(decision.message_id)
            code = decision.offer.incentive.code if decision.offer else None
            if pool is not None and code is not None:
                self.drawn[shop, pool].appendleft(code)
            self._spend(shop, decision, Decimal(1))

    async def close(self, connection: Connection, recorded_at: datetime) -> None:
        """Write down what was taken, in the transaction that opened it. `recorded_at` is machine time.

        Raises RetryLater if a code that we made is another message's: the same work done again gives another one.
        """
        spent: defaultdict[Account, Decimal] = defaultdict(Decimal)
        given: list[Given] = []
        for shop, decision in self._taken:
            account = self._account(shop, decision)
            if account is not None and decision.offer and decision.offer.reserved:
                spent[account] += decision.offer.reserved
            if decision.message_id in self._asked and (one := _given(shop, decision, self._asked)):
                given.append(one)
        await budgets.reserve(connection, spent)
        await codes.issue_drawn(connection, [each for each in given if each.pool is not None])
        ours = [each for each in given if each.pool is None]
        alike = await codes.issue_made(connection, ours, recorded_at)
        if alike:
            self.turns.update(alike)
            message = "a code that was made is another message's"
            raise RetryLater(message)


def _given(shop: str, decision: Decision, asked: Mapping[UUID, str | None]) -> Given | None:
    incentive = decision.offer.incentive if decision.offer else None
    if incentive is None or incentive.code is None:
        return None
    return Given(
        shop,
        incentive.code,
        asked[decision.message_id],
        decision.message_id,
        decision.journey,
        decision.step,
        incentive.kind,
        incentive.value,
        incentive.currency,
        decision.decided_at,
        incentive.expires_at,
    )


@dataclass(frozen=True, slots=True)
class ShopCodes:
    """A till's codes, of one shop."""

    till: Till
    shop: str

    def code(self, message_id: UUID, terms: IncentiveTerms) -> str | None:
        """Return the customer's code for an offer; see `Till.show`."""
        return self.till.show(self.shop, message_id, terms)


class Tills:
    """Opens tills. `secret` signs the codes that we make."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._published: Published | None = None
        self._keeps: Mapping[str, Keeps] = {}
        self._turns: Counter[UUID] = Counter()
        self._short: Counter[tuple[str, str]] = Counter()

    async def open(
        self,
        connection: Connection,
        published: Published,
        customers: Mapping[str, Sequence[str]],
        now: datetime,
        at_least: int = 0,
    ) -> Till:
        """Hold what decisions about these customers, by shop, may need; their rows are locked already.

        `at_least` so many codes of each pool, where steps come due that are not stored. Shops without budgets and pools cost
        nothing.
        """
        if published is not self._published:
            self._published, self._keeps = published, kept(published)
        till = Till(self._secret, self._turns, self._short)
        keeps = {shop: self._keeps[shop] for shop in sorted(customers) if shop in self._keeps}
        till.accounts = await budgets.lock(
            connection, {shop: each.budgets for shop, each in keeps.items()}, now
        )
        for shop, each in keeps.items():
            for pool, journeys in each.pools.items():
                needed = await codes.due_in(connection, shop, list(customers[shop]), journeys, now)
                # Steps may come due in another way than they are stored: who fell short of codes draws more.
                more = min(self._short[shop, pool], len(customers[shop]))
                drawn = await codes.draw(connection, shop, pool, max(needed, at_least) + more)
                till.drawn[shop, pool] = deque(drawn.codes)
                if drawn.more:
                    till.held_by_others.add((shop, pool))
        return till
