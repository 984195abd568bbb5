"""Amazon SES v2's SendEmail, simple and raw, and its events through SNS.

Signatures are verified and each request is held against botocore's model. With a configuration set it publishes
events with the message's tags; without one, notifications that know no tags, as SES does.
"""

from email import message_from_bytes
from email.message import Message
from email.utils import parseaddr
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.aws import AwsFake
from tests.fakes.aws_model import decoded_blob
from tests.fakes.core import Entry


def _error(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"message": message}, {"x-amzn-ErrorType": code})


class FakeSes(AwsFake):
    """One account outside the sandbox, every sender verified."""

    kind = "ses"
    service, signing_name, operation = "sesv2", "ses", "SendEmail"
    drops = True
    codes = ("reject",)
    refusals: ClassVar = {
        "429": _error(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
        "quota": _error(429, "TooManyRequestsException", "Daily message quota exceeded."),
        "LimitExceededException": _error(400, "LimitExceededException", "There are too many instances."),
        "AccountSuspendedException": _error(400, "AccountSuspendedException", "Permanently restricted."),
        "SendingPausedException": _error(400, "SendingPausedException", "Sending is paused."),
        "MessageRejected": _error(400, "MessageRejected", "The message contains invalid content."),
        "MailFromDomainNotVerifiedException": _error(
            400, "MailFromDomainNotVerifiedException", "The domain is not verified."
        ),
        "NotFoundException": _error(404, "NotFoundException", "Configuration set does not exist."),
        "BadRequestException": _error(400, "BadRequestException", "The input you provided is invalid."),
        "AccessDeniedException": _error(403, "AccessDeniedException", "not authorized: ses:SendEmail"),
        "ExpiredTokenException": _error(403, "ExpiredTokenException", "The security token is expired."),
        "500": _error(500, "InternalServiceErrorException", "Internal failure."),
        "503": _error(503, "ServiceUnavailable", "Service Unavailable"),
    }

    def own_routes(self) -> list[web.RouteDef]:
        """Sending."""
        return [web.post("/v2/email/outbound-emails", self.send)]

    def error(self, status: int, code: str, message: str) -> Refusal:
        """JSON, with the code in a header."""
        return _error(status, code, message)

    def found_wrong(self, ask: Ask) -> list[str]:
        """What breaks the model."""
        return self.model.violations(ask.json) if self.check and ask.request.method == "POST" else []

    def refuse(self, ask: Ask) -> Refusal | None:
        """Signature, then form."""
        unsigned = self.unsigned(ask)
        if unsigned is not None:
            return unsigned
        content = ask.json.get("Content", {})
        if len(content.keys() & {"Simple", "Raw", "Template"}) != 1:
            return _error(400, "BadRequestException", "Content takes one of Simple, Raw, Template.")
        return None if _recipients(ask) else _error(400, "BadRequestException", "Missing destination.")

    def accept(self, ask: Ask) -> Accepted:
        """200 with the message id."""
        told, raw = ask.json, _raw(ask)
        number = len(self.entries)
        reference = f"0100{number:012x}-{uuid5(NAMESPACE_URL, f'ses/{number}')}-000000"
        tags = {tag["Name"]: tag["Value"] for tag in told.get("EmailTags", [])}
        if raw is not None:
            tags |= _header_tags(str(raw["X-SES-MESSAGE-TAGS"] or ""))
        simple = told["Content"].get("Simple", {})
        named = {each["Name"]: each["Value"] for each in simple.get("Headers", [])}
        subject = simple.get("Subject", {}).get("Data", "") if raw is None else str(raw["Subject"] or "")
        sender = told.get("FromEmailAddress") or str(raw["From"] if raw is not None else "")
        entry = {
            "reference": reference,
            "to": parseaddr(_recipients(ask)[0])[1].lower(),
            "k": correlation(tags),
            "from": sender,
            "subject": subject,
            "tags": tags,
            "configuration_set": told.get("ConfigurationSetName")
            or str((raw["X-SES-CONFIGURATION-SET"] if raw is not None else "") or ""),
            "headers": named if raw is None else {name: str(value) for name, value in raw.items()},
            "at": self.clock().isoformat(),
        }
        return Accepted(web.json_response({"MessageId": reference}), entry)

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, str] | None:
        """An event in its envelope."""
        kind, more = _EVENTS.get(detail or event, (None, {}))
        if kind is None:
            return None
        at = self.clock().isoformat().replace("+00:00", "Z")
        member = kind[0].lower() + kind[1:]
        about = {**more, **({"timestamp": at} if kind not in ("Send", "Reject") else {})}
        if kind in _WHO:
            about[_WHO[kind]] = [
                entry["to"]
                if kind == "Delivery"
                else {"emailAddress": entry["to"], **_DIAGNOSIS.get(kind, {})}
            ]
        mail: dict[str, Any] = {
            "timestamp": entry["at"],
            "source": entry["from"],
            "sendingAccountId": "123456789012",
            "messageId": entry["reference"],
            "destination": [entry["to"]],
            "headersTruncated": False,
            "headers": [{"name": name, "value": value} for name, value in entry["headers"].items()],
        }
        name = f"{entry['reference']} {event}"
        if not entry["configuration_set"]:
            if kind not in ("Bounce", "Complaint", "Delivery"):
                return None
            return self.notify(name, {"notificationType": kind, "mail": mail, member: about})
        tags = {**entry["tags"], "ses:configuration-set": entry["configuration_set"]}
        mail["tags"] = {tag: [value] for tag, value in tags.items()}
        return self.notify(name, {"eventType": kind, "mail": mail, member: about})


