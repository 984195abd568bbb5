"""What would happen next to one customer, by the very code that decides, without a write; and one message of it to a tester."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from services.scheduler import derive
from services.scheduler.deciding import Decider
from services.scheduler.store import Locked
from shared.clock import Clock
from shared.errors import InfrastructureError
from shared.events import (
    Channel,
    Consent,
    Customer,
    CustomerRecorded,
    Decision,
    Event,
    Message,
    MessageRequested,
    decode,
)
from shared.faults import PASSING
from shared.ids import partition_key
from shared.kafka.outbox import Outgoing
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import INBOUND_CUSTOMERS, MESSAGES

_SOURCE = "orderwake/try"
_DECISIONS = 500


@dataclass(frozen=True)
class Tried:
    """One decision as it would be, and the message that it would ask for."""

    decision: Decision
    message: Message | None


def foresee(customer: Locked, decider: Decider, now: datetime) -> list[Tried]:
    """Decide every open step at its time, from `now` on, each on the state that the ones before leave, until none is open.

    Nothing else happens meanwhile: no order, no delivery, no click; products and switches are as they are now.
    """
    found: list[Tried] = []
    while len(found) < _DECISIONS:
        state = derive.state_of(customer)
        open_ones = derive.undecided(state, decider.published, now, decider.views)
        rows = derive.waiting(customer, state, open_ones)
        if not rows:
            break
        now = max(now, min(row.next_at for row in rows))
        settled = decider.settle(customer, now, {}, ())
        if not settled.decisions:
            break
        messages = {each.message_id: each for each in _messages(settled.outgoing)}
        found += [Tried(each, messages.get(each.message_id)) for each, _ in settled.decisions]
        customer = replace(customer, state=settled.state.dump())
    return found


def _messages(outgoing: Sequence[Outgoing]) -> list[Message]:
    events = [decode(each.value, MESSAGES.types) for each in outgoing if each.topic == MESSAGES.name]
    return [each.data for each in events if isinstance(each, MessageRequested)]


def id_of_tester(address: str) -> str:
    """Return the customer id under which a tester's address stands: nobody's else, and without orders."""
    return f"tester-{hashlib.sha256(address.encode()).hexdigest()[:16]}"


def for_tester(shop: str, message: Message, address: str, clock: Clock) -> list[tuple[str, Event]]:
    """Return the tester's profile, with consent for the channel, and the message under ids of its own, addressed to them.

    The message is of no decision, and of a customer who has no order: no cap, holdout, guard or report counts it.
    """
    now, customer = clock.business(), id_of_tester(address)
    given = Consent(granted=True, changed_at=now, source="orderwake journeys try")
    kind = "phone" if message.channel is Channel.SMS else "email"
    profile = Customer.model_validate({
        "version": max(1, int(clock.machine().timestamp() * 1000)),
        kind: address,
        "staff": True,
        "country": "US",
        "consent": {message.channel: given},
    })  # fmt: skip
    fresh = {"message_id": uuid4(), "decision_id": uuid4(), "recipient": address, "created_at": now}
    envelope = {"source": _SOURCE, "time": now, "shopid": shop, "customerid": customer}
    wanted = message.model_copy(update=fresh)
    return [
        (INBOUND_CUSTOMERS.name, CustomerRecorded(id=str(uuid4()), data=profile, **envelope)),
        (MESSAGES.name, MessageRequested(id=str(wanted.message_id), data=wanted, **envelope)),
    ]


async def send(settings: Settings, events: Sequence[tuple[str, Event]]) -> None:
    """Publish events, one after the other. Raises InfrastructureError if Kafka does not acknowledge."""
    producer = make_producer(settings.kafka_bootstrap_servers)
    try:
        await producer.start()
        for topic, event in events:
            key = partition_key(event.shopid, event.customerid or "")
            await producer.send_and_wait(topic, event.encode(), key)
    except PASSING as error:
        message = (
            f"Kafka at {settings.kafka_bootstrap_servers} did not acknowledge the message ({type(error).__name__}); "
            "set KAFKA_BOOTSTRAP_SERVERS, and try again"
        )
        raise InfrastructureError(message) from error
    finally:
        await producer.stop()
