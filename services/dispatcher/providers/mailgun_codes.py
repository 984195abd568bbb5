"""What Mailgun's answers and events mean, as data.

Sources: Mailgun's manual (documentation.mailgun.com: sending, events, webhooks) as gathered in November 2026. Words are
looked at only where a status says too little: they are not promised.
"""

import re
from types import MappingProxyType

from services.dispatcher.domain.faults import Fault
from services.dispatcher.providers.base import Said

WORDS = (
    (400, re.compile(r"\bfrom'? parameter|sandbox|free accounts", re.IGNORECASE), Fault.SENDER),
    (400, re.compile(r"\bto'? parameter is not a valid", re.IGNORECASE), Fault.DEAD),
    (400, re.compile(r"too large|message size", re.IGNORECASE), Fault.CONTENT),
    (403, re.compile(r"(daily|monthly).*limit|limit.*(daily|monthly)", re.IGNORECASE), Fault.QUOTA),
    (403, re.compile(r"limit", re.IGNORECASE), Fault.BUSY),
    (429, re.compile(r"daily|monthly", re.IGNORECASE), Fault.QUOTA),
)
"""By status and words of the message, the first that fits."""

STATUSES = MappingProxyType(
    {
        401: Fault.SENDER,  # the key is wrong
        402: Fault.SENDER,  # the account is not paid for
        403: Fault.SENDER,  # the domain or the account may not send
        404: Fault.SENDER,  # no such domain in this region
        413: Fault.CONTENT,  # larger than 25 MB
        420: Fault.BUSY,  # a limit, by its former status
        429: Fault.BUSY,
    }
)
"""By status. All else in the four hundreds is PERMANENT, and the rest OPEN."""

EVENTS = MappingProxyType(
    {
        "accepted": Said.TAKEN,
        "delivered": Said.DELIVERED,
        "opened": Said.OPENED,
        "clicked": Said.CLICKED,
        "complained": Said.COMPLAINED,
        "unsubscribed": Said.STOPPED,
        "rejected": Said.UNDELIVERED,
        "failed": Said.UNDELIVERED,
    }
)
"""A `failed` of severity `temporary` is DEFERRED: Mailgun tries again by itself."""

REASONS = MappingProxyType(
    {
        "suppress-bounce": Fault.DEAD,
        "suppress-unsubscribe": Fault.STOPPED,
        "suppress-complaint": Fault.STOPPED,
        "espblock": Fault.CONTENT,
        "old": Fault.SOFT,  # tried for as long as Mailgun does
    }
)
"""By the reason of a permanent failure; for `bounce`, `generic` and others the receiving server's words tell."""

CODES = MappingProxyType({605: Fault.DEAD, 606: Fault.STOPPED, 607: Fault.STOPPED, 602: Fault.SOFT})
"""Mailgun's own codes beside SMTP's: suppressed after a bounce, an unsubscription, a complaint; tried too long."""

SERVERS_WORDS = (
    (re.compile(r"\b5\.7\.\d+\b"), Fault.CONTENT),  # policy, which spam filters answer with
    (re.compile(r"\b(5\.2\.2|4\.\d\.\d+)\b"), Fault.SOFT),  # the mailbox is full; what passes
    (re.compile(r"\b5\.1\.[0-36]\b|no such|unknown user|does not exist", re.IGNORECASE), Fault.DEAD),
)
"""By the words of the receiving server (RFC 3463), the first that fits; else a `bounce` is DEAD, and any other SOFT."""
