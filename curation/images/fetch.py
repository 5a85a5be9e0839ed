"""Get picture bytes: from web servers, politely, or from local folders; every address has an outcome.

In   wanted   url (canonical), address (what to ask for), local (folder key or null)
Out  schema.FETCH: one row per url: `ok`, `gone` (final) or `transient` (asked again next run)

Threads share one budget per host; 429 and 503 are answered with the wait the server asks for, other
server errors with exponential backoff. Bodies are bounded in bytes and time and must begin like a
picture. Loopback and private addresses are refused unless the recipe maps the host to one.
"""

from __future__ import annotations

import concurrent.futures
import email.utils
import ipaddress
import itertools
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import urllib3

from catalog import pixels, schema
from curation.store import Blobs

USER_AGENT = "treeoflife-curation/1 (dataset builder; respects Retry-After)"
_RETRIED = {429, 500, 502, 503, 504}
_OPT_OUT = ("noai", "noimageai", "noindex-ai")
MAX_REDIRECTS = 3


@dataclass(frozen=True)
class Limits:
    """How a fetch behaves; every field has its unit in its name."""

    n_threads: int
    per_host: int
    timeout_s: float
    max_seconds: float
    max_bytes: int
    tries: int
    backoff_s: float


@dataclass(frozen=True)
class Wanted:
    """One picture to get: canonical url, address to ask, and the local folder it may lie in."""

    url: str
    address: str
    local: Path | None = None


@dataclass
class Fetcher:
    """Gets pictures into a blob store; `host_map` sends a host to a loopback port (tests, sample)."""

    blobs: Blobs
    limits: Limits
    host_map: Mapping[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    _budgets: dict[str, threading.Semaphore] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._pool = urllib3.PoolManager(
            num_pools=64, maxsize=self.limits.n_threads, block=False, retries=False,
            headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
            timeout=urllib3.Timeout(connect=self.limits.timeout_s, read=self.limits.timeout_s),
        )  # fmt: skip

    def fetch(self, wanted: Sequence[Wanted]) -> Iterator[dict[str, object]]:
        """Yield one row of schema.FETCH per wanted picture, as they finish, hosts interleaved."""
        with concurrent.futures.ThreadPoolExecutor(self.limits.n_threads) as pool:
            jobs = [pool.submit(self._one, item) for item in _interleaved(wanted)]
            for job in concurrent.futures.as_completed(jobs):
                yield job.result()

    def _one(self, wanted: Wanted) -> dict[str, object]:
        if wanted.local is not None:
            return self._from_folder(wanted)
        host = urllib.parse.urlsplit(wanted.address).hostname or ""
        with self._lock:
            budget = self._budgets.setdefault(host, threading.Semaphore(self.limits.per_host))
        with budget:
            return self._from_web(wanted)

    def _from_folder(self, wanted: Wanted) -> dict[str, object]:
        assert wanted.local is not None
        base = wanted.local.resolve()
        path = (base / wanted.address.removeprefix("file:")).resolve()
        if not path.is_relative_to(base):
            return _row(wanted, "gone", "path_outside_folder")
        try:
            if path.stat().st_size > self.limits.max_bytes:
                return _row(wanted, "gone", "too_large")
            return self._kept(wanted, path.read_bytes(), None)
        except (OSError, ValueError):
            return _row(wanted, "gone", "file_not_found")

    def _from_web(self, wanted: Wanted) -> dict[str, object]:
        row = _row(wanted, "transient", "not_tried")
        for attempt in range(self.limits.tries):
            try:
                row, wait_s = self._ask(wanted)
            except Refused as error:
                return _row(wanted, "gone", str(error))
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                row, wait_s = _row(wanted, "transient", _network_reason(error)), 0.0
            if row["status"] != "transient":
                return row
            if attempt + 1 < self.limits.tries:
                self.sleep(max(wait_s, self.limits.backoff_s * 2**attempt))
        return row

    def _ask(self, wanted: Wanted) -> tuple[dict[str, object], float]:
        address = wanted.address
        for _ in range(MAX_REDIRECTS + 1):
            target = self._checked(address)
            host = urllib.parse.urlsplit(address).netloc
            response = self._pool.request("GET", target, preload_content=False, redirect=False,
                                          headers={**self._pool.headers, "Host": host})  # fmt: skip
            try:
                if response.status in (301, 302, 303, 307, 308) and response.headers.get(
                    "Location"
                ):
                    address = urllib.parse.urljoin(address, response.headers["Location"])
                    continue
                return self._answer(wanted, response)
            finally:
                response.close()  # a body that was not read to its end must not block the connection
                response.release_conn()
        return _row(wanted, "gone", "too_many_redirects"), 0.0

    def _answer(
        self, wanted: Wanted, response: urllib3.BaseHTTPResponse
    ) -> tuple[dict[str, object], float]:
        status = response.status
        if status != 200:
            kind = "transient" if status in _RETRIED else "gone"
            return _row(wanted, kind, f"http_{status}", status), _retry_after_s(response.headers)
        robots = response.headers.get("X-Robots-Tag", "").lower()
        if any(word.strip() in _OPT_OUT for word in robots.replace(":", ",").split(",")):
            return _row(wanted, "gone", "opted_out", status), 0.0
        data, error = self._body(response)
        if error:
            kind = "transient" if error in ("truncated_body", "too_slow") else "gone"
            return _row(wanted, kind, error, status), 0.0
        return self._kept(wanted, data, status), 0.0

    def _body(self, response: urllib3.BaseHTTPResponse) -> tuple[bytes, str | None]:
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("", "identity"):
            return b"", "content_encoding"
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) > self.limits.max_bytes:
            return b"", "too_large"
        parts, n_bytes, until = [], 0, time.monotonic() + self.limits.max_seconds
        for chunk in response.stream(65536, decode_content=False):
            parts.append(chunk)
            n_bytes += len(chunk)
            if n_bytes > self.limits.max_bytes:
                return b"", "too_large"
            if time.monotonic() > until:
                return b"", "too_slow"
        if length.isdigit() and n_bytes < int(length):
            return b"", "truncated_body"
        return b"".join(parts), None

    def _kept(self, wanted: Wanted, data: bytes, status: int | None) -> dict[str, object]:
        kind = pixels.media_type(data[:32])
        if kind is None:
            return _row(wanted, "gone", "empty_body" if not data else "not_an_image", status)
        md5 = self.blobs.put(data)
        return {**_row(wanted, "ok", None, status), "md5": md5, "media_type": kind,
                "n_bytes": len(data)}  # fmt: skip

    def _checked(self, address: str) -> str:
        """The address to connect to, refused when it is not a public web address."""
        try:
            parts = urllib.parse.urlsplit(address)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Refused("bad_address") from error
        if parts.scheme not in ("http", "https") or not host:
            raise Refused("not_a_web_address")
        if parts.username or parts.password:
            raise Refused("credentials_in_address")
        if mapped := self._mapped(host):
            return parts._replace(scheme="http", netloc=mapped).geturl()
        for *_, place in socket.getaddrinfo(host, port or 80, type=socket.SOCK_STREAM):
            ip = ipaddress.ip_address(str(place[0]).partition("%")[0])
            ip = getattr(ip, "ipv4_mapped", None) or ip
            if not ip.is_global or ip.is_multicast:
                raise Refused("private_address")
        return address

    def _mapped(self, host: str) -> str | None:
        for pattern, target in self.host_map.items():
            if host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])):
                return target
        return None


