"""Who may ask for what: pages with a publishable key, a shop's own servers with a secret one."""

from dataclasses import dataclass
from http import HTTPStatus

from services.scheduler.page.question import Fault, Refused, Told, proven
from shared.errors import SettingsError
from shared.keys import Keys, require_a_key
from shared.settings import Settings

KEY_HEADER = "X-Orderwake-Key"
PROOF_HEADER = "X-Orderwake-Proof"
_PUBLISHABLE = "ORDERWAKE_THANK_YOU_KEYS"
_SECRET = "ORDERWAKE_THANK_YOU_SECRET_KEYS"  # noqa: S105  the setting's name

_NO_ENTRY = Told(
    Fault.WRONG_API_KEY, "key", f"this key does not open this shop; send it as {KEY_HEADER} or as key"
)
_IN_THE_OPEN = Told(
    Fault.WRONG_API_KEY,
    "key",
    f"a secret key must not stand in a URL: send it as {KEY_HEADER}, and make a new one",
)
_NO_SHOP = Told(Fault.BAD_FIELD, "shop", "say which shop it is; without keys nothing else tells")
_NO_PROOF = Told(
    Fault.PROOF_NEEDED,
    "proof",
    f"this shop's pages prove their orders: send, as {PROOF_HEADER} or as proof, the HMAC-SHA256 of the body's very text "
    "with the shop's secret key, in hexadecimal, made by the shop's server",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """The credentials of a request: the key of its header, else of its URL, and the proof if there is one."""

    header: str | None
    query: str
    proof: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Whom a request is about, and whether it comes from the shop's own server."""

    shop: str
    trusted: bool


class Doors:
    """Without any key everybody may ask, as a server may."""

    def __init__(self, publishable: Keys, secret: Keys) -> None:
        """Raise SettingsError where a key is of both classes."""
        if publishable.all & secret.all:
            message = f"{_SECRET} has a key that {_PUBLISHABLE} has too, and so stands in pages; make another"
            raise SettingsError(message)
        self._publishable = publishable
        self._secret = secret

    @property
    def unproven(self) -> list[str]:
        """Shops whose pages may name any customer, since no secret key of theirs can prove an order."""
        return sorted(self._publishable.shops - self._secret.shops)

    def enter(self, shop: str | None, sent: Sent, body: bytes) -> Entry:
        """Return whom the request is about. Raises Refused: 403 where its key or proof does not open that, else 422."""
        if not self._publishable and not self._secret:
            return Entry(self._named(shop), trusted=True)
        if sent.query and self._opened(self._secret, shop, sent.query):
            raise Refused(HTTPStatus.FORBIDDEN, _IN_THE_OPEN)
        given = sent.query if sent.header is None else sent.header
        if own := self._opened(self._secret, shop, given):
            return Entry(own, trusted=True)
        page = self._opened(self._publishable, shop, given)
        if page is None:
            raise Refused(HTTPStatus.FORBIDDEN, _NO_ENTRY)
        secrets = self._secret.of(page)
        if secrets and not proven(secrets, body, sent.proof):
            raise Refused(HTTPStatus.FORBIDDEN, _NO_PROOF)
        return Entry(page, trusted=False)

    @staticmethod
    def _opened(keys: Keys, shop: str | None, given: str) -> str | None:
        """Return the shop that a key opens, if it is the one named."""
        if shop is None:
            return keys.shop_of(given)
        return shop if keys.open(shop, given) else None

    @staticmethod
    def _named(shop: str | None) -> str:
        if shop is None:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, _NO_SHOP)
        return shop


def doors_for(settings: Settings) -> Doors:
    """Read the keys. Raises SettingsError where there is none though others than this machine can ask."""
    publishable = Keys(settings.thank_you_keys, _PUBLISHABLE)
    secret = Keys(settings.thank_you_secret_keys.get_secret_value(), _SECRET)
    require_a_key(settings.http_host, _PUBLISHABLE, publishable, secret)
    return Doors(publishable, secret)
