"""Every kind of provider, by the `kind` that `providers.yaml` names."""

from typing import Annotated

from pydantic import Field

from services.dispatcher.providers.aws_sms import AwsSmsConfig, AwsSmsProvider
from services.dispatcher.providers.base import Provider
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.mailgun import MailgunConfig, MailgunProvider
from services.dispatcher.providers.postmark import PostmarkConfig, PostmarkProvider
from services.dispatcher.providers.push import PushConfig, PushProvider
from services.dispatcher.providers.resend import ResendConfig, ResendProvider
from services.dispatcher.providers.sendgrid import SendGridConfig, SendGridProvider
from services.dispatcher.providers.ses import SesConfig, SesProvider
from services.dispatcher.providers.smtp import SmtpConfig, SmtpProvider
from services.dispatcher.providers.twilio import TwilioConfig, TwilioProvider
from services.dispatcher.providers.vonage import VonageConfig, VonageProvider
from services.dispatcher.providers.webhook import WebhookConfig, WebhookProvider

AnyConfig = Annotated[
    SmtpConfig
    | MailgunConfig
    | PostmarkConfig
    | ResendConfig
    | SendGridConfig
    | SesConfig
    | AwsSmsConfig
    | TwilioConfig
    | VonageConfig
    | PushConfig
    | WebhookConfig,
    Field(discriminator="kind"),
]


def make(config: AnyConfig, here: Surroundings) -> Provider:  # noqa: C901, PLR0911  one for each kind
    """The provider of a configuration, not started."""
    match config:
        case SmtpConfig():
            return SmtpProvider(config, here)
        case MailgunConfig():
            return MailgunProvider(config, here)
        case PostmarkConfig():
            return PostmarkProvider(config, here)
        case ResendConfig():
            return ResendProvider(config, here)
        case SendGridConfig():
            return SendGridProvider(config, here)
        case SesConfig():
            return SesProvider(config, here)
        case AwsSmsConfig():
            return AwsSmsProvider(config, here)
        case TwilioConfig():
            return TwilioProvider(config, here)
        case VonageConfig():
            return VonageProvider(config, here)
        case PushConfig():
            return PushProvider(config, here)
        case WebhookConfig():
            return WebhookProvider(config, here)
