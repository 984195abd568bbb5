"""One shop's customers in a span of business time: what they do, what reaches them, and what was decided."""

import asyncio
import email
import email.policy
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

from services.scheduler.journeys import load_journey
from shared import events, topics
from shared.events import Decision, DecisionRecorded, Event
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from tests.support.shop import Shop
from tests.support.stage import REPOSITORY, Stage
from tests.support.waiting import eventually

_SPAN = re.compile(r"(\d+)([dhm])")
_LINK = re.compile(r"https://go\.example\.com(/[rs]/[\w-]+)")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def span(text: str) -> timedelta:
    """Read `2d`, `9h45m` and the like."""
    return timedelta(**{_UNITS[unit]: int(number) for number, unit in _SPAN.findall(text)})


@dataclass(frozen=True)
class Arrival:
    """A message as it came: `at` is the story's time, `text` its plain text, `title` its subject (SMS: none).

    `leads_to` is where its links to products and guides lead, in their order.
    """

    at: str
    channel: str
    message_id: str
    title: str
    text: str
    leads_to: tuple[str, ...] = ()


@dataclass
class Story:
    """Told from `begins_at` on, a Monday at ten: what reached each customer, and what was decided about them."""

    stage: Stage
    shop: Shop
    begins_at: datetime
    arrivals: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    decisions: dict[str, list[Decision]] = field(default_factory=lambda: defaultdict(list))
    _at: str = "0m"

    @classmethod
    async def begin(
        cls, stage: Stage, shop: str, place: tuple[str, str], products: Mapping[str, events.Product]
    ) -> Self:
        """Begin on the next Monday in a place (zone and state), with all products in the catalogue."""
        zone, region = place
        journey = load_journey(REPOSITORY / "journeys" / f"{shop}.yaml")
        story = cls(stage, Shop(stage, journey, zone, region, products), stage.next_monday(zone))
        await story.at("0m")
        await story.happens(story.shop.catalogue())
        return story

    async def at(self, when: str) -> None:
        """Move on to a time of the story, and see what arrives."""
        self._at = when
        await self._note(await self.stage.move(self.begins_at + span(when)))

    async def happens(self, *news: Event | list[Event]) -> None:
        """Tell the system, wait until it has come to rest, and see what arrives."""
        await self.stage.tell([event for one in news for event in (one if isinstance(one, list) else [one])])
        await self._note(await self.stage.rest())

    async def _note(self, entries: Iterable[Mapping[str, Any]]) -> None:
        people = self.shop.ids
        names = {address(name): name for address in (self.shop.email, self.shop.phone) for name in people}
        for entry in entries:
            name = names.get(entry["recipient"])
            if name is not None:
                arrival = _arrival(self._at, entry)
                targets = [await self.stage.look_ahead(path) for path in _LINK.findall(arrival.text)]
                self.arrivals[name].append(replace(arrival, leads_to=tuple(targets)))

    async def clicks(self, name: str, words: str) -> None:
        """Let a customer follow the link behind these words of their latest e-mail, and see what arrives."""
        link = re.search(rf"{re.escape(words)}: https://[^/\s]+(/\S+)", self.arrivals[name][-1].text)
        assert link, f"{name}'s latest message has no link {words!r}"
        await self.stage.click(link[1])
        await self._note(await self.stage.rest())

    async def learned(self, product: str, partners: Mapping[str, int]) -> None:
        """Wait until the recommender says that these go with a product, from so many baskets with both."""
        found: dict[str, dict[str, int]] = {}

        def take(_: Record, event: Event | None) -> None:
            if isinstance(event, events.ComplementsUpdated) and event.shopid == self.shop.id:
                found[event.data.product_id] = {one.product_id: one.support for one in event.data.candidates}

        stopping = asyncio.Event()
        following = asyncio.ensure_future(
            Follower(self.stage.watch.settings, [topics.COMPLEMENTS], take).run(stopping)
        )
        await eventually(
            lambda: partners.items() <= found.get(product, {}).items(),
            60,
            lambda: f"{partners} to go with {product}, found {found}",
        )
        stopping.set()
        await following

    async def close(self) -> None:
        """Read what was decided about everyone."""
        names = {customer: name for name, customer in self.shop.ids.items()}

        def take(_: Record, event: Event | None) -> None:
            if isinstance(event, DecisionRecorded) and event.shopid == self.shop.id:
                self.decisions[names[event.customerid or ""]].append(event.data)

        await self.stage.watch.read([topics.DECISIONS], take)

    def timetable(self, name: str) -> list[tuple[str, str, str]]:
        """What reached a customer: when, how, and its step; at the same time in the order of their priority."""
        steps = {str(one.message_id): self.shop.journey.step(one.step) for one in self.decisions[name]}
        told = [(one.at, one.channel, steps[one.message_id]) for one in self.arrivals[name]]
        told.sort(key=lambda one: (span(one[0]), one[2].priority))
        return [(at, channel, step.id) for at, channel, step in told]

    def verdicts(self, name: str, number: int = 1) -> dict[str, str]:
        """Each step of an order with its verdicts in turn and their reasons, such as `defer quiet_hours, send`."""
        said: dict[str, list[str]] = defaultdict(list)
        for decision in self.decisions[name]:
            if decision.order_id == f"{self.shop.ids[name]}/{number}":
                reason = f" {decision.reason}" if decision.reason else ""
                said[decision.step].append(f"{decision.verdict}{reason}")
        return {step: ", ".join(verdicts) for step, verdicts in said.items()}

    def decision(self, name: str, step: str, number: int = 1) -> Decision:
        """The last decision on a step of an order."""
        order_id = f"{self.shop.ids[name]}/{number}"
        return [one for one in self.decisions[name] if (one.step, one.order_id) == (step, order_id)][-1]

    def offered(self, name: str, step: str) -> list[events.Product]:
        """The products that a step offered, or would have."""
        offer = self.decision(name, step).offer
        return [self.shop.products[one.product_id] for one in offer.products] if offer else []

    def arrival(self, name: str, step: str) -> Arrival:
        """The message of a step."""
        wanted = str(self.decision(name, step).message_id)
        return next(one for one in self.arrivals[name] if one.message_id == wanted)


def _arrival(at: str, entry: Mapping[str, Any]) -> Arrival:
    if entry["channel"] == "sms":
        return Arrival(at, "sms", entry["message_id"], "", entry["body"])
    mail = email.message_from_bytes(
        Path(entry["path"]).read_bytes(), _class=EmailMessage, policy=email.policy.default
    )
    body = mail.get_body(("plain",))
    return Arrival(at, "email", entry["message_id"], entry["subject"], body.get_content() if body else "")
