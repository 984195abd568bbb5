"""What Postmark's answers and webhooks mean, as data.

Sources: Postmark's API overview (error codes, HTTP statuses) and its list of bounce types (postmarkapp.com/developer), as
gathered in November 2026; it publishes no specification.
"""

import re
from types import MappingProxyType

from services.dispatcher.domain.faults import Fault
from services.dispatcher.providers.base import Said

CODES = MappingProxyType(
    {
        10: Fault.SENDER,  # the token is missing or wrong
        100: Fault.PASSING,  # maintenance: nothing is taken
        300: Fault.PERMANENT,  # an invalid request: see WORDS
        400: Fault.SENDER,  # no such sender signature
        401: Fault.SENDER,  # the sender signature is not confirmed
        402: Fault.PERMANENT,  # invalid JSON
        403: Fault.PERMANENT,  # JSON of another shape
        405: Fault.SENDER,  # not allowed to send: no credits left
        406: Fault.DEAD,  # an inactive recipient: bounced, complained or suppressed before; see WORDS
        409: Fault.PERMANENT,  # JSON required
        411: Fault.CONTENT,  # an attachment of a forbidden type
        412: Fault.SENDER,  # the account is pending
        413: Fault.SENDER,  # the account may not send
        429: Fault.BUSY,  # the rate limit
        1235: Fault.SENDER,  # no such message stream
        1236: Fault.SENDER,  # the message stream is none to send by
    }
)
"""By ErrorCode, for answers in the four hundreds and for 503."""

WORDS = (
    (300, re.compile(r"'to'", re.IGNORECASE), Fault.DEAD),
    (300, re.compile(r"'from'", re.IGNORECASE), Fault.SENDER),
    (406, re.compile(r"unsubscrib|complain", re.IGNORECASE), Fault.STOPPED),
)
"""By words of the message, before its code."""

BOILERPLATE = re.compile(r"inactive recipients are ones.*", re.IGNORECASE | re.DOTALL)
"""How every 406 ends: it explains the word with complaints and suppressions, whatever became of this recipient."""

STATUSES = MappingProxyType(
    {401: Fault.SENDER, 403: Fault.SENDER, 404: Fault.SENDER, 413: Fault.CONTENT, 429: Fault.BUSY}
)
"""By status, for codes that are not above. All else in the four hundreds is PERMANENT, and the rest OPEN."""

RECORDS = MappingProxyType(
    {"Delivery": Said.DELIVERED, "Open": Said.OPENED, "Click": Said.CLICKED, "SpamComplaint": Said.COMPLAINED}
)
"""By record type; `Bounce` and `SubscriptionChange` are told by the tables that follow."""

BOUNCES: MappingProxyType[str, tuple[Said, Fault | None]] = MappingProxyType(
    {
        "HardBounce": (Said.UNDELIVERED, Fault.DEAD),
        "BadEmailAddress": (Said.UNDELIVERED, Fault.DEAD),
        "ManuallyDeactivated": (Said.UNDELIVERED, Fault.DEAD),
        "SoftBounce": (Said.UNDELIVERED, Fault.SOFT),
        "Unknown": (Said.UNDELIVERED, Fault.SOFT),
        "ChallengeVerification": (Said.UNDELIVERED, Fault.SOFT),
        "Transient": (Said.DEFERRED, None),
        "DnsError": (Said.DEFERRED, None),
        "SpamNotification": (Said.UNDELIVERED, Fault.CONTENT),
        "VirusNotification": (Said.UNDELIVERED, Fault.CONTENT),
        "Blocked": (Said.UNDELIVERED, Fault.CONTENT),
        "DMARCPolicy": (Said.UNDELIVERED, Fault.SENDER),
        "Unconfirmed": (Said.UNDELIVERED, Fault.SENDER),
        "SMTPApiError": (Said.UNDELIVERED, Fault.PERMANENT),
        "TemplateRenderingFailed": (Said.UNDELIVERED, Fault.PERMANENT),
        "SpamComplaint": (Said.COMPLAINED, None),
        "Unsubscribe": (Said.STOPPED, None),
    }
)
"""By type of a bounce. Others say nothing of the message: AutoResponder, AddressChange, Subscribe, OpenRelayTest,
InboundError."""

SUPPRESSIONS: MappingProxyType[str, tuple[Said, Fault | None]] = MappingProxyType(
    {
        "ManualSuppression": (Said.STOPPED, None),
        "SpamComplaint": (Said.COMPLAINED, None),
        "HardBounce": (Said.UNDELIVERED, Fault.DEAD),
    }
)
"""By the reason of a SubscriptionChange that ends sending. One that allows it again is passed over: consent comes from the
shop."""