def _raw(ask: Ask) -> Message | None:
    raw = ask.json["Content"].get("Raw")
    return message_from_bytes(decoded_blob(raw["Data"])) if raw else None


def _recipients(ask: Ask) -> list[str]:
    told = ask.json.get("Destination", {})
    named = [
        address for name in ("ToAddresses", "CcAddresses", "BccAddresses") for address in told.get(name, [])
    ]
    raw = _raw(ask)
    return named or ([str(raw["To"])] if raw is not None and raw["To"] else [])


def _header_tags(header: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in header.replace(";", ",").split(",") if "=" in pair)
    return {name.strip(): value.strip() for name, _, value in pairs}


_WHO = {"Delivery": "recipients", "Bounce": "bouncedRecipients", "Complaint": "complainedRecipients"} | {
    "DeliveryDelay": "delayedRecipients"
}
_DIAGNOSIS = {
    "Bounce": {"action": "failed", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"},
    "DeliveryDelay": {"status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2 over quota"},
}
_EVENTS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "taken": ("Send", {}),
    "delivered": ("Delivery", {"processingTimeMillis": 546, "smtpResponse": "250 ok"}),
    "deferred": ("DeliveryDelay", {"delayType": "MailboxFull"}),
    "bounced": ("Bounce", {"bounceType": "Permanent", "bounceSubType": "NoEmail", "feedbackId": "fake-b"}),
    "soft": ("Bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull", "feedbackId": "fake-s"}),
    "dropped": (
        "Bounce",
        {"bounceType": "Permanent", "bounceSubType": "OnAccountSuppressionList", "feedbackId": "fake-d"},
    ),
    "complained": ("Complaint", {"complaintFeedbackType": "abuse", "feedbackId": "fake-c"}),
    "stopped": ("Subscription", {"contactList": "shop", "source": "UnsubscribeHeader"}),
    "opened": ("Open", {"ipAddress": "192.0.2.7", "userAgent": "Mozilla/5.0"}),
    "clicked": (
        "Click",
        {"ipAddress": "192.0.2.7", "userAgent": "Mozilla/5.0", "link": "https://shop.example.com/"},
    ),
    "reject": ("Reject", {"reason": "Bad content"}),
}
