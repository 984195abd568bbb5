"""Every provider behind HTTP as a process; the first line on stdout says port and credentials.

    python -m tests.fakes.http --kind sendgrid --port 0 --folder DIR [--fault 429=0.05] [--seed 7]
        [--callback-url URL] [--public-url URL] [--fate bounced=0.02] [--duplicate 0.1] [--disorder 0.1]
        [--delay 0.5] [--posting 8] [--tries 60] [--no-check]

Each kind's module says which faults and fates it knows. Holding a request against its document costs about 1 ms
for JSON and 4 ms for a form; where only speed counts, --no-check.
"""

import argparse
import asyncio
from importlib import import_module

from tests.fakes import controls
from tests.fakes.core import HttpFake
from tests.fakes.fates import FATES, Fates
from tests.fakes.faults import Faults, parse
from tests.fakes.serving import parser, serve

KINDS = {
    "eum": ("eum", "FakeEum"),
    "mailgun": ("mailgun", "FakeMailgun"),
    "postmark": ("postmark", "FakePostmark"),
    "push": ("push", "FakePush"),
    "resend": ("resend", "FakeResend"),
    "sendgrid": ("sendgrid", "FakeSendGrid"),
    "ses": ("ses", "FakeSes"),
    "sns": ("sns", "FakeSns"),
    "twilio": ("twilio", "FakeTwilio"),
    "vonage": ("vonage", "FakeVonage"),
    "webhook": ("webhook", "FakeWebhook"),
}
"""Module and class of each, imported only when asked for: some need more packages than others."""


def class_of(kind: str) -> type[HttpFake]:
    """The fake of a kind."""
    module, name = KINDS[kind]
    found: type[HttpFake] = getattr(import_module(f"tests.fakes.{module}"), name)
    return found


def build(arguments: argparse.Namespace) -> HttpFake:
    """A fake as the options say."""
    made = class_of(arguments.kind)
    rates = parse(arguments.fate, (*FATES, *made.codes))
    fates = Fates(
        rates,
        duplicate=arguments.duplicate,
        disorder=arguments.disorder,
        delay=arguments.delay,
        seed=arguments.seed,
    )
    fake = made(
        arguments.folder,
        Faults(rates=parse(arguments.fault, made.faults_known()), seed=arguments.seed),
        callback_url=arguments.callback_url,
        public_url=arguments.public_url,
        fates=fates,
        check=arguments.check,
        posting=arguments.posting,
        tries=arguments.tries,
    )
    fake.more_routes += controls.routes(fake)
    return fake


def _options() -> argparse.ArgumentParser:
    options = parser(__doc__ or "")
    options.add_argument("--kind", choices=KINDS, required=True)
    options.add_argument("--callback-url", default="")
    options.add_argument("--public-url", default="")
    options.add_argument("--fate", action="append", default=[], metavar="NAME=RATE")
    options.add_argument("--duplicate", type=float, default=0.0)
    options.add_argument("--disorder", type=float, default=0.0)
    options.add_argument("--delay", type=float, default=0.0)
    options.add_argument("--posting", type=int, default=8)
    options.add_argument("--tries", type=int, default=60)
    options.add_argument("--check", action=argparse.BooleanOptionalAction, default=True)
    return options


async def _run(arguments: argparse.Namespace) -> None:
    fake = build(arguments)
    checked = "yes" if fake.checked else "no"
    await serve(fake, arguments.port, kind=fake.kind, checked=checked, **fake.credentials)


if __name__ == "__main__":
    asyncio.run(_run(_options().parse_args()))
