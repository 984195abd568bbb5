"""What Twilio's error codes mean for a hand-over, as data.

Source: Twilio's error dictionary (twilio.com/docs/api/errors), as gathered in November 2026. A code that is
not here and comes with a 4xx is final for this message. What is ours to mend (`SENDER_AT_FAULT`) waits instead:
else one wrong setting would use up every message in the queue.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Action(StrEnum):
    """What to do about a code."""

    SUPPRESS = "suppress"
    MARK_INVALID = "mark_invalid"
    SENDER_AT_FAULT = "sender_at_fault"
    PERMANENT = "permanent"
    BACK_OFF = "back_off"


@dataclass(frozen=True)
class Code:
    """An action, and the least wait in machine seconds where one is due."""

    action: Action
    wait_seconds: float | None = None


_HOUR = 3600.0

CODES = MappingProxyType(
    {
        21610: Code(Action.SUPPRESS),  # the recipient replied STOP
        21211: Code(Action.MARK_INVALID),  # not a number
        21614: Code(Action.MARK_INVALID),  # not a mobile
        21635: Code(Action.MARK_INVALID),  # a landline
        30005: Code(Action.MARK_INVALID),  # unknown or inactive number
        30006: Code(Action.PERMANENT),  # landline or unreachable carrier
        30004: Code(Action.PERMANENT),  # blocked by carrier or recipient
        30007: Code(Action.PERMANENT),  # filtered: the same content will be again
        20003: Code(Action.SENDER_AT_FAULT),  # credentials
        20404: Code(Action.SENDER_AT_FAULT),  # no such account
        21212: Code(Action.SENDER_AT_FAULT),  # the sender's number is none
        21603: Code(Action.SENDER_AT_FAULT),  # no sender given
        21606: Code(Action.SENDER_AT_FAULT),  # the sender's number cannot send SMS
        21609: Code(Action.SENDER_AT_FAULT),  # the call-back's URL is none
        21659: Code(Action.SENDER_AT_FAULT),  # the sender's number is not Twilio's
        21660: Code(Action.SENDER_AT_FAULT),  # the sender's number is another account's
        21408: Code(Action.SENDER_AT_FAULT),  # no permission for the region
        21612: Code(Action.SENDER_AT_FAULT),  # no route from this sender
        30032: Code(Action.SENDER_AT_FAULT),  # toll-free number not verified
        30034: Code(Action.SENDER_AT_FAULT),  # unregistered 10DLC sender
        20429: Code(Action.BACK_OFF),  # too many requests: never processed, safe to retry
        30001: Code(Action.BACK_OFF),  # queue overflow
        30022: Code(Action.BACK_OFF),  # 10DLC rate exceeded
        63038: Code(Action.BACK_OFF, _HOUR),  # daily cap of the account
    }
)
