"""A producer that forgets to raise a version must not get an offer sent that the other state forbids."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from services.scheduler.domain import CustomerState, apply
from shared.events import (
    MESSAGE_CHANNELS,
    Channel,
    Consent,
    Customer,
    CustomerRecorded,
    Event,
    Order,
    OrderRecorded,
    OrderStatus,
)

NOW = datetime(2026, 3, 2, tzinfo=UTC)
START = CustomerState(shop="skincare", customer_id="c-1")


def an_event(kind: type[Event], number: int, data: object) -> Event:
    envelope = {"id": str(number), "source": "test", "time": NOW, "shopid": "skincare", "customerid": "c-1"}
    return kind.model_validate(envelope | {"data": data})


def states_of(events: list[Event]) -> list[CustomerState]:
    states = []
    for order in permutations(events):
        state = START
        for event in order:
            state = apply(state, event)
        states.append(state)
    return states


def test_a_cancelled_order_beats_a_placed_one_of_the_same_version() -> None:
    order = Order.model_validate({
        "order_id": "o-1", "placed_at": NOW, "currency": "USD", "total": 10,
        "lines": [{"product_id": "p", "quantity": 1, "unit_price": 10}],
    })  # fmt: skip
    cancelled = order.model_copy(
        update={"status": OrderStatus.CANCELLED, "status_at": NOW + timedelta(hours=1)}
    )
    states = states_of([an_event(OrderRecorded, 1, order), an_event(OrderRecorded, 2, cancelled)])
    assert [state.orders["o-1"].status for state in states] == [OrderStatus.CANCELLED] * 2


@pytest.mark.parametrize("channel", MESSAGE_CHANNELS)
def test_withdrawn_consent_beats_given_consent_of_the_same_version(channel: Channel) -> None:
    given = Customer(version=1, consent={channel: Consent(granted=True, changed_at=NOW)})
    withdrawn = Customer(version=1, consent={channel: Consent(granted=False, changed_at=NOW)})
    states = states_of([an_event(CustomerRecorded, 1, given), an_event(CustomerRecorded, 2, withdrawn)])
    assert [state.profile and state.profile.consent[channel].granted for state in states] == [False] * 2
