"""Every setting, read from the environment once, at start, and checked.

Names have the prefix `ORDERWAKE_`, save `KAFKA_BOOTSTRAP_SERVERS` and `DATABASE_URL`, which platforms already set.
A secret may also be given as a file: `ORDERWAKE_TWILIO_AUTH_TOKEN_FILE=/run/secrets/token`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from shared.clock import Clock, clock_from
from shared.errors import SettingsError

HERE = ("127.0.0.1", "localhost", "::1", "host.docker.internal")
_OWN = ("link_secret", "guest_salt", "code_secret", "postal_address")


def _clock_setting(value: str) -> str:
    if not value.startswith("file:"):
        clock_from(value)
    return value


class Settings(BaseModel):
    """All settings. Durations are in machine seconds unless named otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    database_url: SecretStr = SecretStr("postgresql://postgres@127.0.0.1:5432/orderwake")
    database_pool_size: Annotated[int, Field(ge=2, le=100)] = 6
    business_time: Annotated[str, AfterValidator(_clock_setting)] = "real"
    data_dir: Path = Path(".orderwake/data")
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    shops: Annotated[str, Field(description="comma-separated shop ids that may send events; empty: any")] = ""

    topic_partitions: Annotated[int, Field(ge=1, le=1000)] = 6
    topic_replication: Annotated[int, Field(ge=1, le=7)] = 1
    consumer_session_seconds: Annotated[float, Field(ge=1)] = 6.0
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = 500
    dead_letter_limit: Annotated[
        int, Field(ge=1, description="refusals within the window that stop a service")
    ] = 500
    dead_letter_window: Annotated[int, Field(ge=1, description="records looked back on")] = 1000

    ingest_future_minutes: Annotated[
        float, Field(ge=0, description="how far ahead of business time an event may be")
    ] = 10.0
    ingest_inflight_limit: Annotated[int, Field(ge=1, description="events awaiting Kafka before 429")] = 5000
    ingest_park_days: Annotated[
        float, Field(gt=0, description="business days an event waits for its order")
    ] = 30.0
    ingest_ack_seconds: Annotated[
        float, Field(gt=0, description="how long a request waits for Kafka before 503")
    ] = 5.0
    ingest_seen_days: Annotated[
        float, Field(gt=0, description="machine days for which event ids are remembered")
    ] = 14.0
    guest_salt: SecretStr = SecretStr("change-me-per-deployment")

    recommender_role: Annotated[
        Literal["all", "stream", "ranker"],
        Field(description="stream counts, one ranker ranks for all of them; all: each worker ranks its own"),
    ] = "all"
    recommender_top: Annotated[int, Field(ge=1, le=100)] = 10
    recommender_publish_seconds: Annotated[float, Field(gt=0)] = 1.0
    recommender_pairs_kept: Annotated[int, Field(ge=10)] = 400
    recommendation_keys: Annotated[
        str, Field(description="publishable keys as shop:key,shop:key; empty: none needed, on loopback only")
    ] = ""
    recommendation_origins: Annotated[
        str,
        Field(description="comma-separated origins whose pages may ask, e.g. https://shop.example; *: any"),
    ] = ""

    recommendation_secret_keys: Annotated[
        SecretStr,
        Field(
            description="keys for a shop's own servers, as shop:key,shop:key; they open what is known of customers"
        ),
    ] = SecretStr("")
    recommendation_price_share: Annotated[
        float,
        Field(gt=0, description="candidates are priced under this share of order_value, where that is given"),
    ] = 0.25
    recommendation_min_stock: Annotated[
        int,
        Field(ge=0, description="units that must be left of what is recommended, where the catalogue says"),
    ] = 3
    recommendation_min_margin: Annotated[
        float, Field(ge=0, le=1, description="margin as a share of the price, where the catalogue says")
    ] = 0.05
    relations_file: Annotated[
        Path | None,
        BeforeValidator(lambda value: value or None),
        Field(description="YAML file of pins, bans and relations made by hand; empty: none"),
    ] = None

    journeys_dir: Path = Path("journeys")
    journeys_publish: Annotated[
        Literal["on_start", "never"],
        Field(
            description="on_start: a scheduler publishes ORDERWAKE_JOURNEYS_DIR where it differs; never: only people do"
        ),
    ] = "on_start"
    stale_after_seconds: Annotated[float, Field(gt=0)] = 5.0
    scheduler_claim: Annotated[
        int, Field(ge=1, le=5000, description="customers decided in one transaction")
    ] = 200

    code_secret: Annotated[
        SecretStr, Field(description="signs the discount codes that journeys have made, by `prefix`")
    ] = SecretStr("change-me-per-deployment")

    thank_you_keys: Annotated[
        str,
        Field(
            description="publishable keys of thank-you pages as shop:key,shop:key; empty: none needed, on loopback only"
        ),
    ] = ""
    thank_you_secret_keys: Annotated[
        SecretStr,
        Field(
            description="keys for a shop's own servers, as shop:key,shop:key; a shop that has one proves its pages' orders"
        ),
    ] = SecretStr("")
    thank_you_origins: Annotated[
        str,
        Field(description="comma-separated origins of thank-you pages, e.g. https://shop.example; *: any"),
    ] = ""
    thank_you_deadline_seconds: Annotated[
        float,
        Field(gt=0, le=10, description="after which a thank-you page is answered that there is no offer"),
    ] = 0.15
    thank_you_webhooks: Annotated[
        SecretStr,
        Field(
            description="where shops are told of accepted offers: 'shop url whsec_new whsec_old', a line or comma each"
        ),
    ] = SecretStr("")

    catch_up_per_second: Annotated[
        float,
        Field(
            ge=0, description="messages a second, in all, decided of steps that are long overdue; 0: no limit"
        ),
    ] = 200.0
    catch_up_after_minutes: Annotated[
        float, Field(gt=0, description="business minutes past its time from which a step is long overdue")
    ] = 5.0

    providers_file: Annotated[
        Path | None,
        BeforeValidator(lambda value: value or None),
        Field(
            description="YAML file of providers, routes and shops' senders; empty: SMTP and Twilio as below"
        ),
    ] = None
    callback_url: Annotated[
        str, Field(description="where providers call back, as they see it; empty: public_url")
    ] = ""
    soft_failures: Annotated[
        int, Field(ge=1, description="failures in a row after which an address counts as dead")
    ] = 3
    unknown_email: Annotated[
        Literal["list", "resend"],
        Field(description="what becomes of an e-mail that stays unknown: only listed, or sent again"),
    ] = "list"
    unknown_after_hours: Annotated[
        float, Field(gt=0, description="for how long call-backs and queries may still settle an unknown")
    ] = 24.0
    reconcile_seconds: Annotated[float, Field(gt=0, description="between two looks at what is unknown")] = 5.0
    reconcile_after_seconds: Annotated[
        float,
        Field(ge=0, description="age of a hand-over from which its provider is asked, or given it again"),
    ] = 120.0
    reports_kept_days: Annotated[
        float, Field(gt=0, description="for which a call-back's ids are remembered")
    ] = 14.0
    smtp_host: str = "127.0.0.1"
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25
    smtp_connections: Annotated[int, Field(ge=1, le=100)] = 4
    smtp_starttls: bool = False
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    sender_email: str = "offers@shop.example.com"
    postal_address: str = "Orderwake Demo Shop, 1 Example Street, Springfield, IL 62701, USA"
    public_url: str = "https://offers.example.com"
    link_secret: SecretStr = SecretStr("change-me-per-deployment")
    short_url: Annotated[
        str,
        Field(description="where the dispatcher's short links (/s/) are reached; empty: public_url"),
    ] = ""
    link_days: Annotated[
        float,
        Field(gt=0, le=3650, description="business days for which links go on after a message's last moment"),
    ] = 30.0
    twilio_url: str = "https://api.twilio.com"
    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_from: str = ""
    provider_timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    dispatcher_claim: Annotated[
        int, Field(ge=1, le=1000, description="messages handed over at once: what a crash may leave unknown")
    ] = 20
    dispatcher_lease_seconds: Annotated[float, Field(gt=1)] = 30.0
    sms_queueing_seconds: Annotated[
        float,
        Field(
            ge=1,
            le=36_000,
            description="how long an SMS provider may hold a text; with less left of its hours it waits",
        ),
    ] = 30.0

    attribution_days: Annotated[float, Field(gt=0)] = 7.0

    def clock(self) -> Clock:
        """The clock that every process shares."""
        return clock_from(self.business_time)

    def shop_allowed(self, shop: str) -> bool:
        """Whether events of this shop are taken."""
        allowed = {name.strip() for name in self.shops.split(",") if name.strip()}
        return not allowed or shop in allowed


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises SettingsError that names each bad setting, its problem and the fix."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for name, model_field in Settings.model_fields.items():
        variable = _variable(name)
        given = environ.get(variable)
        file = environ.get(f"{variable}_FILE")
        if file and model_field.annotation is SecretStr:
            given = _read_secret(variable, Path(file))
        if given is not None:
            values[name] = given
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_problem(item) for item in error.errors(include_input=False))) from None
    if settings.smtp_host not in HERE:
        refuse_demo_values(settings, settings.smtp_host)
    return settings


def refuse_demo_values(settings: Settings, place: str) -> None:
    """Real people, reached through `place`, must not get mail whose links anyone can forge, or with the demo's postal address."""
    left = [name for name in _OWN if getattr(settings, name) == Settings.model_fields[name].default]
    if left:
        fix = f"still the demo's value, while messages go to {place}; set one of your own"
        raise SettingsError("\n".join(f"{_variable(name)}: {fix}" for name in left))


def _variable(name: str) -> str:
    return (
        name.upper() if name in ("kafka_bootstrap_servers", "database_url") else f"ORDERWAKE_{name.upper()}"
    )


def _read_secret(variable: str, path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        message = f"{variable}_FILE: cannot read {path}: {error.strerror}; mount the secret there or unset the variable"
        raise SettingsError(message) from error


def _problem(item: Any) -> str:  # noqa: ANN401  pydantic's ErrorDetails is a plain dict
    name = str(item["loc"][0])
    field = Settings.model_fields[name]
    hint = f" ({field.description})" if field.description else ""
    return f"{_variable(name)}: {item['msg']}{hint}; unset it for the default {field.default!r}"
