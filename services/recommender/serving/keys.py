"""Keys of two classes. Publishable ones stand in a shop's pages, and open what anybody may know of the shop's products.

Secret ones are held by the shop's own servers, and open what is known of its customers, too.
"""

import hmac
import ipaddress
import re

from shared.errors import SettingsError
from shared.settings import Settings

_ENTRY = re.compile(r"(?P<shop>[a-z0-9][a-z0-9-]{0,62}):(?P<key>[A-Za-z0-9._~-]{8,200})")
_NOBODYS = b"-"
_PUBLISHABLE = "ORDERWAKE_RECOMMENDATION_KEYS"
_SECRET = "ORDERWAKE_RECOMMENDATION_SECRET_KEYS"  # noqa: S105  the setting's name


class Keys:
    """Keys of one class. None opens anything where there is none."""

    def __init__(self, text: str, setting: str = _PUBLISHABLE) -> None:
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


class Doors:
    """Who may ask for what. Without any key everybody may ask what a page may, and nobody what a server may."""

    def __init__(self, publishable: Keys, secret: Keys) -> None:
        """Raise SettingsError where a key is of both classes."""
        if publishable.all & secret.all:
            message = f"{_SECRET} has a key that {_PUBLISHABLE} has too, and so stands in pages; make another"
            raise SettingsError(message)
        self._publishable = publishable
        self._secret = secret

    def page(self, shop: str, given: str) -> bool:
        """Whether a key opens what pages may know of a shop; a secret one does."""
        free = not self._publishable and not self._secret
        return free or self._publishable.open(shop, given) or self._secret.open(shop, given)

    def server(self, shop: str, given: str) -> bool:
        """Whether a key opens what only the shop's own servers may know."""
        return self._secret.open(shop, given)


def doors_for(settings: Settings) -> Doors:
    """Read the keys. Raises SettingsError where there is none though others than this machine can ask."""
    publishable = Keys(settings.recommendation_keys)
    secret = Keys(settings.recommendation_secret_keys.get_secret_value(), _SECRET)
    if not publishable and not secret and not _loopback(settings.http_host):
        message = (
            f"{_PUBLISHABLE} is empty while ORDERWAKE_HTTP_HOST is {settings.http_host}: "
            "give each shop a key (shop:key,shop:key), or listen on 127.0.0.1"
        )
        raise SettingsError(message)
    return Doors(publishable, secret)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
