"""Ask one address: check it, follow a few redirects, read a bounded body; whatever happens is an answer.

A redirect is charged to the host it leads to: it waits for its turn there as any other address does.
Opt-outs (X-Robots-Tag noai and the like, tdm-reservation) are heard in every answer on the way.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yarl

from catalog import pixels
from curation.images import address
from curation.images.address import Refused
from curation.images.hosts import Host
from curation.images.parts import Answer

USER_AGENT = "treeoflife-curation/1 (dataset builder; respects Retry-After)"
MAX_REDIRECTS = 3
LARGE_BYTES, N_LARGE = 8 * 2**20, 4  # bodies beyond this size are read a few at a time
_RETRIED = {408, 429, *range(500, 600)}
_REDIRECTS = (301, 302, 303, 307, 308)
_OPT_OUT = ("noai", "noimageai", "noindex-ai")


@dataclass(frozen=True)
class Limits:
    """How a fetch behaves; every field has its unit in its name."""

    n_connections: int
    per_host: int
    timeout_s: float
    max_seconds: float
    max_bytes: int
    tries: int
    backoff_s: float
    max_per_second: float = 0.0  # requests at one host; 0 for no limit
    host_rates: Mapping[str, float] = field(default_factory=dict)  # the same by host
    private_hosts: tuple[str, ...] = ()
    silent_s: float = 60.0  # without any answer: then a host is given up


class Web:
    """An open client. `host` gives the budget of a host by name, `back` hears that a request has ended.

    `host_map` sends hosts to loopback ports (tests, sample).
    """

    def __init__(
        self, limits: Limits, host_map: Mapping[str, str], host: Callable[[str], Host],
        back: Callable[[Host], None],
    ) -> None:  # fmt: skip
        self._limits, self._host_map, self._host, self._back = limits, host_map, host, back
        self._private = frozenset(limits.private_hosts)

    async def __aenter__(self) -> Web:
        how: dict[str, Any] = {
            "auto_decompress": False, "trust_env": False, "cookie_jar": aiohttp.DummyCookieJar(),
            "headers": {"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=self._limits.timeout_s),
        }  # fmt: skip
        self._large = asyncio.Semaphore(N_LARGE)
        resolver = address.PublicResolver(self._limits.private_hosts)
        public = aiohttp.TCPConnector(limit=0, resolver=resolver, ttl_dns_cache=300)
        async with AsyncExitStack() as stack:
            self._public = await stack.enter_async_context(
                aiohttp.ClientSession(connector=public, **how)
            )
            self._mapped = await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), **how)
            )
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def ask(self, url: str, host: Host) -> Answer:
        """The outcome of an address, whose host has been given this request; it is taken back here."""
        visit = _Visit(host, self._limits)
        try:
            async with visit.timeout:
                answer = await self._ask(url, visit)
        except Refused as error:
            return Answer("gone", str(error))
        except _NotAsked as error:
            return Answer("transient", str(error))
        except TimeoutError:
            answer = Answer("transient", visit.too_late(), visit.status)
        except aiohttp.InvalidURL:
            return Answer("gone", "bad_address")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            answer = Answer("transient", _network_reason(error), visit.status)
        finally:
            if visit.is_flying:
                visit.host.n_flying -= 1
                self._back(visit.host)
        host, now = visit.host, time.monotonic()
        if answer.http is not None:
            host.answered(answer.http)
        else:
            host.failed(now)
        asked_to_wait = answer.status == "transient" and answer.wait_s > 0
        if asked_to_wait or answer.http in (429, 503) or answer.error in ("timeout", "too_slow"):
            host.slow_down(now, answer.wait_s)
        if host.given_up:
            self._back(host)
        return answer

    async def _ask(self, url: str, visit: _Visit) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._response(url) as response:
                visit.status = response.status
                visit.heard()
                if _opted_out(response.headers):
                    return Answer("gone", "opted_out", response.status)
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    return await self._answer(response, visit)
                url = address.joined(url, response.headers["Location"])
            visit.host.answered(response.status)
            visit.status = None
            await self._move(visit, url)
        raise Refused("too_many_redirects")

    async def _move(self, visit: _Visit, url: str) -> None:
        """Give the turn at one host back, and wait for one where the redirect leads."""
        name = address.checked(url, self._private).host or ""
        origin, visit.host = visit.host, self._host(f"[{name}]" if ":" in name else name)
        origin.n_flying -= 1
        origin.n_away += 1
        visit.is_flying = False
        try:
            with visit.paused():
                if given_up := await visit.host.claim():
                    raise _NotAsked(given_up)
            visit.is_flying = True
        finally:
            origin.n_away -= 1
            self._back(origin)

    def _response(self, url: str) -> Any:
        """The request of an address; Refused when it is not a public web address."""
        parsed = address.checked(url, self._private)
        if self._host_map and (mapped := self._mapped_to(parsed.host or "")):
            target = yarl.URL(f"http://{mapped}").join(parsed.relative())
            return self._mapped.get(
                target, allow_redirects=False, headers={"Host": parsed.authority}
            )
        return self._public.get(parsed, allow_redirects=False)

    async def _answer(self, response: aiohttp.ClientResponse, visit: _Visit) -> Answer:
        status, headers = response.status, response.headers
        if status != 200:
            kind = "transient" if status in _RETRIED else "gone"
            return Answer(kind, f"http_{status}", status, retry_after_s(headers))
        if headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            return Answer("gone", "content_encoding", status)
        length = headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self._limits.max_bytes:
            return Answer("gone", "too_large", status)
        data = await self._body(response, visit)
        return Answer("gone", "too_large", status) if data is None else picture(data, status)

    async def _body(self, response: aiohttp.ClientResponse, visit: _Visit) -> bytes | None:
        """The whole body, or None when it is larger than allowed."""
        pieces: list[bytes] = []
        n_bytes, is_large = 0, False
        try:
            while piece := await response.content.readany():
                visit.heard()
                pieces.append(piece)
                n_bytes += len(piece)
                if n_bytes > self._limits.max_bytes:
                    response.close()
                    return None
                if n_bytes > LARGE_BYTES and not is_large:
                    with visit.paused():
                        await self._large.acquire()
                    is_large = True
        finally:
            if is_large:
                self._large.release()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _mapped_to(self, host: str) -> str | None:
        for pattern, target in self._host_map.items():
            if host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])):
                return target
        return None


class _Visit:
    """One request under way: at which host, until when, and what has been answered.

    One timer for both limits: it is late when nothing has come for `timeout_s`, or after `max_seconds`.
    """

    def __init__(self, host: Host, limits: Limits) -> None:
        self.host, self.is_flying = host, True
        self.status: int | None = None
        self._now, self._patience_s = asyncio.get_running_loop().time, limits.timeout_s
        now = self._now()
        self._until = now + limits.max_seconds
        self.timeout = asyncio.timeout_at(min(self._until, now + limits.timeout_s))

    def heard(self) -> None:
        """Something has come."""
        self.timeout.reschedule(min(self._until, self._now() + self._patience_s))

    def too_late(self) -> str:
        """The reason of a request that was ended by its timer."""
        return "too_slow" if self._now() >= self._until else "timeout"

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent waiting for ourselves is not the server's."""
        started = self._now()
        self.timeout.reschedule(None)
        try:
            yield
        finally:
            self._until += self._now() - started
            self.heard()


class _NotAsked(Exception):
    """The host that a redirect leads to has been given up; the text is the reason."""


def picture(data: bytes, status: int | None) -> Answer:
    """The answer that a whole body is: a picture by its first bytes, or not."""
    if pixels.media_type(data[:32]) is None:
        return Answer("gone", "not_an_image" if data else "empty_body", status)
    return Answer("ok", None, status, 0.0, data)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """The wait a server asks for, in seconds, given as such or as a date; nonsense is no wait."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, until - time.time())


def _opted_out(headers: Any) -> bool:
    if headers.get("tdm-reservation", "").strip() == "1":
        return True
    if "X-Robots-Tag" not in headers:
        return False
    robots = ",".join(headers.getall("X-Robots-Tag")).lower()
    return any(word.strip() in _OPT_OUT for word in robots.replace(":", ",").split(","))


def _network_reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host_not_found"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "truncated_body"
    return "connection_failed"
