"""What Amazon SES's errors, bounces and events mean, as data.

Sources: botocore's model of sesv2 (2019-09-27) for the errors of SendEmail; docs.aws.amazon.com/ses, "Contents of
event data" and "Amazon SNS notification contents" for bounces and events. A bounce is final for its message, with one
exception: a general transient one may be no more than an answer from somebody on holiday, after delivery.
"""

from types import MappingProxyType

from services.dispatcher.domain.faults import Fault
from services.dispatcher.providers.base import Said

CODES = MappingProxyType(
    {
        "TooManyRequestsException": Fault.BUSY,  # the rate a second, or the day's quota: see QUOTA_WORDS
        "LimitExceededException": Fault.BUSY,
        "Throttling": Fault.BUSY,
        "ThrottlingException": Fault.BUSY,
        "AccountSuspendedException": Fault.SENDER,
        "SendingPausedException": Fault.SENDER,
        "MailFromDomainNotVerifiedException": Fault.SENDER,
        "NotFoundException": Fault.SENDER,  # no such configuration set
        "MessageRejected": Fault.CONTENT,  # or an identity that is not verified: see UNVERIFIED_WORDS
        "BadRequestException": Fault.PERMANENT,
    }
)
QUOTA_WORDS = ("Daily message quota", "daily message quota", "Daily sending quota", "daily sending quota")
UNVERIFIED_WORDS = "Email address is not verified"

_GONE = (Said.UNDELIVERED, Fault.DEAD)
_SOFT = (Said.UNDELIVERED, Fault.SOFT)
_CONTENT = (Said.UNDELIVERED, Fault.CONTENT)
BOUNCES = MappingProxyType(
    {
        ("Permanent", ""): _GONE,
        ("Permanent", "General"): _GONE,
        ("Permanent", "NoEmail"): _GONE,
        ("Permanent", "Suppressed"): _GONE,
        ("Permanent", "OnAccountSuppressionList"): _GONE,
        ("Permanent", "UnsubscribedRecipient"): (Said.UNDELIVERED, Fault.STOPPED),
        ("Transient", ""): (Said.DEFERRED, Fault.SOFT),
        ("Transient", "General"): (Said.DEFERRED, Fault.SOFT),
        ("Transient", "MailboxFull"): _SOFT,
        ("Transient", "MessageTooLarge"): _CONTENT,
        ("Transient", "ContentRejected"): _CONTENT,
        ("Transient", "AttachmentRejected"): _CONTENT,
        ("Transient", "CustomTimeoutExceeded"): _SOFT,
        ("Undetermined", ""): _SOFT,
        ("", ""): _SOFT,  # a type that is not known yet
    }
)

EVENTS = MappingProxyType(
    {
        "Send": (Said.TAKEN, None),
        "Delivery": (Said.DELIVERED, None),
        "DeliveryDelay": (Said.DEFERRED, Fault.SOFT),
        "Complaint": (Said.COMPLAINED, None),
        "Reject": (Said.UNDELIVERED, Fault.CONTENT),  # a virus
        "Rendering Failure": (Said.UNDELIVERED, Fault.CONTENT),
        "Open": (Said.OPENED, None),
        "Click": (Said.CLICKED, None),
        "Subscription": (Said.STOPPED, None),
    }
)
