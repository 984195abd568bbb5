"""Keys of two classes. Publishable ones stand in a shop's pages, and open what anybody may have.

Secret ones are held by the shop's own servers, and open what is known of its customers, too.
"""

import hmac
import ipaddress
import re

from shared.errors import SettingsError

_ENTRY = re.compile(r"(?P<shop>[a-z0-9][a-z0-9-]{0,62}):(?P<key>[A-Za-z0-9._~-]{8,200})")
_NOBODYS = b"-"


class Keys:
    """Keys of one class. None opens anything where there is none."""

    def __init__(self, text: str, setting: str) -> None:
        """Read `shop:key,shop:key`; a shop may have several, so that keys can be changed. Raises SettingsError."""
        self._keys: dict[str, list[bytes]] = {}
        for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                message = (
                    f"{setting}: entry {number} is not shop:key; a key has 8 to 200 letters, "
                    "digits and . _ ~ -, e.g. my-shop:pk_4f9c2d71"
                )
                raise SettingsError(message)
            self._keys.setdefault(match["shop"], []).append(match["key"].encode())

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def all(self) -> frozenset[bytes]:
        """Every shop's keys."""
        return frozenset(key for keys in self._keys.values() for key in keys)

    def open(self, shop: str, given: str) -> bool:
        """Whether the key `given` opens `shop`. How long it takes does not tell how much of a key was right."""
        told = given.encode(errors="surrogateescape")
        matches = [hmac.compare_digest(told, key) for key in self._keys.get(shop, [_NOBODYS])]
        return any(matches) and shop in self._keys

    @property
    def shops(self) -> frozenset[str]:
        """Shops that have a key."""
        return frozenset(self._keys)

    def of(self, shop: str) -> list[bytes]:
        """The shop's keys, in the order of the setting."""
        return self._keys.get(shop, [])

    def shop_of(self, given: str) -> str | None:
        """The shop that a key opens, or None. Where several have it, the first of the setting."""
        return next((shop for shop in self._keys if self.open(shop, given)), None)


def on_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_a_key(host: str, setting: str, *classes: Keys) -> None:
    """Raise SettingsError where nobody has a key, though others than this machine can ask on `host`."""
    if not any(classes) and not on_loopback(host):
        message = (
            f"{setting} is empty while ORDERWAKE_HTTP_HOST is {host}: "
            "give each shop a key (shop:key,shop:key), or listen on 127.0.0.1"
        )
        raise SettingsError(message)
