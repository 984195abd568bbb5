"""Postmark's requests and webhooks, from its reference: it publishes no specification."""

from typing import Any

from jsonschema import Draft202012Validator

_TEXT = {"type": "string"}
_NAMED = {
    "type": "object",
    "required": ["Name", "Value"],
    "properties": {"Name": {**_TEXT, "minLength": 1}, "Value": _TEXT},
    "additionalProperties": False,
}
SCHEMA = Draft202012Validator(
    {
        "type": "object",
        "required": ["From", "To"],
        "anyOf": [{"required": ["HtmlBody"]}, {"required": ["TextBody"]}],
        "properties": {
            "From": {**_TEXT, "maxLength": 255, "minLength": 3},
            "To": {**_TEXT, "minLength": 3},
            **dict.fromkeys(("Cc", "Bcc", "ReplyTo", "MessageStream"), _TEXT),
            "Subject": {**_TEXT, "maxLength": 2000},
            "Tag": {**_TEXT, "maxLength": 1000},
            "HtmlBody": {**_TEXT, "maxLength": 5 * 2**20},
            "TextBody": {**_TEXT, "maxLength": 5 * 2**20},
            "Headers": {"type": "array", "items": _NAMED},
            "TrackOpens": {"type": "boolean"},
            "TrackLinks": {"enum": ["None", "HtmlAndText", "HtmlOnly", "TextOnly"]},
            "Metadata": {
                "type": "object",
                "maxProperties": 10,
                "propertyNames": {"maxLength": 20},
                "additionalProperties": {**_TEXT, "maxLength": 80},
            },
            "Attachments": {"type": "array"},
        },
        "additionalProperties": False,
    }
)
TIMES = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "SubscriptionChange": "ChangedAt",
}
RECORDS: dict[str, dict[str, Any]] = {
    "delivered": {"RecordType": "Delivery", "Details": "smtp;250 2.0.0 OK"},
    "bounced": {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "TypeCode": 1,
        "Name": "Hard bounce",
        "Description": "The server was unable to deliver your message (ex: unknown user).",
        "Details": "smtp;550 5.1.1 The email account that you tried to reach does not exist.",
        "Inactive": True,
        "CanActivate": True,
    },
    "deferred": {
        "RecordType": "Bounce",
        "Type": "Transient",
        "TypeCode": 2,
        "Name": "Message delayed",
        "Details": "smtp;452 4.2.2 over quota",
        "Inactive": False,
        "CanActivate": True,
    },
    "soft": {
        "RecordType": "Bounce",
        "Type": "SoftBounce",
        "TypeCode": 4096,
        "Name": "Soft bounce",
        "Details": "smtp;452 4.2.2 over quota",
        "Inactive": False,
        "CanActivate": True,
    },
    "complained": {
        "RecordType": "SpamComplaint",
        "Type": "SpamComplaint",
        "TypeCode": 512,
        "Name": "Spam complaint",
        "Details": "Test spam complaint details",
        "Inactive": True,
        "CanActivate": False,
    },
    "stopped": {
        "RecordType": "SubscriptionChange",
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
    },
    "opened": {"RecordType": "Open", "FirstOpen": True, "UserAgent": "Mozilla/5.0", "Geo": {}},
    "clicked": {
        "RecordType": "Click",
        "ClickLocation": "HTML",
        "OriginalLink": "https://shop.example.com/",
        "UserAgent": "Mozilla/5.0",
    },
}
