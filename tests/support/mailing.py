"""E-mail providers under test: a parcel, a provider on a fake, and call-backs made by hand."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter

from services.dispatcher.providers.base import (
    Answer,
    CallBack,
    EmailContent,
    Finds,
    Parcel,
    Provider,
    Sought,
)
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.registry import AnyConfig, make
from shared.events import Channel
from shared.links import Clicked, Links
from tests.fakes.callbacks import CallBack as Told
from tests.fakes.core import HttpFake

HERE = Surroundings("https://go.example.com", "offers@shop.example.com")
SAMPLES = Path(__file__).parents[3] / "shared" / "contracts" / "samples"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LONG_LINK = Links("https://offers.example.com", "secret").url(
    Clicked("unsubscribe", "skincare", "customer-0815", Channel.EMAIL, str(uuid4()))
)
_READER: TypeAdapter[AnyConfig] = TypeAdapter(AnyConfig)


def configured(**fields: object) -> Provider:
    """A provider as an entry of providers.yaml says."""
    return make(_READER.validate_python({"name": "mail-1", **fields}), HERE)


def parcel(
    message_id: UUID | None = None, *, sender: str = "", subject: str = "For your skin, crème"
) -> Parcel:
    """An e-mail whose unsubscribe address is long."""
    content = EmailContent(
        sender_name='Dewy & "Co", Åre',
        subject=subject,
        text="Hällo\n",
        html="<p>Hällo</p>",
        unsubscribe_url=LONG_LINK,
        written_at=NOW,
    )
    return Parcel(message_id or uuid4(), "someone@example.com", content, 3600, sender)


async def answer(provider: Provider, handed: Parcel) -> Answer:
    """Start, hand over, close."""
    await provider.start()
    try:
        return await provider.send(handed)
    finally:
        await provider.close()


async def found(provider: Provider, message_id: UUID) -> Answer | None:
    """Start, ask what became of a hand-over at `NOW`, close."""
    assert isinstance(provider, Finds)
    await provider.start()
    try:
        return await provider.find(Sought(message_id, NOW))
    finally:
        await provider.close()


@asynccontextmanager
async def started(fake: HttpFake) -> AsyncIterator[HttpFake]:
    """A fake that listens."""
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()


def call_back(body: bytes, headers: Mapping[str, str], received_at: datetime = NOW) -> CallBack:
    """A request as the endpoint hands it on."""
    lower = {name.lower(): value for name, value in headers.items()}
    return CallBack("https://go.example.com/callbacks/mail-1", lower, body, received_at)


def as_told(told: Told, received_at: datetime = NOW) -> CallBack:
    """A fake's call-back as the endpoint hands it on."""
    return call_back(told.body, told.headers, received_at)


def altered(body: bytes) -> bytes:
    """The same with one byte in the middle changed."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def samples(provider: str) -> list[Path]:
    """Published call-backs of a provider, as far as the folder beside the repository is here."""
    return sorted(path for path in (SAMPLES / provider).glob("*.json") if "vector" not in path.name)


needs_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason="../shared with published call-backs is not here"
)
