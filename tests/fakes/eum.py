"""AWS End User Messaging's SendTextMessage (pinpoint-sms-voice-v2), its events and two-way SMS through SNS.

Signatures are verified and each request is held against botocore's model. Events come only with a configuration
set; as a fate an event's own name (`TEXT_CARRIER_BLOCKED`) is what ends a message. A number that sent STOP is refused.
"""

import re
from typing import ClassVar
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.aws import AwsFake
from tests.fakes.core import Entry

SENDER = "+15550100001"
_STOP = frozenset(
    {"ARRET", "CANCEL", "END", "OPT-OUT", "OPTOUT", "QUIT", "REMOVE", "STOP", "TD", "UNSUBSCRIBE"}
)
_TEXTS = {"taken": "TEXT_SUCCESSFUL", "delivered": "TEXT_DELIVERED", "deferred": "TEXT_PENDING"}
_CODES = (
    *("TEXT_INVALID", "TEXT_INVALID_MESSAGE", "TEXT_UNREACHABLE", "TEXT_CARRIER_UNREACHABLE", "TEXT_BLOCKED"),
    *("TEXT_CARRIER_BLOCKED", "TEXT_SPAM", "TEXT_TTL_EXPIRED", "TEXT_UNKNOWN", "TEXT_PROTECT_BLOCKED"),
)


def _error(status: int, code: str, message: str, reason: str = "") -> Refusal:
    told = {"__type": code, "Message": message, **({"Reason": reason} if reason else {})}
    return Refusal(status, told, {"x-amzn-ErrorType": code})


class FakeEum(AwsFake):
    """One account with one number."""

    kind = "eum"
    service, signing_name, operation = "pinpoint-sms-voice-v2", "sms-voice", "SendTextMessage"
    codes = _CODES
    refusals: ClassVar = {
        "429": _error(400, "ThrottlingException", "Rate exceeded"),
        "quota": _error(
            400, "ServiceQuotaExceededException", "Spend limit", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"
        ),
        "AccessDeniedException": _error(400, "AccessDeniedException", "Denied", "ACCOUNT_DISABLED"),
        "ResourceNotFoundException": _error(400, "ResourceNotFoundException", "No such number"),
        "ValidationException": _error(400, "ValidationException", "Invalid", "INVALID_PARAMETER"),
        "opted_out": _error(
            400, "ConflictException", "Destination opted out", "DESTINATION_PHONE_NUMBER_OPTED_OUT"
        ),
        "ConflictException": _error(400, "ConflictException", "Conflict", "PHONE_NUMBER_NOT_ASSOCIATED"),
        "500": _error(500, "InternalServerException", "Internal failure"),
        "503": _error(503, "ServiceUnavailable", "Service unavailable"),
    }

    def own_routes(self) -> list[web.RouteDef]:
        """The one address."""
        return [web.post("/", self.send)]

    def error(self, status: int, code: str, message: str) -> Refusal:
        """JSON with the code in it."""
        return _error(status, code, message)

    def found_wrong(self, ask: Ask) -> list[str]:
        """What breaks the model or the protocol."""
        if not self.check or ask.request.method != "POST":
            return []
        wrong = self.model.violations(ask.json)
        if ask.header("X-Amz-Target") != "PinpointSMSVoiceV2.SendTextMessage":
            wrong.append("X-Amz-Target is not PinpointSMSVoiceV2.SendTextMessage")
        if ask.request.content_type != "application/x-amz-json-1.0":
            wrong.append("Content-Type is not application/x-amz-json-1.0")
        return wrong

    def refuse(self, ask: Ask) -> Refusal | None:
        """Signature, number, text, STOP."""
        unsigned = self.unsigned(ask)
        if unsigned is not None:
            return unsigned
        number = ask.json.get("DestinationPhoneNumber", "")
        if not re.fullmatch(r"\+[1-9]\d{6,14}", number) or not ask.json.get("MessageBody"):
            return self.refusals["ValidationException"]
        return self.refusals["opted_out"] if number in self.stopped else None

    def accept(self, ask: Ask) -> Accepted:
        """200 with the message id."""
        told = ask.json
        reference = str(uuid5(NAMESPACE_URL, f"eum/{len(self.entries)}"))
        entry = {
            "reference": reference,
            "to": told["DestinationPhoneNumber"],
            "from": told.get("OriginationIdentity", SENDER),
            "body": told["MessageBody"],
            "k": correlation(told.get("Context", {})),
            "context": told.get("Context", {}),
            "type": told.get("MessageType", "TRANSACTIONAL"),
            "ttl": told.get("TimeToLive"),
            "configuration_set": told.get("ConfigurationSetName", ""),
            "at": int(self.clock().timestamp() * 1000),
        }
        return Accepted(web.json_response({"MessageId": reference}), entry)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """A STOP is a message of its own."""
        super().happened(entry, event, detail)
        if event == "stopped":
            self.inbound(entry["to"], "STOP", entry["from"])

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, str] | None:
        """An SMS event in its envelope."""
        kind = _TEXTS.get(event) or detail or ("TEXT_UNREACHABLE" if event == "dropped" else "")
        if not kind or not entry["configuration_set"]:
            return None
        told = {
            "eventType": kind,
            "eventVersion": "1.0",
            "eventTimestamp": int(self.clock().timestamp() * 1000),
            "isFinal": event != "deferred",
            "originationPhoneNumber": entry["from"],
            "destinationPhoneNumber": entry["to"],
            "isoCountryCode": "US",
            "messageId": entry["reference"],
            "messageRequestTimestamp": entry["at"],
            "messageEncoding": "GSM",
            "messageType": entry["type"],
            "messageStatus": kind.removeprefix("TEXT_"),
            "messageStatusDescription": kind.removeprefix("TEXT_").replace("_", " ").capitalize(),
            "context": entry["context"],
            "totalMessageParts": 1,
            "totalMessagePrice": 0.00581,
            "totalCarrierFee": 0.003,
        }
        return self.notify(f"{entry['reference']} {kind}", told)

    def inbound(self, sender: str, text: str, to: str = "") -> None:
        """A message from `sender`, through the topic of two-way SMS."""
        word = text.strip().upper()
        if word in _STOP:
            self.stopped.add(sender)
        if word in ("START", "UNSTOP"):
            self.stopped.discard(sender)
        message_id = str(uuid5(NAMESPACE_URL, f"in {sender} {text} {self.clock()}"))
        told = {
            "originationNumber": sender,
            "destinationNumber": to or SENDER,
            "messageKeyword": (text.split() or [""])[0].upper(),
            "messageBody": text,
            "inboundMessageId": message_id,
            "previousPublishedMessageId": message_id,
        }
        self.tell_inbound({"reference": message_id}, self.notify(message_id, told))
