"""Every kind of provider, by the `kind` that `providers.yaml` names."""

from typing import Annotated

from pydantic import Field

from services.dispatcher.providers.base import Provider
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.postmark import PostmarkConfig, PostmarkProvider
from services.dispatcher.providers.resend import ResendConfig, ResendProvider
from services.dispatcher.providers.sendgrid import SendGridConfig, SendGridProvider
from services.dispatcher.providers.smtp import SmtpConfig, SmtpProvider
from services.dispatcher.providers.twilio import TwilioConfig, TwilioProvider
from services.dispatcher.providers.vonage import VonageConfig, VonageProvider

AnyConfig = Annotated[
    SmtpConfig | PostmarkConfig | ResendConfig | SendGridConfig | TwilioConfig | VonageConfig,
    Field(discriminator="kind"),
]


def make(config: AnyConfig, here: Surroundings) -> Provider:
    """The provider of a configuration, not started."""
    match config:
        case SmtpConfig():
            return SmtpProvider(config, here)
        case PostmarkConfig():
            return PostmarkProvider(config, here)
        case ResendConfig():
            return ResendProvider(config, here)
        case SendGridConfig():
            return SendGridProvider(config, here)
        case TwilioConfig():
            return TwilioProvider(config, here)
        case VonageConfig():
            return VonageProvider(config, here)
