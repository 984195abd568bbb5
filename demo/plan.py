"""What happens in the demo, made before anything starts: three piles of events, each in order of time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from demo import generate, grocer
from demo.generate import Person
from shared import events, ids
from shared.events import Event

LIVE_START = datetime(2017, 11, 6, 5, tzinfo=UTC)  # Monday, midnight in New York
LIVE_DAYS = 7
RECENT_DAYS = 28
HISTORY_DAYS = 61
SHOPS = (*generate.WORKED_SHOPS, grocer.SHOP)


@dataclass
class Plan:
    """`history` teaches, `recent` is the past that may start journeys, `live` comes at its own business time."""

    reference: list[Event] = field(default_factory=list)
    history: list[Event] = field(default_factory=list)
    recent: list[Event] = field(default_factory=list)
    live: list[Event] = field(default_factory=list)
    people: dict[tuple[str, str], Person] = field(default_factory=dict)

    @property
    def live_orders(self) -> int:
        """Orders placed in the live week."""
        return sum(isinstance(event, events.OrderRecorded) and event.data.version == 1 for event in self.live)


def live_end() -> datetime:
    """When business time stops."""
    return LIVE_START + timedelta(days=LIVE_DAYS)


def make(seed: int, shops: Iterable[str], live_orders: int, *, say: Callable[[str], None]) -> Plan:
    """The plan for these shops, with about `live_orders` orders in the live week, half of them the grocer's."""
    chosen = [shop for shop in SHOPS if shop in set(shops)]
    worked = [shop for shop in chosen if shop != grocer.SHOP]
    share = 0.5 if grocer.SHOP in chosen and worked else 1.0
    plan = Plan()
    placed: list[tuple[Person, events.Order]] = []
    if grocer.SHOP in chosen:
        say("reading two months and five weeks of real orders")
        placed += _grocer(seed, plan, round(live_orders * share))
    for shop in worked:
        placed += _worked(
            seed, plan, shop, round(live_orders * (share if grocer.SHOP in chosen else 1) / len(worked))
        )
    _spread(seed, plan, placed)
    _introduce(seed, plan)
    return plan


def _grocer(seed: int, plan: Plan, wanted: int) -> Iterator[tuple[Person, events.Order]]:
    catalogue = grocer.products()
    recent_start = LIVE_START - timedelta(days=RECENT_DAYS)
    sold: dict[str, events.Line] = {}
    history = list(
        grocer.orders(
            seed, recent_start - timedelta(days=HISTORY_DAYS), recent_start, catalogue, history=True
        )
    )
    later = list(grocer.orders(seed, recent_start, live_end(), catalogue, history=False))
    households = grocer.sample(later, (LIVE_START, timedelta(days=LIVE_DAYS)), wanted)
    plan.history += [generate.order_event(who, order) for who, order in history]
    for who, order in later:
        if who.customer in households:
            plan.people[who.key] = who
            yield who, order
    for _, order in (*history, *later):
        sold.update({line.product_id: line for line in order.lines})
    for sku, line in sold.items():
        priced = catalogue[sku].model_copy(
            update={"price": line.unit_price, "currency": "USD", **_links(grocer.SHOP, sku)}
        )
        plan.reference.append(_product_event(grocer.SHOP, priced))


def _links(shop: str, sku: str) -> dict[str, str]:
    return {
        "url": f"https://{shop}.example.com/p/{sku}",
        "image_url": f"https://{shop}.example.com/i/{sku}.png",
    }


def _product_event(shop: str, product: events.Product) -> Event:
    return events.ProductRecorded(
        id=ids.event_id("demo", shop, "product", product.product_id), source=generate.SOURCE, time=product.updated_at,
        shopid=shop, data=product,
    )  # fmt: skip


def _worked(seed: int, plan: Plan, shop: str, a_week: int) -> Iterator[tuple[Person, events.Order]]:
    plan.reference += [
        _product_event(shop, product) for product in generate.worked_shops()[shop].products.values()
    ]
    weeks = RECENT_DAYS // 7
    for label, start, days, count in (
        ("recent", LIVE_START - timedelta(days=RECENT_DAYS), RECENT_DAYS, a_week * weeks),
        ("live", LIVE_START, LIVE_DAYS, a_week),
    ):
        for who, order in generate.shop_orders(seed, shop, start, days, count, label=label):
            plan.people[who.key] = who
            yield who, order


def _spread(seed: int, plan: Plan, placed: Iterable[tuple[Person, events.Order]]) -> None:
    """Sort orders and what follows them into the piles; what would come after the live week never happens."""
    for who, order in placed:
        for event in (generate.order_event(who, order), *generate.aftermath(seed, who, order)):
            if event.time < LIVE_START:
                plan.recent.append(event)
            elif event.time < live_end():
                plan.live.append(event)
    for pile in (plan.recent, plan.live):
        pile.sort(key=lambda event: (event.time, event.id))


def _introduce(seed: int, plan: Plan) -> None:
    opened = LIVE_START - timedelta(days=RECENT_DAYS + 30)
    for number, who in enumerate(plan.people.values()):
        plan.reference.append(generate.profile(seed, who, number, opened))
