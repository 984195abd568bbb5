"""Amazon's APIs over our own HTTP client: botocore writes, signs and reads each request, and sends none.

What a refusal means is each service's table; what all services share is here. Credentials are secrets of ours, read
again when they change, or what AWS's own chain finds (a web identity in Kubernetes, a role, a profile).
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Self
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import ResponseParserError, create_parser
from botocore.regions import EndpointResolver
from botocore.serialize import create_serializer
from botocore.session import Session
from pydantic import Field, model_validator

from services.dispatcher.providers.base import Answer, Fault
from services.dispatcher.providers.config import ProviderConfig
from services.dispatcher.providers.http import HttpLine, Reply
from shared.secrets import Secret

_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)
_COMMON = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "RequestLimitExceeded",
                "SlowDown",
                "Throttled",
                "ThrottledException",
                "Throttling",
                "ThrottlingException",
                "TooManyRequestsException",
            ),
            Fault.BUSY,
        ),
        **dict.fromkeys(
            (
                "AccessDenied",
                "AccessDeniedException",
                "AuthorizationError",
                "IncompleteSignature",
                "InvalidSecurity",
                "InvalidSignatureException",
                "MissingAuthenticationToken",
                "MissingAuthenticationTokenException",
                "NotAuthorized",
                "OptInRequired",
                "RequestExpired",
                "SignatureDoesNotMatch",
                *_EXPIRED,
            ),
            Fault.SENDER,
        ),
    }
)
_OK, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_FAULT, _REFUSED = 200, 401, 403, 429, 500, 400
_WAITING = frozenset({Fault.BUSY, Fault.QUOTA, Fault.SENDER})
_WORD = re.compile(r"[A-Za-z0-9_.]{1,80}")


class AwsConfig(ProviderConfig):
    """One region of an AWS account. Without keys, AWS's own chain of credentials is asked."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    access_key: Secret | None = None
    secret_key: Secret | None = None
    session_token: Secret | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _both_keys(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            message = "give access_key and secret_key together, or neither for AWS's own chain of credentials"
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True)
class Refused:
    """An error as a service names it. `reason` is empty where the service gives none besides its code."""

    code: str
    reason: str
    message: str


