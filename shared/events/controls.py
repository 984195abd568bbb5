"""Switches that operators and guards throw for everyone."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from shared.events.customers import Channel
from shared.events.envelope import Data, Event, Moment, Text


class Control(Data):
    """Pause, stop or resume sending, for a shop (the envelope's `shopid`), one of its journeys, or a channel.

    What is paused waits; of what is stopped, steps that come due are skipped. `set_at` is business time.
    """

    action: Literal["pause", "stop", "resume"]
    journey: Text | None = None
    channel: Channel | None = None
    set_at: Moment
    set_by: Text
    why: Text


class ControlSet(Event):
    """Someone threw a switch: for one shop, or under the shop id `*` for every one."""

    shopid: Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9][a-z0-9-]{0,62})$")]
    type: Literal["orderwake.control.set.v1"] = "orderwake.control.set.v1"
    data: Control