class Refused(Exception):
    """An address that is not asked; the text is the reason of its row."""


def table(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Rows as schema.FETCH, sorted by url."""
    ordered = sorted(rows, key=lambda row: str(row["url"]))
    return pa.Table.from_pylist([dict(row) for row in ordered], schema=schema.FETCH.schema)


def _row(
    wanted: Wanted, status: str, error: str | None, http: int | None = None
) -> dict[str, object]:
    return {"url": wanted.url, "status": status, "error": error, "http_status": http, "md5": None,
            "media_type": None, "n_bytes": None}  # fmt: skip


def _interleaved(wanted: Sequence[Wanted]) -> Iterator[Wanted]:
    """One picture of each host in turn, whatever the input order."""
    by_host: dict[str, list[Wanted]] = {}
    for item in wanted:
        host = "" if item.local else item.address.split("/", 3)[2:3]
        by_host.setdefault(str(host), []).append(item)
    queues = [iter(items) for items in by_host.values()]
    while queues:
        alive = []
        for queue in queues:
            for item in itertools.islice(queue, 1):
                yield item
                alive.append(queue)
        queues = alive


def _retry_after_s(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    if text.isdigit():
        return min(float(text), 120.0)
    when = email.utils.parsedate_to_datetime(text).timestamp() if text.strip() else 0.0
    return min(max(0.0, when - time.time()), 120.0)


def _network_reason(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "timeout"
    if isinstance(error, (urllib3.exceptions.NameResolutionError, socket.gaierror)):
        return "host_not_found"
    if isinstance(error, (urllib3.exceptions.IncompleteRead, urllib3.exceptions.ProtocolError)):
        return "truncated_body"
    return "connection_failed"
