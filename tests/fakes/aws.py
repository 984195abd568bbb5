"""What the fakes of Amazon's services share: signatures, botocore's model, and events that come through SNS."""

import json
from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from tests.fakes.asking import Ask, Refusal
from tests.fakes.aws_model import AwsModel, model
from tests.fakes.aws_signing import ACCESS_KEY, REGION, SECRET_KEY, wrong_signature
from tests.fakes.callbacks import CallBack
from tests.fakes.core import Entry, HttpFake
from tests.fakes.sns_envelope import AMAZON, CERTIFICATE_PATH, TOPIC, Envelope, certificate


class AwsFake(HttpFake):
    """One account in one region. `envelope` is how its topic signs; `confirmed` whether somebody subscribed."""

    service: ClassVar[str]
    signing_name: ClassVar[str]
    operation: ClassVar[str]
    stops = frozenset(set(range(400, 500)) - {429})
    envelope = Envelope()
    confirmed = False

    @property
    def credentials(self) -> dict[str, str]:
        """Keys, region, the topic of events, and the PEM that their signatures are verified with."""
        return {
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "region": REGION,
            "topic": TOPIC,
            "certificate": certificate().decode(),
        }

    @property
    def checked(self) -> bool:
        """Botocore brings the specification."""
        return self.check

    @cached_property
    def model(self) -> AwsModel:
        """The operation's."""
        return model(self.service, self.operation)

    def routes(self) -> list[web.RouteDef]:
        """Beside the service's own: the certificate, and the confirmation of a subscription."""
        return [web.get(CERTIFICATE_PATH, self._certificate), web.get("/", self._confirm), *self.own_routes()]

    @abstractmethod
    def own_routes(self) -> list[web.RouteDef]:
        """The service's."""

    @abstractmethod
    def error(self, status: int, code: str, message: str) -> Refusal:
        """An error in the service's protocol."""

    def unsigned(self, ask: Ask) -> Refusal | None:
        """The refusal of a request whose signature is wrong."""
        wrong = wrong_signature(ask, self.signing_name, self.clock())
        return self.error(403, "InvalidSignatureException", wrong) if wrong else None

    def subscribe(self) -> None:
        """Ask whoever is called back to confirm, as SNS does when a subscription is made."""
        token = "fake-subscription-token"
        url = f"{AMAZON}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token={token}"
        message_id = str(uuid5(NAMESPACE_URL, token))
        told = self.envelope.confirmation(message_id, token, url, self.clock())
        self.tell_inbound({"reference": message_id}, told)

    def notify(self, name: str, event: dict[str, Any]) -> dict[str, str]:
        """An event in its envelope; the same name gives the same MessageId."""
        message_id = str(uuid5(NAMESPACE_URL, f"{self.kind} {name}"))
        return self.envelope.notification(message_id, json.dumps(event) + "\n", self.clock())

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """The envelope, signed."""
        del entry
        return self.envelope.post(self.callback_url, payload)

    async def _certificate(self, _: web.Request) -> web.Response:
        return web.Response(body=certificate(), content_type="application/x-pem-file")

    async def _confirm(self, request: web.Request) -> web.Response:
        self.confirmed = request.query.get("Token") == "fake-subscription-token"
        return web.Response(status=200 if self.confirmed else 400)
