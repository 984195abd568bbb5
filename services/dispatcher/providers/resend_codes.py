"""What Resend's answers and webhooks mean, as data.

Sources: Resend's list of errors (resend.com/docs/api-reference/errors) and its published document (2026-08).
"""

from types import MappingProxyType

from services.dispatcher.domain.faults import Fault
from services.dispatcher.providers.base import Said

FIRST_WAS_TAKEN = "invalid_idempotent_request"
"""409: the key came before, with another body. It came with a request that was taken, within the last 24 hours."""

NAMES = MappingProxyType(
    {
        "missing_api_key": Fault.SENDER,
        "invalid_api_key": Fault.SENDER,
        "restricted_api_key": Fault.SENDER,
        "invalid_access": Fault.SENDER,
        "invalid_from_address": Fault.SENDER,
        "invalid_region": Fault.SENDER,
        "not_found": Fault.SENDER,  # the address of the API is wrong
        "method_not_allowed": Fault.SENDER,
        "invalid_idempotency_key": Fault.PERMANENT,
        "missing_required_field": Fault.PERMANENT,
        "invalid_parameter": Fault.PERMANENT,
        "invalid_attachment": Fault.CONTENT,
        "security_error": Fault.CONTENT,  # 451: something in the request is held to be unsafe
        "concurrent_idempotent_requests": Fault.BUSY,  # the same key is being worked on
        "rate_limit_exceeded": Fault.BUSY,
        "daily_quota_exceeded": Fault.QUOTA,
        "monthly_quota_exceeded": Fault.QUOTA,
    }
)
"""By name, for answers in the four hundreds. `validation_error` is told by status and message."""

STATUSES = MappingProxyType({401: Fault.SENDER, 403: Fault.SENDER, 413: Fault.CONTENT, 429: Fault.BUSY})
"""By status, for names that are not above. All else in the four hundreds is PERMANENT, and the rest OPEN."""

EVENTS = MappingProxyType(
    {
        "email.sent": Said.TAKEN,
        "email.delivered": Said.DELIVERED,
        "email.delivery_delayed": Said.DEFERRED,
        "email.bounced": Said.UNDELIVERED,
        "email.failed": Said.UNDELIVERED,
        "email.suppressed": Said.UNDELIVERED,
        "email.complained": Said.COMPLAINED,
        "email.opened": Said.OPENED,
        "email.clicked": Said.CLICKED,
    }
)

BOUNCES = MappingProxyType(
    {
        ("Permanent", "ContentRejected"): Fault.CONTENT,
        ("Permanent", "AttachmentRejected"): Fault.CONTENT,
        ("Permanent", "MessageTooLarge"): Fault.CONTENT,
        ("Permanent", "MailboxFull"): Fault.SOFT,
        ("Transient", "ContentRejected"): Fault.CONTENT,
        ("Transient", "AttachmentRejected"): Fault.CONTENT,
        ("Transient", "MessageTooLarge"): Fault.CONTENT,
    }
)
"""By type and sub-type; else a `Permanent` one is DEAD, and any other SOFT."""

SUPPRESSED = MappingProxyType({"previous_bounce": Fault.DEAD, "previous_complaint": Fault.STOPPED})
"""By reason; else PERMANENT."""
