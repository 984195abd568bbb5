"""Which provider takes a message, and whether one may now: routes, limits, and breakers.

Decided when a message is about to be handed over, by what the providers answered before. One provider only ever gets a
message of which it is not certain that no other took it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from services.dispatcher.allowances import Allowances
from services.dispatcher.campaigns import Campaigns, Trip
from services.dispatcher.delivery import Delivery
from services.dispatcher.domain.allowance import Rate
from services.dispatcher.domain.breaker import Breaker
from services.dispatcher.domain.policy import Held, priority_of
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import Answer, Fault, Provider, Result
from services.dispatcher.providers.config import Limits
from shared import metrics
from shared.clock import Clock
from shared.events import Channel
from shared.switches import Scope

log = structlog.get_logger()

SHORTEST_WAIT, LONGEST_WAIT = 0.25, 60.0


@dataclass(frozen=True, slots=True)
class Lot:
    """The provider that a message goes to, its sender there, and the limited scopes that it counts in."""

    provider: Provider
    sender: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a message goes to nobody now, and machine seconds until it is looked at again."""

    held: Held
    seconds: float


Share = Lot | Wait


class Flow:
    """One process's view. Breakers and concurrency are its own; tokens are shared."""

    def __init__(
        self, delivery: Delivery, providers: Mapping[str, Provider], pool: asyncpg.Pool, clock: Clock
    ) -> None:
        self._delivery = delivery
        self._clock = clock
        self._routes = {
            channel: route for channel in Channel if (route := delivery.route(channel, providers))
        }
        self._limits = {config.name: config.limits for config in delivery.providers}
        self._breakers = {name: Breaker() for name in providers}
        self._under_way = Counter(dict.fromkeys(providers, 0))
        self._senders = {
            "",
            *(shop.sender(channel) for shop in delivery.shops.values() for channel in Channel),
        }
        self._allowances = allowances = Allowances(pool, clock, self._rates(providers))
        self._limited_shops = [
            (shop, scope) for shop in delivery.shops if allowances.limited(scope := _of_shop(shop))
        ]
        self._by_sender = {
            name: [scope for sender in self._senders if allowances.limited(scope := _of_sender(name, sender))]
            for name in providers
        }
        self._campaigns = Campaigns(clock)
        for name in providers:
            metrics.PROVIDER_OPEN.labels(name).set(0)

    def routed(self, channel: Channel) -> bool:
        """Whether any provider takes this channel's messages."""
        return channel in self._routes

    def free(self, channel: Channel) -> int:
        """How many hand-overs more its providers bear at once; of a channel without any, none are waited for."""
        route = self._routes.get(channel)
        return sum(self._idle(provider.name) for provider in route) if route else 1000

    def rooms(self, limit: int, ahead: Mapping[Channel, int]) -> dict[Channel, int]:
        """How many messages of each channel to claim, up to `limit`, with `ahead` claimed already; channels with none left out."""
        rooms = {}
        for channel in Channel:
            route = self._routes.get(channel)
            room = sum(self._may_have(provider.name) for provider in route) if route else limit
            if (left := int(min(room - ahead.get(channel, 0), limit))) > 0:
                rooms[channel] = left
        return rooms

    def shops(self) -> dict[str, int]:
        """How many messages of a shop with limits to claim at most."""
        return {shop: int(self._allowances.left(scope)) for shop, scope in self._limited_shops}

    async def share_out(self, claimed: Iterable[Claimed]) -> dict[UUID, Share]:
        """Find each a provider and take its tokens, service messages first. What becomes no hand-over must be given back."""
        found: dict[UUID, Share] = {}
        pending = sorted(claimed, key=lambda one: priority_of(one.event.data))
        tried: defaultdict[UUID, set[str]] = defaultdict(set)
        try:
            while pending:
                pending = await self._bid(pending, found, tried)
        except BaseException:
            self._call_off(found.values())
            raise
        return found

    async def give_back(self, shares: Iterable[Share]) -> None:
        """Nothing was handed over for these."""
        lots = [share for share in shares if isinstance(share, Lot)]
        self._call_off(lots)
        await self._allowances.give_back(Counter(scope for lot in lots for scope in lot.scopes))

    def hear(self, lot: Lot, claimed: Claimed, answer: Answer) -> Trip | None:
        """A hand-over came to an end; the campaign to hold, if its content was refused too often."""
        name = lot.provider.name
        self._under_way[name] -= 1
        breaker, now = self._breakers[name], self._clock.monotonic()
        if answer.apart:
            breaker.call_off()
            if answer.fault is Fault.SENDER:
                log.error("receiver_refused", provider=name, shop=claimed.event.shopid, reason=answer.reason)
            return self._campaigns.hear(claimed, answer)
        was_open = breaker.left_alone
        opened = breaker.hear(answer.result, answer.fault, answer.reason, answer.retry_after, now)
        if answer.fault is Fault.SENDER and breaker.first_refusal:
            log.error("sender_refused", provider=name, channel=lot.provider.channel, reason=answer.reason)
        if opened:
            log.error(
                "provider_left_alone", provider=name, reason=answer.reason, seconds=breaker.rests_for(now)
            )
        elif was_open and not breaker.left_alone:
            log.info("provider_back", provider=name)
        if was_open is not breaker.left_alone:
            metrics.PROVIDER_OPEN.labels(name).set(breaker.left_alone)
        return self._campaigns.hear(claimed, answer)

    def hear_report(self, scope: Scope, reason: str) -> Trip | None:
        """Note a call-back that says that a campaign's content was refused; the campaign to hold because of it."""
        return self._campaigns.hear_report(scope, reason)

    def elsewhere(self, claimed: Claimed, answer: Answer, name: str) -> bool:
        """Whether another provider can have at once what this one certainly did not take."""
        if claimed.doubted or answer.result is not Result.NOT_TAKEN:
            return False
        route = self._routes.get(claimed.event.data.channel, ())
        return any(each.name != name and self._may_have(each.name) > 0 for each in route)

    def status(self) -> dict[str, Any]:
        """Each provider's breaker, hand-overs under way, and tokens left as last seen."""
        now = self._clock.monotonic()
        return {
            name: {
                "breaker": breaker.condition(now),
                "reason": breaker.reason,
                "rests_for_seconds": round(breaker.rests_for(now), 1),
                "under_way": self._under_way[name],
                **self._left(name),
            }
            for name, breaker in self._breakers.items()
        }

    async def _bid(
        self,
        pending: Sequence[Claimed],
        found: dict[UUID, Share],
        tried: defaultdict[UUID, set[str]],
    ) -> list[Claimed]:
        """Try the next provider of each; returns those whose provider had no token left."""
        lots: dict[UUID, Lot] = {}
        for one in pending:
            lot = self._lot(one, tried[one.message_id])
            if lot is not None:
                lots[one.message_id] = lot
            elif one.message_id not in found:
                found[one.message_id] = self._nobody(one)
        try:
            wanted = Counter(scope for lot in lots.values() for scope in lot.scopes)
            left = await self._allowances.take(wanted)
        except BaseException:
            self._call_off(lots.values())
            raise
        return await self._allot([one for one in pending if one.message_id in lots], lots, left, found, tried)

    async def _allot(
        self,
        bidding: Sequence[Claimed],
        lots: Mapping[UUID, Lot],
        left: dict[str, int],
        found: dict[UUID, Share],
        tried: defaultdict[UUID, set[str]],
    ) -> list[Claimed]:
        again, lacked = [], Counter[str]()
        for one in bidding:
            lot = lots[one.message_id]
            lacking = [scope for scope in lot.scopes if left.get(scope, 0) < 1]
            if not lacking:
                found[one.message_id] = lot
                for scope in lot.scopes:
                    left[scope] -= 1
                continue
            self._call_off([lot])
            lacked.update(lacking)
            found[one.message_id] = self._lacking(lacking, lacked)
            if _of_shop(one.event.shopid) not in lacking:
                tried[one.message_id].add(lot.provider.name)
                again.append(one)
        await self._allowances.give_back({scope: count for scope, count in left.items() if count})
        return again

    def _lot(self, one: Claimed, tried: set[str]) -> Lot | None:
        now = self._clock.monotonic()
        for provider in self._candidates(one):
            name = provider.name
            if name not in tried and self._idle(name) > 0 and self._breakers[name].room(now) > 0:
                self._under_way[name] += 1
                self._breakers[name].begin(now)
                shop = one.event.shopid
                sender = self._delivery.shop(shop).sender(provider.channel)
                scopes = (_of_provider(name), _of_sender(name, sender), _of_shop(shop))
                limited = tuple(scope for scope in scopes if self._allowances.limited(scope))
                return Lot(provider, sender, limited)
        return None

    def _candidates(self, one: Claimed) -> Sequence[Provider]:
        """In the order of preference; one that did not take it before comes last, and where it may have, there is no other."""
        route = self._routes.get(one.event.data.channel, ())
        if one.doubted:
            return [each for each in route if each.name == one.provider]
        return sorted(route, key=lambda each: bool(one.attempts) and each.name == one.provider)

    def _nobody(self, one: Claimed) -> Wait:
        now = self._clock.monotonic()
        rests = [self._breakers[each.name].rests_for(now) for each in self._candidates(one)]
        shortest = min(rests, default=LONGEST_WAIT)
        held = Held.PROVIDER_AWAY if shortest else Held.LIMITED
        return Wait(held, min(max(shortest, SHORTEST_WAIT), LONGEST_WAIT))

    def _lacking(self, scopes: Sequence[str], lacked: Mapping[str, int]) -> Wait:
        used_up = any(self._allowances.used_up(scope) for scope in scopes)
        seconds = max(self._allowances.wait(scope, lacked[scope]) for scope in scopes)
        return Wait(Held.QUOTA_USED if used_up else Held.LIMITED, max(seconds, SHORTEST_WAIT))

    def _call_off(self, shares: Iterable[Share]) -> None:
        for share in shares:
            if isinstance(share, Lot):
                self._under_way[share.provider.name] -= 1
                self._breakers[share.provider.name].call_off()

    def _idle(self, name: str) -> int:
        return max(self._limits[name].concurrency - self._under_way[name], 0)

    def _may_have(self, name: str) -> float:
        room = self._breakers[name].room(self._clock.monotonic())
        left = min(room, self._limits[name].concurrency, self._allowances.left(_of_provider(name)))
        scopes = self._by_sender[name]
        return min(left, sum(map(self._allowances.left, scopes))) if scopes else left

    def _left(self, name: str) -> dict[str, int]:
        scope = _of_provider(name)
        return {"tokens": int(self._allowances.left(scope))} if self._allowances.limited(scope) else {}

    def _rates(self, providers: Mapping[str, Provider]) -> dict[str, Rate]:
        rates = {_of_shop(shop): _rate(sender.limits) for shop, sender in self._delivery.shops.items()}
        for config in self._delivery.providers:
            if config.name in providers:
                rates[_of_provider(config.name)] = _rate(config.limits)
                if config.sender_limits is not None:
                    per_sender = _rate(config.sender_limits)
                    rates |= {_of_sender(config.name, sender): per_sender for sender in self._senders}
        return rates


def _rate(limits: Limits) -> Rate:
    return Rate(limits.per_second, limits.per_day)


def _of_provider(name: str) -> str:
    return f"provider/{name}"


def _of_sender(name: str, sender: str) -> str:
    return f"sender/{name}/{sender}"


def _of_shop(shop: str) -> str:
    return f"shop/{shop}"
