"""SMS through Amazon: End User Messaging (`SendTextMessage`), or SNS (`Publish`).

Neither has an idempotency key, nor a query by anything of ours. End User Messaging is the one to choose: a message may
be bounded in time, our id travels as its context and comes back in the events of a configuration set, and people's
answers come through a topic of two-way SMS. Of SNS nothing comes back: what it leaves unanswered a person must settle, and
a message that it holds may leave at any hour.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from services.dispatcher.domain.keywords import wish
from services.dispatcher.providers.aws import AwsConfig, AwsLine, Refused
from services.dispatcher.providers.aws_sms_codes import EUM_CODES, EUM_REASONS, EVENTS, SNS_CODES
from services.dispatcher.providers.base import Answer, CallBack, Fault, Parcel, Report, SmsContent
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.inbound import wished
from services.dispatcher.providers.mail import CORRELATION, at_unix, inner, our_id, text_of
from services.dispatcher.providers.sns_envelope import Envelopes, Notice, Topic
from shared.events import Channel

_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_TTL_LEAST, _TTL_MOST = 5, 259_200
_UNWRITABLE_NUMBER = "PhoneNumber"


class AwsSmsConfig(AwsConfig):
    """SMS in one region. `sender` is a number, a pool or a sender's name, for shops without their own.

    `topics` are the SNS topics whose events and answers are believed. `sns_url` stands in for SNS's own address, where
    certificates and confirmations are asked for.
    """

    kind: Literal["aws_sms"] = "aws_sms"
    service: Literal["eum", "sns"] = "eum"
    sender: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9_:/+-]+$")]
    message_type: Literal["PROMOTIONAL", "TRANSACTIONAL"] = "PROMOTIONAL"
    configuration_set: str | None = None
    topics: tuple[Topic, ...] = ()
    sns_url: str | None = None


class AwsSmsProvider:
    """Hands SMS to Amazon and reads what its topics tell."""

    channel = Channel.SMS
    once = False

    def __init__(self, config: AwsSmsConfig, here: Surroundings) -> None:
        del here  # topics are subscribed to in AWS
        self.name = config.name
        self._config = config
        if config.service == "eum":
            self._line = AwsLine("eum", "pinpoint-sms-voice-v2", "SendTextMessage", config, judge_eum)
        else:
            self._line = AwsLine("sns", "sns", "Publish", config, judge_sns)
        self._envelopes = Envelopes(config.topics, self._line.http, config.sns_url)

    async def start(self) -> None:
        """Make the session."""
        await self._line.start()

    async def close(self) -> None:
        """Close the session."""
        await self._line.close()

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one SMS."""
        if not isinstance(parcel.content, SmsContent):
            message = "Amazon carries SMS only here"
            raise TypeError(message)
        if not _NUMBER.fullmatch(parcel.recipient):
            return Answer.of(Fault.DEAD, f"{self._config.service}_no_number")
        written = self._text_message if self._config.service == "eum" else self._publication
        return await self._line.send(written(parcel, parcel.content.body))

    async def read(self, call_back: CallBack) -> Sequence[Report]:
        """An event of a message, or a person's answer, in an envelope of SNS's."""
        notice = await self._envelopes.open(call_back)
        return [] if notice is None else reports(notice)

    def _text_message(self, parcel: Parcel, body: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            "DestinationPhoneNumber": parcel.recipient,
            "OriginationIdentity": parcel.sender or self._config.sender,
            "MessageBody": body,
            "MessageType": self._config.message_type,
            "TimeToLive": int(min(max(parcel.valid_for, _TTL_LEAST), _TTL_MOST)),
            "Context": {CORRELATION: str(parcel.message_id)},
        }
        if self._config.configuration_set:
            values["ConfigurationSetName"] = self._config.configuration_set
        return values

    def _publication(self, parcel: Parcel, body: str) -> dict[str, Any]:
        sender = parcel.sender or self._config.sender
        identity = "AWS.MM.SMS.OriginationNumber" if _NUMBER.fullmatch(sender) else "AWS.SNS.SMS.SenderID"
        attributes = {
            identity: sender,
            "AWS.SNS.SMS.SMSType": self._config.message_type.capitalize(),
            CORRELATION: str(parcel.message_id),
        }
        return {
            "PhoneNumber": parcel.recipient,
            "Message": body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        }


def judge_eum(refused: Refused) -> Fault | None:
    """The class of one of End User Messaging's own errors: by its reason, else by its code."""
    return EUM_REASONS.get(refused.reason) or EUM_CODES.get(refused.code)


def judge_sns(refused: Refused) -> Fault | None:
    """The class of one of SNS's own errors. A number that it cannot publish to is told apart by its words."""
    known = SNS_CODES.get(refused.code)
    if known is Fault.PERMANENT and _UNWRITABLE_NUMBER in refused.message:
        return Fault.DEAD
    return known


def reports(notice: Notice) -> list[Report]:
    """What a topic's message says."""
    told = notice.message
    if "messageBody" in told:
        report_id = f"{text_of(told, 'inboundMessageId') or notice.message_id}:inbound"
        address = text_of(told, "originationNumber")
        return wished(wish(text_of(told, "messageBody")), report_id, notice.sent_at, address, "eum_inbound")
    kind = text_of(told, "eventType")
    if kind not in EVENTS:
        return []
    said, fault = EVENTS[kind]
    return [
        Report(
            said=said,
            report_id=notice.message_id,
            occurred_at=_occurred_at(told, notice.sent_at),
            message_id=our_id(inner(told, "context").get(CORRELATION)),
            reference=text_of(told, "messageId") or None,
            address=text_of(told, "destinationPhoneNumber") or None,
            reason=f"eum_{kind}" if fault else None,
            fault=fault,
        )
    ]


def _occurred_at(told: Mapping[str, Any], otherwise: datetime) -> datetime:
    """The event's time, which comes in milliseconds."""
    at = told.get("eventTimestamp")
    return at_unix(at / 1000, otherwise) if isinstance(at, int | float) else otherwise
