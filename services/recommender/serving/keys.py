"""Publishable keys: each shop's pages carry theirs, and it opens that shop's recommendations only."""

import hmac
import ipaddress
import re

from shared.errors import SettingsError
from shared.settings import Settings

_ENTRY = re.compile(r"(?P<shop>[a-z0-9][a-z0-9-]{0,62}):(?P<key>[A-Za-z0-9._~-]{8,200})")
_NOBODYS = b"-"


class Keys:
    """Who may ask for what. Without any key everybody may ask for everything."""

    def __init__(self, text: str) -> None:
        """Read `shop:key,shop:key`; a shop may have several, so that keys can be changed. Raises SettingsError."""
        self._keys: dict[str, list[bytes]] = {}
        for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                message = (
                    f"ORDERWAKE_RECOMMENDATION_KEYS: entry {number} is not shop:key; a key has 8 to 200 letters, "
                    "digits and . _ ~ -, e.g. my-shop:pk_4f9c2d71"
                )
                raise SettingsError(message)
            self._keys.setdefault(match["shop"], []).append(match["key"].encode())

    def open(self, shop: str, given: str) -> bool:
        """Whether the key `given` opens `shop`. How long it takes does not tell how much of a key was right."""
        if not self._keys:
            return True
        told = given.encode(errors="surrogateescape")
        matches = [hmac.compare_digest(told, key) for key in self._keys.get(shop, [_NOBODYS])]
        return any(matches)


def keys_for(settings: Settings) -> Keys:
    """Read the keys. Raises SettingsError where there is none though others than this machine can ask."""
    if not settings.recommendation_keys.strip() and not _loopback(settings.http_host):
        message = (
            f"ORDERWAKE_RECOMMENDATION_KEYS is empty while ORDERWAKE_HTTP_HOST is {settings.http_host}: "
            "give each shop a key (shop:key,shop:key), or listen on 127.0.0.1"
        )
        raise SettingsError(message)
    return Keys(settings.recommendation_keys)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
