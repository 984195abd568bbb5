"""Signature Version 4, verified from its published description and not by the library that makes it."""

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from tests.fakes.asking import Ask

ACCESS_KEY, SECRET_KEY, REGION = "AKIAFAKEFAKEFAKEFAKE", "fake-secret-access-key", "us-east-1"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+),\s*"
    r"SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_SKEW = timedelta(minutes=5)


def wrong_signature(ask: Ask, service: str, now: datetime) -> str | None:
    """Why a request's signature is not the account's for this service, if so."""
    found = _AUTHORIZATION.fullmatch(ask.header("Authorization"))
    if found is None:
        return "the Authorization header is not of Signature Version 4"
    stamp = ask.header("X-Amz-Date")
    scope = f"{stamp[:8]}/{REGION}/{service}/aws4_request"
    if found["key"] != ACCESS_KEY:
        return "The security token included in the request is invalid."
    if found["scope"] != scope:
        return f"Credential should be scoped to {scope}, not {found['scope']}"
    if abs(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - now) > _SKEW:
        return f"Signature expired: {stamp} is not now"
    names = found["headers"].split(";")
    if "host" not in names:
        return "the Host header is not signed"
    request = _canonical(ask, names)
    signed = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}"
    expected = hmac.digest(_key(stamp[:8], service), signed.encode(), "sha256").hex()
    return None if expected == found["signature"] else "The request signature we calculated does not match."


def _canonical(ask: Ask, names: list[str]) -> bytes:
    headers = "".join(f"{name}:{' '.join(ask.header(name).split())}\n" for name in names)
    query = sorted(parse_qsl(ask.request.query_string, keep_blank_values=True))
    return "\n".join(
        [
            ask.request.method,
            quote(ask.request.rel_url.raw_path, safe="/-_.~"),
            "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query),
            headers,
            ";".join(names),
            hashlib.sha256(ask.body).hexdigest(),
        ]
    ).encode()


def _key(day: str, service: str) -> bytes:
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (day, REGION, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
