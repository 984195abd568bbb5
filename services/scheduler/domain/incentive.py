"""What sweetens an offer: which rung of the ladder, from which total on, at what cost, until when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from services.scheduler.domain.context import Catalogue
from services.scheduler.domain.customer import CustomerState, OrderFacts, VerdictFacts
from services.scheduler.domain.money import percent_of, rounded, rounded_up
from services.scheduler.domain.programme import Budget, Programme
from services.scheduler.domain.terms import IncentiveTerms, Ladder
from shared.events import Candidate, Incentive

NO_INCENTIVE = Incentive(kind="none")

Without = Literal["buys_without", "other_currency"]
"""Why an offer goes out without the incentive that its step has, before any budget is asked."""


@dataclass(frozen=True)
class Sweetener:
    """The incentive that one offer may have. Amounts are in `currency`, the order's.

    `terms` are None for none, with the reason in `without` if the step has one. `unanswered` of ours so far make the `rung` (0: the
    first); `bought_without` is how many orders came without. `cost` is the face value, None if it cannot be told; `left` what its
    budget holds still, None for no budget.
    """

    currency: str
    terms: IncentiveTerms | None = None
    without: Without | None = None
    laddered: bool = False
    rung: int | None = None
    unanswered: int = 0
    bought_without: int = 0
    add_more: Decimal | None = None
    cost: Decimal | None = Decimal(0)
    budget: Budget | None = None
    left: Decimal | None = None

    @property
    def affordable(self) -> bool:
        """Whether the budget holds the whole of it. What cannot be priced cannot be promised from a budget."""
        if self.terms is None or self.left is None or self.cost == 0:
            return True
        return self.cost is not None and self.cost <= self.left

    @property
    def given(self) -> IncentiveTerms | None:
        """The terms with which the offer goes out, if it does."""
        return self.terms if self.affordable else None

    @property
    def reserves(self) -> Decimal | None:
        """What sending it takes from the budget; None without one."""
        return self.cost if self.budget is not None and self.given is not None else None


@dataclass(frozen=True)
class Bid:
    """All that choosing an incentive stands on. `budgets`: what is left, by currency (None: nobody counts)."""

    terms: IncentiveTerms | Ladder | None
    order: OrderFacts
    products: Sequence[Candidate]
    catalogue: Catalogue
    programme: Programme
    budgets: Mapping[str, Decimal] | None
    now: datetime


def choose(bid: Bid, state: CustomerState, others: Sequence[VerdictFacts]) -> Sweetener:
    """Return the incentive of an offer. `others` are the messages that the customer was sent, or would have been."""
    currency = bid.order.currency
    if not isinstance(bid.terms, Ladder):
        return _priced(Sweetener(currency, bid.terms), bid)
    ladder = bid.terms
    unanswered, bought_without = _climbed(ladder, state, others, bid.now)
    climbed = Sweetener(currency, laddered=True, unanswered=unanswered, bought_without=bought_without)
    if ladder.buys_without is not None and bought_without >= ladder.buys_without:
        return replace(climbed, without="buys_without")
    rung = min(unanswered, len(ladder.ladder) - 1)
    return _priced(replace(climbed, rung=rung, terms=ladder.ladder[rung]), bid)


def _priced(chosen: Sweetener, bid: Bid) -> Sweetener:
    """Return it with what it costs, what its budget holds, and what the order lacks; without terms if these do not apply."""
    terms, currency = chosen.terms, bid.order.currency
    if terms is None:
        return chosen
    if not _in_currency(terms, currency):
        return replace(chosen, terms=None, without="other_currency")
    budget = bid.programme.budget(currency)
    counted = budget is not None and bid.budgets is not None
    return replace(
        chosen,
        add_more=_lacking(terms, bid.order),
        cost=_cost(terms, bid),
        budget=budget,
        left=(bid.budgets or {}).get(currency, Decimal(0)) if counted else None,
    )


def _climbed(
    terms: Ladder, state: CustomerState, others: Sequence[VerdictFacts], now: datetime
) -> tuple[int, int]:
    """Count our incentives that ended without an order, and the orders that came while none was open."""
    since = now - terms.within
    bought = [order.placed_at for order in state.orders.values() if order.stands]
    ours = [(fact.decided_at, fact.offer_until) for fact in others if fact.incentive is not None]
    unanswered = sum(
        begins > since
        and (until is None or until <= now)
        and not any(begins <= at < (until or now) for at in bought)
        for begins, until in ours
    )
    without = sum(
        since < at <= now and not any(begins <= at < (until or now) for begins, until in ours)
        for at in bought
    )
    return unanswered, without


def _in_currency(terms: IncentiveTerms, currency: str) -> bool:
    """Whether every amount of the terms is in this currency: we do not convert."""
    named = {terms.currency, terms.threshold.currency if terms.threshold else None} - {None}
    return named <= {currency}


def _lacking(terms: IncentiveTerms, order: OrderFacts) -> Decimal | None:
    if terms.threshold is None or order.total >= terms.threshold.amount:
        return None
    return rounded_up(terms.threshold.amount - order.total, order.currency)


def _cost(terms: IncentiveTerms, bid: Bid) -> Decimal | None:
    currency = bid.order.currency
    if terms.kind == "percent":
        prices = [_price(bid.catalogue, each.product_id, currency) for each in bid.products]
        known = [price for price in prices if price is not None]
        if len(known) < len(prices):
            return None
        return percent_of(terms.value or Decimal(0), sum(known, Decimal(0)), currency)
    if terms.kind == "money":
        return rounded(terms.value or Decimal(0), currency)
    return rounded(terms.cost or Decimal(0), currency)


def prices(products: Sequence[Candidate], catalogue: Catalogue, currency: str) -> dict[str, Decimal]:
    """Return what the products cost now, of those priced in this currency."""
    found = {each.product_id: _price(catalogue, each.product_id, currency) for each in products}
    return {product_id: price for product_id, price in found.items() if price is not None}


def _price(catalogue: Catalogue, product_id: str, currency: str) -> Decimal | None:
    product = catalogue.get(product_id)
    return product.price if product and product.currency in (None, currency) else None


def incentive_of(
    terms: IncentiveTerms | None, now: datetime, zone: ZoneInfo, code: str | None = None
) -> Incentive:
    """Return the incentive as it stands at `now`, with the customer's own code or the one for all.

    A span is counted on the clock of the world; "tonight" ends where the next day begins in `zone`, whatever the clocks there
    do that night.
    """
    if terms is None:
        return NO_INCENTIVE
    expires_at = None
    if isinstance(terms.valid_for, timedelta):
        expires_at = now + terms.valid_for
    elif terms.valid_for == "tonight":
        tomorrow = now.astimezone(zone).date() + timedelta(days=1)
        expires_at = datetime.combine(tomorrow, time(0), zone).astimezone(UTC)
    return Incentive(
        kind=terms.kind,
        value=terms.value,
        currency=terms.currency if terms.kind == "money" else None,
        code=code or terms.code,
        expires_at=expires_at,
    )


def period_of(per: Literal["day", "week", "month"], now: datetime) -> tuple[datetime, datetime]:
    """Return the beginning and the end of the calendar period, in UTC, that holds `now`. Weeks begin on Monday."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if per == "day":
        return day, day + timedelta(days=1)
    if per == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)
