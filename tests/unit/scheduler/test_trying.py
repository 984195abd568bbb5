"""A message for a tester: their own customer, with ids of its own, so that nothing of it counts."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.scheduler.versions import commands_try
from services.scheduler.versions.trying import Tried, for_tester, id_of_tester
from shared.clock import ManualClock
from shared.errors import PublicationError
from shared.events import Channel, Message
from shared.topics import INBOUND_CUSTOMERS, MESSAGES
from tests.support.deciding import CUSTOMER, MONDAY_NOON, SHOP, decided, journey, order, profile, state


def message(channel: Channel = Channel.EMAIL) -> Message:
    return Message(
        message_id=UUID(int=1),
        decision_id=UUID(int=2),
        channel=channel,
        recipient="ada@example.com",
        journey="routine",
        step="pair",
        template="skincare/pair",
        locale="en-US",
        context={"first_name": "Ada"},
        created_at=MONDAY_NOON + timedelta(days=9),
        valid_until=MONDAY_NOON + timedelta(days=12),
    )


@pytest.mark.parametrize(
    ("channel", "address", "field"),
    [(Channel.EMAIL, "tester@example.com", "email"), (Channel.SMS, "+12025550142", "phone")],
)
def test_the_tester_is_a_customer_who_consents_and_the_message_is_of_no_decision(
    channel: Channel, address: str, field: str
) -> None:
    (first, person), (second, sent) = for_tester(SHOP, message(channel), address, ManualClock(MONDAY_NOON))
    assert (first, second) == (INBOUND_CUSTOMERS.name, MESSAGES.name)
    assert person.customerid == sent.customerid == id_of_tester(address) != CUSTOMER
    whom: Any = person.data
    assert (getattr(whom, field), whom.staff, list(whom.consent)) == (address, True, [channel])
    what: Message = sent.data
    assert what.recipient == address
    assert not {what.message_id, what.decision_id} & {UUID(int=1), UUID(int=2)}
    assert (what.context, what.created_at) == ({"first_name": "Ada"}, MONDAY_NOON)


def test_only_a_message_that_would_be_sent_on_that_channel_goes_out() -> None:
    verdict = decided(state(profile(), order()), journey())
    found = [Tried(verdict, message()), Tried(verdict, None)]
    assert commands_try._wanted(found, None, "tester@example.com") is found[0]  # noqa: SLF001  what the command chooses
    for step, address, problem in (
        ("other", "tester@example.com", "steps that would be: pair"),
        (None, "+12025550142", "steps that would be: none"),
        (None, "tester", "neither an e-mail address nor a number"),
    ):
        with pytest.raises(PublicationError, match=problem):
            commands_try._wanted(found, step, address)  # noqa: SLF001  as above
