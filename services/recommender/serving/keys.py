"""Who may ask for what: publishable keys open what anybody may know of a shop's products, secret ones its customers, too."""

from shared.errors import SettingsError
from shared.keys import Keys, require_a_key
from shared.settings import Settings

_PUBLISHABLE = "ORDERWAKE_RECOMMENDATION_KEYS"
_SECRET = "ORDERWAKE_RECOMMENDATION_SECRET_KEYS"  # noqa: S105  the setting's name


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
    publishable = Keys(settings.recommendation_keys, _PUBLISHABLE)
    secret = Keys(settings.recommendation_secret_keys.get_secret_value(), _SECRET)
    require_a_key(settings.http_host, _PUBLISHABLE, publishable, secret)
    return Doors(publishable, secret)
