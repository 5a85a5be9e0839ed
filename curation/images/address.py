"""Which addresses are asked: public web addresses only, and only where they were found to be.

A name is looked up once, when a connection is made; every address it has must be public, and one of
those is connected to, so that a name cannot mean another machine a moment later.
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.parse

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))


def checked(url: str) -> tuple[urllib.parse.SplitResult, str]:
    """The parts and the host of a web address; Refused when it is none, or carries a password."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused("bad_address") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Refused("not_a_web_address")
    if parts.username is not None or parts.password is not None:
        raise Refused("credentials_in_address")
    return parts, host


def joined(url: str, location: str) -> str:
    """Where a redirect leads; Refused when that is no address."""
    try:
        return urllib.parse.urljoin(url, location)
    except ValueError as error:
        raise Refused("bad_address") from error


class Refused(Exception):
    """An address that is not asked; the text is the reason of its row."""


class _Public(HTTPConnection):
    """A connection to one of the addresses of its host, all of which have been found public.

    The name is looked up once, here: Host header, server name and certificate stay the host's.
    """

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            ips = _public_ips(name, self.port)
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(name, self, error) from error
        try:
            failed = urllib3.exceptions.ConnectTimeoutError(self, "the host has no address")
            for ip in ips:
                self._dns_host = ip
                try:
                    return super()._new_conn()
                except urllib3.exceptions.ConnectTimeoutError as error:  # or refused: its subclass
                    failed = error
        finally:
            self._dns_host = name
        raise failed


class _PublicTLS(_Public, HTTPSConnection):
    """The same under TLS."""


class _PublicHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Public


class _PublicHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PublicTLS


PUBLIC_POOLS = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}


def _public_ips(host: str, port: int) -> list[str]:
    """The addresses of a host; Refused when one of them is not public."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise Refused("bad_address") from error
    ips = list(dict.fromkeys(str(place[0]) for *_, place in found))
    if not all(map(_is_public, ips)):
        raise Refused("private_address")
    return ips


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        embeds = any(ip in network for network in _EMBEDDING)
        inner = ip.ipv4_mapped or ip.sixtofour or (low if embeds else None)
        return (inner or ip).is_global and not (inner or ip).is_multicast
    return ip.is_global and not ip.is_multicast
