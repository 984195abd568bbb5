"""What happens to some hundreds of customers while their schedulers die."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from shared import events
from shared.events import Event, OrderStatus
from tests.support.samples import START, order
from tests.support.scheduling import delivered, envelope, journey_text, profile, step
from tests.support.wreckage import Stand, Story

SHOP = "skincare"
TOLD_WITHIN = timedelta(hours=40)
PATIENT = {"skip_after": "5d", "expires": "6d"}
JOURNEY = journey_text(
    SHOP,
    steps=[
        step("pair", "email", "order", "45m", offer={"from": ["complements"]}, **PATIENT),
        step("touch", "email", "order", "2h", repeat={"every": "5h", "times": 6}, **PATIENT),
        step("check", "sms", "delivery", "1h", **PATIENT),
    ],
    caps=[{"count": 4, "per": "7d"}],
    quiet_hours={"email": {"starts": "21:00", "ends": "07:30"}},
    holdout={"share": 0.2},
)


def story(customers: int, stands: int) -> Story:
    """Return a story of some days, told in as many parts as business time has stands."""
    span = (TOLD_WITHIN + timedelta(hours=20)) / stands
    told = sorted(
        ((event.time, number, event) for number in range(customers) for event in _life(number, customers)),
        key=lambda each: each[:2],
    )
    return Story(
        JOURNEY,
        list(_shelf()),
        [
            Stand(
                START + (number + 1) * span,
                [
                    event
                    for at, _, event in told
                    if number * span <= max(at - START, timedelta()) < (number + 1) * span
                ],
            )
            for number in range(stands)
        ],
    )


def _life(number: int, customers: int) -> Iterator[Event]:
    """Everything that happens to one customer."""
    customer, placed_at = f"c-{number}", START + number * TOLD_WITHIN / customers
    yield profile(SHOP, customer)
    yield order(customer=customer, placed_at=placed_at)
    if number % 7 == 0:
        yield order(customer=customer, placed_at=placed_at, version=2, status=OrderStatus.CANCELLED)
    if number % 5 == 0:
        yield profile(SHOP, customer, version=2, at=placed_at + timedelta(hours=9), consent=False)
    yield delivered(SHOP, customer, "o-1", placed_at + timedelta(hours=12))


def _shelf() -> Iterator[Event]:
    for each in ("cleanser", "toner", "serum"):
        product = events.Product(
            product_id=each, updated_at=START, name=each.title(), category="skin", price=Decimal(5),
            currency="USD",
        )  # fmt: skip
        yield events.ProductRecorded(**envelope(SHOP, None, START), data=product)
    candidates = tuple(
        events.Candidate(product_id=each, score=1 / (place + 2), support=200, relation="pair", reliable=True)
        for place, each in enumerate(("toner", "serum"))
    )
    found = events.Complements(product_id="cleanser", version=7, candidates=candidates)
    yield events.ComplementsUpdated(**envelope(SHOP, None, START), data=found)