class AwsLine:
    """One operation of one service. `judge` knows the service's own errors; None leaves them to what all share."""

    def __init__(
        self,
        word: str,
        service: str,
        operation: str,
        config: AwsConfig,
        judge: Callable[[Refused], Fault | None],
    ) -> None:
        self._word, self._config, self._judge = word, config, judge
        self._service = _model(service)
        self._operation = self._service.operation_model(operation)
        self._serializer = create_serializer(self._service.metadata["protocol"])
        self._parser = create_parser(self._service.metadata["protocol"])
        found = _resolver().construct_endpoint(self._service.endpoint_prefix, config.region)
        self._url = (config.url or f"https://{found['hostname']}").rstrip("/")
        self._credentials = _Chain(config)
        self.http = HttpLine(word, config.timeout_seconds, config.limits.concurrency)

    async def start(self) -> None:
        """Make the session."""
        await self.http.start()

    async def close(self) -> None:
        """Close the session."""
        await self.http.close()

    async def send(self, values: Mapping[str, Any]) -> Answer:
        """Call the operation, whose answer holds a MessageId. `values` that break the service's model are never sent."""
        try:
            written = self._serializer.serialize_to_request(dict(values), self._operation)
        except ParamValidationError:
            return Answer.of(Fault.PERMANENT, f"{self._word}_invalid")
        try:
            credentials = await self._credentials.now()
        except BotoCoreError:
            credentials = None
        if credentials is None:
            return Answer.of(Fault.SENDER, f"{self._word}_no_credentials")
        method, url, headers, body = self._signed(written, credentials)
        reply = await self.http.request(method, url, headers=headers, data=body)
        return reply if isinstance(reply, Answer) else self.read(reply)

    def read(self, reply: Reply) -> Answer:
        """What a reply says. A 5xx leaves it open unless its code says that nothing was processed."""
        told = self._parsed(reply, self._operation.output_shape)
        if reply.status == _OK:
            reference = told.get("MessageId")
            if isinstance(reference, str) and reference:
                return Answer.accepted(reference)
            return Answer.of(Fault.OPEN, f"{self._word}_unreadable")
        refused = self._refusal(told, reply)
        fault = self._judge(refused) or _COMMON.get(refused.code) or _by_status(reply.status)
        if fault not in _WAITING and not _REFUSED <= reply.status < _SERVER_FAULT:
            fault = Fault.OPEN
        if refused.code in _EXPIRED:
            self._credentials.forget()
        word = refused.reason or refused.code or f"http_{reply.status}"
        return Answer.of(fault, f"{self._word}_{word}", reply.retry_after())

    def _signed(self, written: Mapping[str, Any], credentials: Any) -> tuple[str, str, dict[str, str], bytes]:  # noqa: ANN401  botocore ships no types
        body = written["body"]
        raw = urlencode(body).encode() if isinstance(body, Mapping) else body
        raw = raw.encode() if isinstance(raw, str) else raw
        url = f"{self._url}{written['url_path']}"
        request = AWSRequest(written["method"], url, written["headers"], raw)
        SigV4Auth(credentials, self._service.signing_name, self._config.region).add_auth(request)
        return written["method"], url, dict(request.headers.items()), raw

    def _refusal(self, told: Mapping[str, Any], reply: Reply) -> Refused:
        error = told.get("Error", {})
        code = _word(error.get("Code"))
        shape = self._service.shape_for_error_code(code)
        modelled = self._parsed(reply, shape) if shape is not None else {}
        return Refused(code, _word(modelled.get("Reason")), str(error.get("Message") or ""))

    def _parsed(self, reply: Reply, shape: Any) -> dict[str, Any]:  # noqa: ANN401  botocore ships no types
        given = {"status_code": reply.status, "headers": HeadersDict(dict(reply.headers)), "body": reply.body}
        try:
            parsed = self._parser.parse(given, shape)
        except (ResponseParserError, ValueError, TypeError, AttributeError, LookupError):
            return {}  # botocore trusts the shape of what it reads
        return parsed if isinstance(parsed, dict) else {}


@cache
def _model(service: str) -> Any:  # noqa: ANN401  botocore ships no types
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@cache
def _resolver() -> Any:  # noqa: ANN401  botocore ships no types
    return EndpointResolver(Loader().load_data("endpoints"))


class _Chain:
    """Credentials as they are now: our secrets, or what AWS's chain finds and renews, on a thread of its own."""

    def __init__(self, config: AwsConfig) -> None:
        self._config = config
        self._found: Any = None
        self._asking = asyncio.Lock()

    async def now(self) -> Any:  # noqa: ANN401  botocore ships no types
        """Keys to sign with; None where there are none. Raises BotoCoreError if they cannot be had."""
        access, secret, token = self._config.access_key, self._config.secret_key, self._config.session_token
        if access is not None and secret is not None:
            return Credentials(access.value(), secret.value(), token.value() if token else None)
        async with self._asking:
            if self._found is None:
                self._found = await asyncio.to_thread(lambda: Session().get_credentials())
            if self._found is None:
                return None
            if getattr(self._found, "refresh_needed", bool)():
                return await asyncio.to_thread(self._found.get_frozen_credentials)
            return self._found.get_frozen_credentials()

    def forget(self) -> None:
        """Ask the chain anew: a profile may have changed."""
        self._found = None


def _by_status(status: int) -> Fault:
    if status == _TOO_MANY:
        return Fault.BUSY
    return Fault.SENDER if status in (_UNAUTHORIZED, _FORBIDDEN) else Fault.PERMANENT


def _word(found: object) -> str:
    return found if isinstance(found, str) and _WORD.fullmatch(found) else ""
