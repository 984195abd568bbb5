"""`providers.yaml`: which providers there are, in which order they are tried, and what each shop sends as.

Without a file, SMTP and Twilio come from the settings of their names.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from yarl import URL

from services.dispatcher.providers.base import Provider
from services.dispatcher.providers.config import Limits, Surroundings
from services.dispatcher.providers.registry import AnyConfig, make
from services.dispatcher.providers.smtp import SmtpConfig
from services.dispatcher.providers.twilio import TwilioConfig
from shared.errors import SettingsError
from shared.events import Channel
from shared.secrets import Secret
from shared.settings import HERE, Settings, refuse_demo_values
from shared.yaml_file import read_yaml

SCHEMA = Path(__file__).parents[2] / "docs" / "providers.schema.json"


class ShopSender(BaseModel):
    """What one shop sends as, where it differs from the deployment's own. `limits` hold over all its messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: str | None = None
    sms: str | None = None
    postal_address: str | None = None
    limits: Limits = Limits()

    def sender(self, channel: Channel) -> str:
        """The shop's own address or number; empty for the provider's default."""
        return {Channel.EMAIL: self.email, Channel.SMS: self.sms}.get(channel) or ""


class Delivery(BaseModel):
    """The file. `routes` name providers by channel, the first being preferred; absent channels take all of their kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    providers: tuple[AnyConfig, ...] = Field(min_length=1)
    routes: dict[Channel, tuple[str, ...]] = {}
    shops: dict[str, ShopSender] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [each.name for each in self.providers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            message = f"these names are given twice: {', '.join(twice)}; name each provider once"
            raise ValueError(message)
        if missing := sorted({name for route in self.routes.values() for name in route} - set(names)):
            message = f"routes name providers that are not there: {', '.join(missing)}; add or remove them"
            raise ValueError(message)
        return self

    def check_secrets(self) -> None:
        """Read every secret once. Raises SettingsError that names the provider whose secret is not there."""
        for config in self.providers:
            for secret in _secrets(config):
                try:
                    secret.all()
                except SettingsError as error:
                    message = f"provider {config.name}: {error}"
                    raise SettingsError(message) from None

    def shop(self, shop: str) -> ShopSender:
        """What a shop sends as."""
        return self.shops.get(shop) or _OWN

    def make(self, here: Surroundings) -> dict[str, Provider]:
        """Every provider by its name, not started."""
        return {config.name: make(config, here) for config in self.providers}

    def route(self, channel: Channel, providers: Mapping[str, Provider]) -> tuple[Provider, ...]:
        """The providers of a channel in the order of preference."""
        named = self.routes.get(channel)
        if named is None:
            return tuple(each for each in providers.values() if each.channel is channel)
        return tuple(providers[name] for name in named)


_OWN = ShopSender()


def load_delivery(settings: Settings) -> Delivery:
    """What the file or the settings say. Raises SettingsError with file, line and fix, and for secrets that are not there."""
    if settings.providers_file is None:
        return _from_settings(settings)
    delivery = read_delivery(settings.providers_file)
    delivery.check_secrets()
    for config in delivery.providers:
        if (host := _host(config)) not in HERE:
            refuse_demo_values(settings, host or config.name)
    return delivery


def read_delivery(path: Path) -> Delivery:
    """What a file says. Raises SettingsError with file, line and fix."""
    file = read_yaml(path, SettingsError, "the file")
    try:
        return Delivery.model_validate(file.value)
    except ValidationError as error:
        raise SettingsError(file.explain(error)) from None


def _secrets(part: object) -> Iterator[Secret]:
    """Every secret inside a configuration."""
    if isinstance(part, Secret):
        yield part
    elif isinstance(part, BaseModel):
        yield from _secrets([value for _, value in part])
    elif isinstance(part, Mapping):
        yield from _secrets(list(part.values()))
    elif isinstance(part, list | tuple):
        for each in part:
            yield from _secrets(each)


def _host(config: AnyConfig) -> str | None:
    url = getattr(config, "url", None)
    return URL(url).host if isinstance(url, str) else getattr(config, "host", None)


def in_the_clear(config: AnyConfig) -> bool:
    """Whether its key and people's addresses would leave this machine without TLS."""
    if _host(config) in HERE:
        return False
    if isinstance(config, SmtpConfig):
        return config.username is not None and not (config.tls or config.starttls)
    return str(getattr(config, "url", None)).startswith("http://")


def schema() -> str:
    """The JSON Schema of the file, as it stands in docs/."""
    document = Delivery.model_json_schema(by_alias=True)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
    return json.dumps(document, indent=2) + "\n"


def surroundings(settings: Settings) -> Surroundings:
    """What every provider may know of this deployment."""
    public = settings.callback_url or settings.public_url
    reachable = public.rstrip("/") != Settings.model_fields["public_url"].default
    return Surroundings(public if reachable else None, settings.sender_email)


def _from_settings(settings: Settings) -> Delivery:
    password = settings.smtp_password.get_secret_value()
    found: list[AnyConfig] = [
        SmtpConfig(
            name="smtp",
            host=settings.smtp_host,
            port=settings.smtp_port,
            connections=settings.smtp_connections,
            starttls=settings.smtp_starttls,
            username=settings.smtp_username or None,
            password=Secret.given(password) if password else None,
            timeout_seconds=settings.provider_timeout_seconds,
        )
    ]
    if settings.twilio_account_sid:
        found.append(
            TwilioConfig(
                name="twilio",
                account=settings.twilio_account_sid,
                token=Secret.given(settings.twilio_auth_token.get_secret_value()),
                sender=settings.twilio_from,
                url=settings.twilio_url,
                timeout_seconds=settings.provider_timeout_seconds,
            )
        )
    return Delivery(providers=tuple(found))


if __name__ == "__main__":
    SCHEMA.write_text(schema())
