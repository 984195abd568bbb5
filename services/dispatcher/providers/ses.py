"""E-mail through Amazon SES v2 (`SendEmail`, raw), and its events through SNS.

SES has no idempotency key and no query by anything of ours. The message id travels as a tag, which comes back in the
events of a configuration set; notifications of an identity know no tags, and are understood by our header where they
bring headers, else by SES's own id.
"""

from collections.abc import Mapping, Sequence
from email.utils import parseaddr
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from services.dispatcher.providers.aws import AwsConfig, AwsLine, Refused
from services.dispatcher.providers.base import Answer, CallBack, Fault, Parcel, Report, Said
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.mail import CORRELATION, at_iso, inner, our_id, text_of
from services.dispatcher.providers.mime import CORRELATION_HEADER, serialise
from services.dispatcher.providers.ses_codes import BOUNCES, CODES, EVENTS, QUOTA_WORDS, UNVERIFIED_WORDS
from services.dispatcher.providers.sns_envelope import Envelopes, Notice, Topic
from shared.events import Channel

_MEMBERS = MappingProxyType({"Rendering Failure": "failure", "DeliveryDelay": "deliveryDelay"})
_WHO = MappingProxyType(
    {
        "Bounce": "bouncedRecipients",
        "Complaint": "complainedRecipients",
        "DeliveryDelay": "delayedRecipients",
        "Delivery": "recipients",
    }
)


class SesConfig(AwsConfig):
    """SES in one region. `topics` are the SNS topics whose events are believed; `configuration_set` makes them carry our tags.

    `sns_url` stands in for SNS's own address, where certificates and confirmations are asked for.
    """

    kind: Literal["ses"] = "ses"
    configuration_set: str | None = None
    topics: tuple[Topic, ...] = ()
    sns_url: str | None = None


class SesProvider:
    """Hands e-mail to SES and reads its events."""

    channel = Channel.EMAIL
    once = False

    def __init__(self, config: SesConfig, here: Surroundings) -> None:
        self.name = config.name
        self._config = config
        self._default_sender = here.sender_email
        self._line = AwsLine("ses", "sesv2", "SendEmail", config, judge)
        self._envelopes = Envelopes(config.topics, self._line.http, config.sns_url)

    async def start(self) -> None:
        """Make the session."""
        await self._line.start()

    async def close(self) -> None:
        """Close the session."""
        await self._line.close()

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one e-mail."""
        sender = parcel.sender or self._default_sender
        try:
            raw = serialise(parcel, sender)
        except ValueError:
            return Answer.of(Fault.PERMANENT, "ses_unwritable")
        values: dict[str, Any] = {
            "Destination": {"ToAddresses": [parcel.recipient]},
            "Content": {"Raw": {"Data": raw}},
            "EmailTags": [{"Name": CORRELATION, "Value": str(parcel.message_id)}],
        }
        if self._config.configuration_set:
            values["ConfigurationSetName"] = self._config.configuration_set
        return await self._line.send(values)

    async def read(self, call_back: CallBack) -> Sequence[Report]:
        """The event in an envelope of SNS's, for each recipient that it names."""
        notice = await self._envelopes.open(call_back)
        return [] if notice is None else reports(notice)


def judge(refused: Refused) -> Fault | None:
    """The class of one of SES's own errors. Some have two meanings, told apart by their words."""
    if refused.code == "MessageRejected" and refused.message.startswith(UNVERIFIED_WORDS):
        return Fault.SENDER
    if CODES.get(refused.code) is Fault.BUSY and any(word in refused.message for word in QUOTA_WORDS):
        return Fault.QUOTA
    return CODES.get(refused.code)


def reports(notice: Notice) -> list[Report]:
    """What an event says, of each recipient that it names."""
    event = notice.message
    kind = text_of(event, "eventType") or text_of(event, "notificationType")
    mail = inner(event, "mail")
    about = inner(event, _MEMBERS.get(kind, kind.lower()))
    said, fault, reason = _meaning(kind, about)
    if said is None:
        return []
    at = at_iso(about.get("timestamp") or mail.get("timestamp"), notice.sent_at)
    message_id, reference = _correlation(mail), text_of(mail, "messageId") or None
    return [
        Report(said, f"{notice.message_id}:{number}", at, message_id, reference, address, reason, fault)
        for number, address in enumerate(_addresses(kind, about, mail))
    ]


def _meaning(kind: str, about: Mapping[str, Any]) -> tuple[Said | None, Fault | None, str | None]:
    if kind == "Bounce":
        main, sub = text_of(about, "bounceType"), text_of(about, "bounceSubType")
        said, fault = BOUNCES.get((main, sub)) or BOUNCES.get((main, "")) or BOUNCES["", ""]
        return said, fault, f"ses_{main}_{sub}"
    if kind == "Subscription" and not inner(about, "newTopicPreferences").get("unsubscribeAll"):
        return None, None, None
    known = EVENTS.get(kind)
    return (*known, f"ses_{kind.replace(' ', '_')}") if known else (None, None, None)


def _addresses(kind: str, about: Mapping[str, Any], mail: Mapping[str, Any]) -> list[str | None]:
    """Who an event is about; where it names nobody, the mail's one recipient, if there is but one."""
    named = about.get(_WHO.get(kind, ""))
    told = named if isinstance(named, list) else mail.get("destination")
    every = told if isinstance(told, list) else []
    found = [
        parseaddr(text_of(each, "emailAddress") if isinstance(each, dict) else str(each))[1] for each in every
    ]
    return [*found] if isinstance(named, list) or len(found) == 1 else [None]


def _correlation(mail: Mapping[str, Any]) -> UUID | None:
    tags = inner(mail, "tags").get(CORRELATION)
    if isinstance(tags, list) and tags:
        return our_id(tags[0])
    headers = mail.get("headers")
    for header in headers if isinstance(headers, list) else []:
        if isinstance(header, dict) and text_of(header, "name").lower() == CORRELATION_HEADER.lower():
            return our_id(header.get("value"))
    return None
