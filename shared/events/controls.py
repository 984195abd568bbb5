"""Switches that operators and guards throw for everyone."""

from typing import Literal

from shared.events.customers import Channel
from shared.events.envelope import Data, Event, Moment, Text


class Control(Data):
    """Pause or resume sending, for a shop (the envelope's `shopid`), one of its journeys, or a channel."""

    action: Literal["pause", "resume"]
    journey: Text | None = None
    channel: Channel | None = None
    set_at: Moment
    set_by: Text
    why: Text


class ControlSet(Event):
    """Someone threw a switch."""

    type: Literal["orderwake.control.set.v1"] = "orderwake.control.set.v1"
    data: Control
