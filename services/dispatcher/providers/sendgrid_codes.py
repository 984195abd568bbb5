"""What SendGrid's answers and events mean, as data.

Sources: SendGrid's published Mail Send document (2026-01), its Event Webhook reference (twilio.com/docs/sendgrid), and
for 429, which the document lacks, what was gathered in November 2026.
"""

import re
from types import MappingProxyType

from services.dispatcher.domain.faults import Fault
from services.dispatcher.providers.base import Said

STATUSES = MappingProxyType(
    {
        401: Fault.SENDER,  # the key is invalid, expired or revoked
        403: Fault.SENDER,  # the sender's address is not verified, or the key lacks the scope
        404: Fault.SENDER,  # the address of the API is wrong
        405: Fault.SENDER,  # as above
        413: Fault.CONTENT,  # too large: 30 MB
        429: Fault.BUSY,  # the rate limit: never processed
    }
)
"""By status. A 400 is told by its field; all else in the four hundreds is PERMANENT, and the rest OPEN."""

MESSAGES = ((re.compile("maximum credits exceeded", re.IGNORECASE), Fault.QUOTA),)
"""By words of the error, before its status: comes with 401."""

FIELDS = (
    (re.compile(r"personalizations\.\d+\.to\b"), Fault.DEAD),  # not an address
    (re.compile(r"(personalizations\.\d+\.)?from\b"), Fault.SENDER),
    (re.compile(r"content\b|subject\b|headers\b"), Fault.CONTENT),
)
"""By the field that a 400 names."""

EVENTS = MappingProxyType(
    {
        "processed": Said.TAKEN,
        "deferred": Said.DEFERRED,
        "delivered": Said.DELIVERED,
        "bounce": Said.UNDELIVERED,
        "dropped": Said.UNDELIVERED,
        "open": Said.OPENED,
        "click": Said.CLICKED,
        "spamreport": Said.COMPLAINED,
        "unsubscribe": Said.STOPPED,
        "group_unsubscribe": Said.STOPPED,
    }
)
"""`group_resubscribe` is passed over: consent comes from the shop, not from a provider's list."""

DROPPED = MappingProxyType(
    {
        "bounced address": Fault.DEAD,
        "invalid smtpapi header": Fault.PERMANENT,
        "invalid": Fault.DEAD,
        "unsubscribed address": Fault.STOPPED,
        "spam reporting address": Fault.STOPPED,
        "spam content": Fault.CONTENT,
        "recipient list over package quota": Fault.SENDER,
    }
)
"""By the beginning of the reason, the first that fits; all else PERMANENT."""

BOUNCES = MappingProxyType(
    {
        "invalid address": Fault.DEAD,
        "mailbox unavailable": Fault.SOFT,
        "technical failure": Fault.SOFT,
        "frequency or volume too high": Fault.PERMANENT,
        "reputation": Fault.PERMANENT,
        "content": Fault.CONTENT,
    }
)
"""By `bounce_classification`; where it is `Unclassified` or absent, a bounce of type `blocked` or with a status of
4.y.z is SOFT, and any other DEAD."""
