"""Get picture bytes: from web servers, politely, or from local folders; every address has an outcome.

In   wanted   url (canonical), address (what to ask for), local (folder key or null)
Out  schema.FETCH: one row per url: `ok`, `gone` (final) or `transient` (asked again next run)

Threads share one budget per host; 429 and 503 are answered with the wait the server asks for, other
server errors with exponential backoff. Bodies are bounded in bytes and time and must begin like a
picture. Loopback and private addresses are refused unless the recipe maps the host to one; the
address that was checked is the one connected to, whatever the name means a moment later.
"""

from __future__ import annotations

import concurrent.futures
import email.utils
import itertools
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import urllib3

from catalog import pixels, schema
from curation.images import address
from curation.images.address import Refused
from curation.store import Blobs

USER_AGENT = "treeoflife-curation/1 (dataset builder; respects Retry-After)"
_RETRIED = {408, 429, *range(500, 600)}
_OPT_OUT = ("noai", "noimageai", "noindex-ai")
MAX_REDIRECTS = 3
MAX_WAIT_S = 120.0  # the longest wait a server may ask for


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


Answer = tuple[dict[str, object], float, bytes | None]
"""(row, seconds to wait before asking again, the body when there is one to keep)."""


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
        self._mapped, self._public = self._pool(), self._pool()
        self._public.pool_classes_by_scheme = address.PUBLIC_POOLS

    def _pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(
            num_pools=64, maxsize=self.limits.n_threads, block=False, retries=False,
            headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
            timeout=urllib3.Timeout(connect=self.limits.timeout_s, read=self.limits.timeout_s),
        )  # fmt: skip

    def fetch(self, wanted: Sequence[Wanted]) -> Iterator[dict[str, object]]:
        """Yield one row of schema.FETCH per wanted picture, as they finish, hosts interleaved."""
        pool = concurrent.futures.ThreadPoolExecutor(self.limits.n_threads)
        try:
            jobs = [pool.submit(self._one, item) for item in _interleaved(wanted)]
            for job in concurrent.futures.as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)  # a run that is stopped asks for no more

    def _one(self, wanted: Wanted) -> dict[str, object]:
        if wanted.local is not None:
            return self._from_folder(wanted)
        try:
            host = urllib.parse.urlsplit(wanted.address).hostname or ""
        except ValueError:
            return _row(wanted, "gone", "bad_address")
        with self._lock:
            budget = self._budgets.setdefault(host, threading.Semaphore(self.limits.per_host))
        with budget:
            return self._from_web(wanted)

    def _from_folder(self, wanted: Wanted) -> dict[str, object]:
        assert wanted.local is not None
        try:
            base = wanted.local.resolve()
            path = (base / wanted.address.removeprefix("file:")).resolve()
            if not path.is_relative_to(base):
                return _row(wanted, "gone", "path_outside_folder")
            if not path.is_file():
                return _row(wanted, "gone", "file_not_found")
            if path.stat().st_size > self.limits.max_bytes:
                return _row(wanted, "gone", "too_large")
            data = path.read_bytes()
        except (OSError, ValueError, RuntimeError):  # a loop of links is a RuntimeError
            return _row(wanted, "gone", "file_not_found")
        return self._kept(wanted, data, None)

    def _from_web(self, wanted: Wanted) -> dict[str, object]:
        row = _row(wanted, "transient", "not_tried")
        for attempt in range(self.limits.tries):
            try:
                row, wait_s, data = self._ask(wanted)
            except Refused as error:
                return _row(wanted, "gone", str(error))
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                row, wait_s, data = _row(wanted, "transient", _network_reason(error)), 0.0, None
            if data is not None:
                return self._kept(wanted, data, 200)  # a full disk is ours to report, not the row's
            if row["status"] != "transient":
                return row
            if attempt + 1 < self.limits.tries:
                self.sleep(max(wait_s, self.limits.backoff_s * 2**attempt))
        return row

    def _ask(self, wanted: Wanted) -> Answer:
        url = wanted.address
        for _ in range(MAX_REDIRECTS + 1):
            response = self._response(url)
            try:
                if response.status in (301, 302, 303, 307, 308) and response.headers.get(
                    "Location"
                ):
                    url = address.joined(url, response.headers["Location"])
                    continue
                return self._answer(wanted, response)
            finally:
                response.close()  # a body that was not read to its end must not block the connection
                response.release_conn()
        return _row(wanted, "gone", "too_many_redirects"), 0.0, None

    def _response(self, url: str) -> urllib3.BaseHTTPResponse:
        """What the server says; Refused when the address is not a public web address."""
        parts, host = address.checked(url)
        if mapped := self._mapped_to(host):
            target = parts._replace(scheme="http", netloc=mapped).geturl()
            return self._mapped.request(
                "GET", target, preload_content=False, redirect=False,
                headers={**self._mapped.headers, "Host": parts.netloc})  # fmt: skip
        try:
            return self._public.request("GET", url, preload_content=False, redirect=False)
        except urllib3.exceptions.LocationParseError as error:
            raise Refused("bad_address") from error

    def _answer(self, wanted: Wanted, response: urllib3.BaseHTTPResponse) -> Answer:
        status = response.status
        if status != 200:
            kind = "transient" if status in _RETRIED else "gone"
            wait_s = _retry_after_s(response.headers)
            return _row(wanted, kind, f"http_{status}", status), wait_s, None
        robots = response.headers.get("X-Robots-Tag", "").lower()
        if any(word.strip() in _OPT_OUT for word in robots.replace(":", ",").split(",")):
            return _row(wanted, "gone", "opted_out", status), 0.0, None
        data, error = self._body(response)
        if error:
            kind = "transient" if error in ("truncated_body", "too_slow") else "gone"
            return _row(wanted, kind, error, status), 0.0, None
        return _row(wanted, "ok", None, status), 0.0, data

    def _body(self, response: urllib3.BaseHTTPResponse) -> tuple[bytes, str | None]:
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("", "identity"):
            return b"", "content_encoding"
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self.limits.max_bytes:
            return b"", "too_large"
        parts, n_bytes, until = [], 0, time.monotonic() + self.limits.max_seconds
        try:
            while chunk := response.read1(65536, decode_content=False):  # what has come, not all
                parts.append(chunk)
                n_bytes += len(chunk)
                if n_bytes > self.limits.max_bytes:
                    return b"", "too_large"
                if time.monotonic() > until:
                    return b"", "too_slow"
        except urllib3.exceptions.ProtocolError:
            return b"", "truncated_body"
        if length.isdecimal() and n_bytes < int(length):
            return b"", "truncated_body"
        return b"".join(parts), None

    def _kept(self, wanted: Wanted, data: bytes, status: int | None) -> dict[str, object]:
        kind = pixels.media_type(data[:32])
        if kind is None:
            return _row(wanted, "gone", "empty_body" if not data else "not_an_image", status)
        md5 = self.blobs.put(data)
        return {**_row(wanted, "ok", None, status), "md5": md5, "media_type": kind,
                "n_bytes": len(data)}  # fmt: skip

    def _mapped_to(self, host: str) -> str | None:
        for pattern, target in self.host_map.items():
            if host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])):
                return target
        return None


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
    """The wait a server asks for, as seconds or as a date; nonsense is no wait."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return min(float(text), MAX_WAIT_S)
    try:
        until = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, until - time.time()), MAX_WAIT_S)


def _network_reason(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "host_not_found"
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # also a timeout, to urllib3
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return "timeout"
    return "connection_failed"
