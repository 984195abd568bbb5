"""What must hold in every shop's story, whatever else happens in it."""

from collections import Counter

from shared.events import MESSAGE_CHANNELS, Verdict
from tests.support.story import Arrival, Story

_ONE_SEGMENT = 160


def check(story: Story) -> None:
    """Hold every law against a story."""
    for name in story.shop.ids:
        nothing_owned_is_offered(story, name)
        every_send_arrives_once_and_nothing_else_does(story, name)
    for arrivals in story.arrivals.values():
        for arrival in arrivals:
            texts_are_short_and_end_with_the_way_out(arrival)
            mails_can_be_unsubscribed_from(arrival)


def nothing_owned_is_offered(story: Story, name: str) -> None:
    """No decision offers what its customer had bought by then, unless to buy it again is its very point."""
    for decision in story.decisions[name]:
        had = {sku for when, sku in story.shop.bought[name] if when <= decision.decided_at}
        offered = decision.offer.products if decision.offer else ()
        wrong = [
            one.product_id for one in offered if one.relation != "replenishment" and one.product_id in had
        ]
        assert not wrong, f"{name} was offered {wrong} by {decision.step}, and owns it"


def every_send_arrives_once_and_nothing_else_does(story: Story, name: str) -> None:
    """What was decided to be sent is exactly what came, each once; each step has one final verdict."""
    sent = Counter(
        str(one.message_id)
        for one in story.decisions[name]
        if one.verdict is Verdict.SEND and one.channel in MESSAGE_CHANNELS
    )
    assert sent == Counter(arrival.message_id for arrival in story.arrivals[name])
    final = Counter(one.message_id for one in story.decisions[name] if one.verdict is not Verdict.DEFER)
    assert set(final.values()) <= {1}


def texts_are_short_and_end_with_the_way_out(arrival: Arrival) -> None:
    """A text is one segment with one link, and says how to stop."""
    if arrival.channel == "sms":
        assert len(arrival.text) <= _ONE_SEGMENT
        assert arrival.text.count("https://") == 1
        assert arrival.text.endswith("Reply STOP to opt out")


def mails_can_be_unsubscribed_from(arrival: Arrival) -> None:
    """An e-mail has a link that ends it, and the sender's postal address."""
    if arrival.channel == "email":
        assert "Unsubscribe with one click: https://" in arrival.text
        assert "Springfield, IL 62701" in arrival.text
