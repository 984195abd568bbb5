"""Who signed a call-back of Vonage's: a hash over every field in order of names, and the shared secret.

Source: developer.vonage.com, "Signing messages", and the signature of Vonage's own Python client: `&name=value` for
each field but `sig`, with `&` and `=` in values as `_`; by HMAC, or as MD5 with the secret behind the fields.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Literal

Method = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]


def signature(secret: str, method: Method, fields: Mapping[str, str]) -> str:
    """The hash, as hexadecimal digits in lower case."""
    told = "".join(
        f"&{name}={fields[name].replace('&', '_').replace('=', '_')}"
        for name in sorted(fields)
        if name != "sig"
    )
    if method == "md5hash":
        return hashlib.md5((told + secret).encode(), usedforsecurity=False).hexdigest()
    return hmac.digest(secret.encode(), told.encode(), method).hex()


def is_signed(secrets: Iterable[str], method: Method, fields: Mapping[str, str]) -> bool:
    """Whether one of `secrets` signed the fields."""
    given = fields.get("sig", "").lower().encode()
    return any(hmac.compare_digest(signature(secret, method, fields).encode(), given) for secret in secrets)
