"""Amazon SNS's Publish of an SMS, in the query protocol. It tells nobody what became of a message.

Signatures are verified and each request is held against botocore's model.
"""

import re
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.aws import AwsFake

_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
_XML = {"Content-Type": "text/xml"}


def _error(status: int, code: str, message: str) -> Refusal:
    who = "Sender" if status < 500 else "Receiver"
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{who}</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>fake</RequestId></ErrorResponse>"
    )
    return Refusal(status, body, _XML)


class FakeSns(AwsFake):
    """One account that may send SMS."""

    kind = "sns"
    service, signing_name, operation = "sns", "sns", "Publish"
    refusals: ClassVar = {
        "429": _error(400, "Throttling", "Rate exceeded"),
        "Throttled": _error(429, "Throttled", "Rate exceeded"),
        "InvalidParameter": _error(400, "InvalidParameter", "Invalid parameter: PhoneNumber"),
        "ParameterValueInvalid": _error(400, "ParameterValueInvalid", "Invalid parameter value"),
        "AuthorizationError": _error(403, "AuthorizationError", "not authorized: SNS:Publish"),
        "EndpointDisabled": _error(400, "EndpointDisabled", "Endpoint is disabled"),
        "500": _error(500, "InternalError", "Internal failure"),
        "503": _error(503, "ServiceUnavailable", "Service unavailable"),
    }

    def own_routes(self) -> list[web.RouteDef]:
        """The one address."""
        return [web.post("/", self.send)]

    def error(self, status: int, code: str, message: str) -> Refusal:
        """XML."""
        return _error(status, code, message)

    def found_wrong(self, ask: Ask) -> list[str]:
        """What breaks the model or the protocol."""
        if not self.check or ask.request.method != "POST":
            return []
        params, left = self._params(ask)
        wrong = [f"unknown field {name}" for name in left]
        if ask.form.get("Action") != "Publish" or ask.form.get("Version") != self.model.version:
            wrong.append(f"not Action=Publish of Version={self.model.version}")
        return [*wrong, *self.model.violations(params)]

    def refuse(self, ask: Ask) -> Refusal | None:
        """Signature, then number and text."""
        unsigned = self.unsigned(ask)
        if unsigned is not None:
            return unsigned
        if not re.fullmatch(r"\+[1-9]\d{6,14}", ask.form.get("PhoneNumber", "")):
            return _error(
                400, "InvalidParameter", "Invalid parameter: PhoneNumber is not valid to publish to"
            )
        if not ask.form.get("Message"):
            return _error(400, "InvalidParameter", "Invalid parameter: Empty message")
        return None

    def accept(self, ask: Ask) -> Accepted:
        """200 with the message id."""
        reference = str(uuid5(NAMESPACE_URL, f"sns/{len(self.entries)}"))
        params, _ = self._params(ask)
        attributes = {
            name: value.get("StringValue", "") for name, value in params.get("MessageAttributes", {}).items()
        }
        entry = {
            "reference": reference,
            "to": ask.form["PhoneNumber"],
            "body": ask.form["Message"],
            "k": correlation(attributes),
            "attributes": attributes,
        }
        body = (
            f'<PublishResponse xmlns="{_NAMESPACE}"><PublishResult><MessageId>{reference}</MessageId>'
            "</PublishResult><ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></PublishResponse>"
        )
        return Accepted(web.Response(text=body, headers=_XML), entry)

    def _params(self, ask: Ask) -> tuple[dict[str, Any], list[str]]:
        fields = {name: value for name, value in ask.form.items() if name not in ("Action", "Version")}
        return self.model.from_query(fields)
