"""Addresses as they are kept: the same for what is the same address, and nothing without the salt."""

import pytest

from services.dispatcher.domain.addresses import address_hash
from shared.events import Channel

SALT = b"salt"


@pytest.mark.parametrize(
    ("channel", "one", "other"),
    [
        (Channel.EMAIL, "Ana@Example.com", " ana@example.COM "),
        (Channel.EMAIL, "josé@example.com", "jose\u0301@example.com"),
        (Channel.SMS, "+15550100001", "1 555 010-0001"),
    ],
)
def test_an_address_is_the_same_however_it_is_written(channel: Channel, one: str, other: str) -> None:
    assert address_hash(SALT, channel, one) == address_hash(SALT, channel, other)


def test_another_address_channel_or_salt_gives_another_hash() -> None:
    hashes = {
        address_hash(SALT, Channel.SMS, "+15550100001"),
        address_hash(SALT, Channel.SMS, "+15550100002"),
        address_hash(SALT, Channel.EMAIL, "+15550100001"),
        address_hash(b"other", Channel.SMS, "+15550100001"),
    }
    assert len(hashes) == 4
    assert {len(each) for each in hashes} == {16}
