"""Who signed a call-back of Twilio's: HMAC-SHA1 over the public address and every field of the form.

Source: twilio.com/docs/usage/security, and twilio-python's RequestValidator: values of one name count once and in
order, a JSON body by its hash in the query, and the address with and without its scheme's own port.
"""

import base64
import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, urlsplit

_PORTS = {"https": 443, "http": 80}


def signature(token: str, url: str, fields: Sequence[tuple[str, str]]) -> str:
    """What Twilio would put into X-Twilio-Signature."""
    values = defaultdict(set)
    for name, value in fields:
        values[name].add(value)
    told = "".join(f"{name}{value}" for name in sorted(values) for value in sorted(values[name]))
    whole = (url + told).encode("utf-8", "replace")
    return base64.b64encode(hmac.digest(token.encode(), whole, "sha1")).decode()


def is_signed(
    tokens: Iterable[str], url: str, fields: Sequence[tuple[str, str]], body: bytes, given: str
) -> bool:
    """Whether one of `tokens` signed it. With a `bodySHA256` in the query the body is no form, and `fields` is empty."""
    hashes = parse_qs(urlsplit(url).query).get("bodySHA256")
    if hashes is not None and not hmac.compare_digest(
        hashes[0].encode("utf-8", "replace"), _sha256(body).encode()
    ):
        return False
    signed = () if hashes is not None else fields
    return any(
        hmac.compare_digest(signature(token, address, signed).encode(), given.encode("utf-8", "replace"))
        for token in tokens
        for address in _addresses(url)
    )


def _addresses(url: str) -> set[str]:
    """The address as it came, with its port and without: proxies add and drop it."""
    parts = urlsplit(url)
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    port = parts.port or _PORTS.get(parts.scheme, 0)
    bare, full = f"{user}{name}", f"{user}{name}:{port}"
    return {url, parts._replace(netloc=bare).geturl(), parts._replace(netloc=full).geturl()}


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
