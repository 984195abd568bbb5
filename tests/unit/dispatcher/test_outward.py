"""Which addresses strangers may have us call."""

import pytest

from services.dispatcher.providers.outward import is_public, may_be_called


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104  not bound to
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::1",
    ],
)  # fmt: skip
def test_our_own_network_is_not_public_however_it_is_written(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_the_internet_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://push.example.net/a?b=c", True),
        ("https://push.example.net:8443/a", True),
        ("https://[2606:4700:4700::1111]/a", True),
        ("http://push.example.net/a", False),
        ("https://push.example.net:99999/a", False),
        ("https://a:b@push.example.net/a", False),
        ("https://2130706433/a", False),
        ("https://0x7f.1/a", False),
        ("https://127.1/a", False),
        ("https://push.example.net/ä", False),
        ("https://push.example.net/\r\nX: y", False),
        ("https:///a", False),
        ("", False),
    ],
)
def test_only_plain_https_addresses_are_called(url: str, may: bool) -> None:  # noqa: FBT001  a table
    assert may_be_called(url) is may
