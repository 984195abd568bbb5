"""Every error that Orderwake raises on purpose.

OrderwakeError
├── SettingsError            a setting is missing or wrong; the process must not start
├── InfrastructureError      Kafka or PostgreSQL cannot be had on this machine
├── TopicsError              a topic on the broker differs from its declaration
├── JourneyError             a journey file cannot be used: file, line and fix
├── BacktestError            what a backtest was given cannot be used: where, and the fix
├── PublicationError         what was asked cannot be published or approved
├── RelationsError           the file of hand-made relations cannot be used: file, line and fix
├── TemplatesError           the data beside the templates (phrases, colours) cannot be used: file and key
├── EventError               a record cannot be accepted: becomes a dead letter or a 4xx
├── RetryLater               the work failed for a reason that passes; do it again
├── JourneysReplaced         software that reads journeys otherwise has taken over; this process must end
├── StalePartition           another worker owns the partition now; drop the batch
├── ProducerLost             a producer that can never publish again; the process must start anew
└── TooManyDeadLetters       so much is refused that the fault is ours; stop the service
"""

from enum import StrEnum


class OrderwakeError(Exception):
    """Base of all errors raised on purpose."""


class SettingsError(OrderwakeError):
    """A setting is missing or wrong. The message names it, its problem and the fix."""


class InfrastructureError(OrderwakeError):
    """Kafka or PostgreSQL cannot be had. The message says what is missing and how to supply it."""


class TopicsError(OrderwakeError):
    """A topic on the broker differs from its declaration in a way that cannot be mended in place."""


class JourneyError(OrderwakeError):
    """A journey file cannot be used. The message names file, line and fix."""


class BacktestError(OrderwakeError):
    """What a backtest was given cannot be used. The message says where and how to mend it."""


class PublicationError(OrderwakeError):
    """What was asked cannot be published, approved or found. The message names it and the fix."""


class RelationsError(OrderwakeError):
    """The file of hand-made relations cannot be used. The message names file, line and fix."""


class TemplatesError(OrderwakeError):
    """The data beside the templates cannot be used. The message names file and key."""


class Refusal(StrEnum):
    """Why a record was refused; the reason on a dead letter and in an HTTP error."""

    BAD_JSON = "bad_json"
    BAD_ENVELOPE = "bad_envelope"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_SCHEMA = "wrong_schema"
    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    UNSUPPORTED_CODEC = "unsupported_codec"
    WRONG_KEY = "wrong_key"
    WRONG_SHOP = "wrong_shop"
    MISSING_CUSTOMER = "missing_customer"
    MIXED_CURRENCY = "mixed_currency"
    FAR_FUTURE = "far_future"
    ORDER_NEVER_CAME = "order_never_came"
    PROCESSING_FAILED = "processing_failed"


class EventError(OrderwakeError):
    """A record that cannot be accepted.

    `reason` says why, `path` is the field's place in the event ("data.lines.0.unit_price") or empty,
    `detail` is a sentence without personal data.
    """

    def __init__(self, reason: Refusal, detail: str, path: str = "") -> None:
        super().__init__(f"{reason}: {path + ': ' if path else ''}{detail}")
        self.reason = reason
        self.detail = detail
        self.path = path


class RetryLater(OrderwakeError):  # noqa: N818  it is an instruction more than a fault
    """The work failed for a reason that passes (broker or database away). Nothing was acknowledged."""


class JourneysReplaced(OrderwakeError):  # noqa: N818  it names the state found
    """Software that derives other steps from the same journeys has taken over. This one must end before it writes."""


class StalePartition(OrderwakeError):  # noqa: N818  it names the state found
    """Another worker has taken the partition. The batch was rolled back and must be dropped."""


class ProducerLost(OrderwakeError):  # noqa: N818  it names the state found
    """A producer lost its sequence or its sender and can never publish again. The process must start anew."""


class TooManyDeadLetters(OrderwakeError):  # noqa: N818  it names the state found
    """More records were refused than a bad producer explains. The service stops before it drains the topic."""
