"""Addresses that others give us to call: only such as are on the public internet, however they are written.

A name is looked at when it is resolved for the very connection, so that one which points elsewhere a moment later gains
nothing. Sources: RFC 6890 and its registries, through the standard library's `ipaddress`.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver


class PrivateAddress(OSError):  # noqa: N818  it names what was found
    """A name leads to this machine or its own network, where no stranger may send us."""


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only."""

    def __init__(self) -> None:
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises PrivateAddress if any of them is not public."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise PrivateAddress(0, "a name leads to an address that is not public")
        return found

    async def close(self) -> None:
        """Close what it resolves with."""
        await self._resolver.close()


def may_be_called(url: str) -> bool:
    """Whether a stranger may have us call this: https on a name, or on a public address; no user, no odd port number."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if (
        parts.scheme != "https"
        or not host
        or "@" in parts.netloc
        or not url.isascii()
        or not url.isprintable()
    ):
        return False
    return is_public(host) if _is_literal(host) else not _is_number(host)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; IPv4 within IPv6 is looked at as such."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if found in _TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(found.packed[-4:])))
    return found.is_global and not found.is_multicast


_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


def _is_number(host: str) -> bool:
    """Whether it is an IPv4 address in one of its odd spellings: `2130706433`, `0x7f.1`."""
    last = host.rstrip(".").rpartition(".")[2]
    return last.isdecimal() or last.startswith("0x")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
