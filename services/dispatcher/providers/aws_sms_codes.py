"""What the errors and events of Amazon's two ways to send SMS mean, as data.

Sources: botocore's models of pinpoint-sms-voice-v2 (2022-03-31) and sns (2010-03-31), and docs.aws.amazon.com/sms-voice,
"Example event data". An error of End User Messaging has a reason that says more than its code, and is looked up first.
"""

from types import MappingProxyType

from services.dispatcher.domain.faults import Fault
from services.dispatcher.providers.base import Said

EUM_REASONS = MappingProxyType(
    {
        "DESTINATION_PHONE_NUMBER_OPTED_OUT": Fault.STOPPED,
        "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": Fault.PERMANENT,
        "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": Fault.SENDER,  # the account is in the sandbox
        "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": Fault.SENDER,
        "DESTINATION_COUNTRY_BLOCKED": Fault.SENDER,
        "COUNTRY_NOT_ENABLED": Fault.SENDER,
        "COUNTRY_CODE_MISMATCH": Fault.SENDER,
        "INTERNATIONAL_SENDING_NOT_SUPPORTED": Fault.SENDER,
        "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": Fault.SENDER,
        "CHANNEL_NOT_ENABLED": Fault.SENDER,
        "MESSAGE_TYPE_MISMATCH": Fault.SENDER,
        "NO_ORIGINATION_IDENTITIES_FOUND": Fault.SENDER,
        "NUMBER_CAPABILITIES_MISMATCH": Fault.SENDER,
        "REGISTRATION_NOT_COMPLETE": Fault.SENDER,
        "RESOURCE_NOT_ACCESSIBLE": Fault.SENDER,
        "RESOURCE_NOT_ACTIVE": Fault.SENDER,
        "SENDER_ID_NOT_REGISTERED": Fault.SENDER,
        "SENDER_ID_NOT_SUPPORTED": Fault.SENDER,
        "SENDER_ID_REQUIRES_REGISTRATION": Fault.SENDER,
        "PRICE_OVER_THRESHOLD": Fault.PERMANENT,
        "MAXIMUM_SIZE_EXCEEDED": Fault.CONTENT,
        "INSUFFICIENT_ACCOUNT_REPUTATION": Fault.SENDER,
        "ACCOUNT_DISABLED": Fault.SENDER,
        "DAILY_DESTINATION_CALL_LIMIT": Fault.QUOTA,
        "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": Fault.QUOTA,
    }
)
EUM_CODES = MappingProxyType(
    {
        "ThrottlingException": Fault.BUSY,
        "ServiceQuotaExceededException": Fault.QUOTA,
        "AccessDeniedException": Fault.SENDER,
        "ResourceNotFoundException": Fault.SENDER,  # no such number, pool or configuration set
        "ConflictException": Fault.PERMANENT,
        "ValidationException": Fault.PERMANENT,
        "InternalServerException": Fault.OPEN,
    }
)
SNS_CODES = MappingProxyType(
    {
        "Throttled": Fault.BUSY,
        "Throttling": Fault.BUSY,
        "AuthorizationError": Fault.SENDER,
        "EndpointDisabled": Fault.SENDER,
        "InvalidSecurity": Fault.SENDER,
        "KMSAccessDenied": Fault.SENDER,
        "KMSDisabled": Fault.SENDER,
        "KMSInvalidState": Fault.SENDER,
        "KMSNotFound": Fault.SENDER,
        "KMSOptInRequired": Fault.SENDER,
        "KMSThrottling": Fault.BUSY,
        "NotFound": Fault.SENDER,
        "PlatformApplicationDisabled": Fault.SENDER,
        "OptedOut": Fault.STOPPED,
        "InvalidParameter": Fault.PERMANENT,
        "ParameterValueInvalid": Fault.PERMANENT,
        "ValidationException": Fault.PERMANENT,
        "InternalError": Fault.OPEN,
    }
)

EVENTS = MappingProxyType(
    {
        "TEXT_QUEUED": (Said.TAKEN, None),
        "TEXT_SENT": (Said.TAKEN, None),
        "TEXT_SUCCESSFUL": (Said.TAKEN, None),  # the carrier has it
        "TEXT_PENDING": (Said.DEFERRED, None),
        "TEXT_DELIVERED": (Said.DELIVERED, None),
        "TEXT_INVALID": (Said.UNDELIVERED, Fault.DEAD),  # the number is none
        "TEXT_INVALID_MESSAGE": (Said.UNDELIVERED, Fault.CONTENT),
        "TEXT_UNREACHABLE": (Said.UNDELIVERED, Fault.SOFT),
        "TEXT_CARRIER_UNREACHABLE": (Said.UNDELIVERED, Fault.SOFT),
        "TEXT_BLOCKED": (Said.UNDELIVERED, Fault.PERMANENT),
        "TEXT_CARRIER_BLOCKED": (Said.UNDELIVERED, Fault.PERMANENT),
        "TEXT_SPAM": (Said.UNDELIVERED, Fault.CONTENT),
        "TEXT_UNKNOWN": (Said.UNDELIVERED, Fault.SOFT),
        "TEXT_TTL_EXPIRED": (Said.UNDELIVERED, Fault.PERMANENT),
        "TEXT_PROTECT_BLOCKED": (Said.UNDELIVERED, Fault.PERMANENT),
    }
)
