"""Which addresses are asked: public web addresses only, and only where they were found to be.

A name is looked up once, when a connection is made; every address it has must be public, and one of
those is connected to, so that a name cannot mean another machine a moment later.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
import urllib.parse
from collections.abc import Collection

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_REFUSED = tuple(map(ipaddress.ip_network, (
    "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "fec0::/10", "::ffff:0:0:0/96",
)))  # fmt: skip
"""Metadata servers of clouds, and networks of special use that Python's `is_global` lets pass."""
_ISATAP = 0x5EFE  # the 16 bits before the IPv4 address that such an address wraps


class Refused(Exception):
    """An address that is not asked; the text is the reason of its row."""


def checked(url: str, private: Collection[str] = ()) -> yarl.URL:
    """The address as the client reads it, so that no other reading of it can be asked; Refused if it may not.

    `private` are hosts, or `host:port`, that may be in a private network. A name is judged where it is
    looked up.
    """
    try:
        parsed = yarl.URL(url)
        host, _ = parsed.host, parsed.port
    except ValueError as error:
        raise Refused("bad_address") from error
    if parsed.scheme not in ("http", "https") or not host:
        raise Refused("not_a_web_address")
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise Refused("credentials_in_address")
    if host not in private and parsed.authority not in private:
        literal = _literal(host)
        if literal is not None and not is_public(literal):
            raise Refused("private_address")
    return parsed


def joined(url: str, location: str) -> str:
    """Where a redirect leads; Refused when that is no address."""
    try:
        return urllib.parse.urljoin(url, location)
    except ValueError as error:
        raise Refused("bad_address") from error


@functools.lru_cache(maxsize=10_000)
def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host spells in numbers, also in the old ways (127.1, 0x7f.1, 2130706433)."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


class PublicResolver(AbstractResolver):
    """Looks names up for aiohttp, which connects to one of the addresses returned and no other.

    Refused when one of the addresses is not public, unless the name is among `private`.
    """

    def __init__(self, private: Collection[str] = ()) -> None:
        self._private = set(private)
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address of the host, all of them public."""
        try:
            found = await self._inner.resolve(host, port, family)
        except UnicodeError as error:
            raise Refused("bad_address") from error
        if not {host, f"{host}:{port}"} & self._private and not all(
            is_public(ipaddress.ip_address(place["host"].partition("%")[0])) for place in found
        ):
            raise Refused("private_address")
        return found

    async def close(self) -> None:
        """Nothing is held."""


def is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """True for an address of the public internet, also where IPv6 only wraps one of IPv4."""
    if isinstance(ip, ipaddress.IPv6Address):
        low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        embeds = any(ip in network for network in _EMBEDDING)
        embeds = embeds or (int(ip) >> 32) & 0xFDFFFFFF == _ISATAP
        inner = ip.ipv4_mapped or ip.sixtofour or (low if embeds else None)
        if inner is not None and not is_public(inner):
            return False
    listed = any(ip.version == network.version and ip in network for network in _REFUSED)
    return (
        not listed
        and (ip.is_global or bool(getattr(ip, "ipv4_mapped", None)))
        and not ip.is_multicast
    )
