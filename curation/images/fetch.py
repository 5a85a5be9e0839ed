"""Get picture bytes: from web servers, politely, or from local folders; every address has an outcome.

In   wanted   url (canonical), address (what to ask for), local (folder, or null), host
Out  schema.FETCH and where the bytes lie: one row per url, `ok`, `gone` (final) or `transient`
     (asked again next run); the bytes of a part end to end in one pack

One event loop asks many hosts at once, each as much as it bears (`hosts`), whatever the order of the
input. Bodies are bounded in bytes and time and must begin like a picture. Loopback and private
addresses are refused unless the recipe names the host; the address that was checked is the one
connected to, whatever the name means a moment later.
"""

from __future__ import annotations

import asyncio
import email.utils
import heapq
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import yarl

from catalog import pixels
from curation.images import address
from curation.images.address import Refused
from curation.images.hosts import MARGIN, Host, Try, Turn
from curation.images.parts import FETCHED, WANTED, Answer, Parts

USER_AGENT = "treeoflife-curation/1 (dataset builder; respects Retry-After)"
_RETRIED = {408, 429, *range(500, 600)}
__all__ = ["FETCHED", "WANTED", "Fetcher", "Limits"]
_OPT_OUT = ("noai", "noimageai", "noindex-ai")
MAX_REDIRECTS = 3
MAX_WAIT_S = 120.0  # the longest wait a server may ask for
LARGE_BYTES, N_LARGE = 8 * 2**20, 4  # bodies beyond this size are read a few at a time


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


class Fetcher:
    """Gets pictures into packs of `folder`; `host_map` sends a host to a loopback port (tests, sample).

    `part_rows` outcomes make a part.
    """

    def __init__(
        self, folder: Path, limits: Limits, host_map: Mapping[str, str] | None = None, *, part_rows: int = 512
    ) -> None:  # fmt: skip
        self.folder, self.limits, self.part_rows = folder, limits, part_rows
        self.host_map = host_map or {}

    def fetch(self, wanted: pa.Table, n_parts_before: int = 0) -> Iterator[pa.Table]:
        """Yield rows of FETCHED in parts, as they finish; `wanted` (WANTED) is sorted by host.

        Every url has one row; further columns of `wanted` come with it. Parts are numbered from
        `n_parts_before`; a part that is yielded has its pack on disk.
        """
        parts = Parts(self.folder, self.part_rows, n_parts_before, wanted)
        loop = asyncio.new_event_loop()
        run = loop.create_task(_Run(self, wanted, parts).run())

        def work() -> (
            None
        ):  # a thread of its own: a loop that stands still lets its requests time out
            try:
                loop.run_until_complete(run)
            except BaseException as error:
                parts.fail(error)
            finally:
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()

        thread = threading.Thread(target=work, name="fetch")
        thread.start()
        try:
            while (part := parts.take()) is not None:
                yield part
        finally:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(run.cancel)
            thread.join()
            parts.drop()


class _Run:
    """One fetch under way: as many workers as connections, each asking whatever host is next."""

    def __init__(self, fetcher: Fetcher, wanted: pa.Table, parts: Parts) -> None:
        self.limits, self.host_map, self.parts = fetcher.limits, fetcher.host_map, parts
        self.columns = {name: wanted.column(name) for name in WANTED.names}
        self.turn = Turn([self._host(name, rows) for name, rows in _spans(wanted.column("host"))])
        self.n_left = wanted.num_rows
        self.idle: deque[asyncio.Future[None]] = deque()
        self.timer: asyncio.TimerHandle | None = None
        self.deadlines: dict[asyncio.Task[Any], float] = {}
        self.slow: set[asyncio.Task[Any]] = set()

    def _host(self, name: str, rows: range) -> Host:
        rate = self.limits.host_rates.get(name, self.limits.max_per_second)
        if not name:  # the local disk
            return Host(name, iter(rows), 4, 0.0)
        return Host(name, iter(rows), self.limits.per_host, MARGIN / rate if rate else 0.0)

    async def run(self) -> None:
        """Ask until every address has its outcome; what fails here (a full disk) ends it."""
        try:
            await self._run()
            await self.parts.end()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _run(self) -> None:
        how: dict[str, Any] = {
            "auto_decompress": False, "trust_env": False, "cookie_jar": aiohttp.DummyCookieJar(),
            "headers": {"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=self.limits.timeout_s, sock_read=self.limits.timeout_s),
        }  # fmt: skip
        self.large = asyncio.Semaphore(N_LARGE)
        resolver = address.PublicResolver(self.limits.private_hosts)
        public = aiohttp.TCPConnector(limit=0, resolver=resolver, ttl_dns_cache=300)
        async with (
            aiohttp.ClientSession(connector=public, **how) as self.public,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), **how) as self.mapped,
            asyncio.TaskGroup() as group,
        ):
            watch = group.create_task(self._watch())
            n_workers = min(self.limits.n_connections, self.n_left)
            for worker in [group.create_task(self._work()) for _ in range(n_workers)]:
                await worker
            watch.cancel()

    async def _work(self) -> None:
        while self.n_left:
            taken = self.turn.next(time.monotonic())
            if taken is None:
                await self._wait()
                continue
            self._wake()  # there may be work for another
            await self._one(*taken)
            if self.parts.is_due():
                self.parts.close()
            await self.parts.room()
        while self.idle:
            self._wake()

    async def _wait(self) -> None:
        """Until a host has room, or the time it asked for is over."""
        loop = asyncio.get_running_loop()
        wait_s = self.turn.wait_s(time.monotonic())
        if wait_s is not None and (self.timer is None or self.timer.when() > loop.time() + wait_s):
            if self.timer is not None:
                self.timer.cancel()
            self.timer = loop.call_later(wait_s, self._tick)
        woken = loop.create_future()
        self.idle.append(woken)
        await woken

    def _tick(self) -> None:
        self.timer = None
        self._wake()

    def _wake(self) -> None:
        """One idle worker; it wakes the next if it finds something to do."""
        while self.idle:
            woken = self.idle.popleft()
            if not woken.done():
                woken.set_result(None)
                return

    async def _watch(self) -> None:
        """End requests that take longer than a picture may."""
        while True:
            await asyncio.sleep(min(0.25, self.limits.max_seconds / 4))
            now = time.monotonic()
            for task in [
                t for t, until in self.deadlines.items() if until < now and t not in self.slow
            ]:
                self.slow.add(task)
                task.cancel()

    async def _one(self, host: Host, item: Try) -> None:
        if host.given_up:
            self._finish(item, Answer("transient", host.given_up))
            await asyncio.sleep(0)
            return
        url = str(self.columns["address"][item.row].as_py())
        local = self.columns["local"][item.row].as_py()
        if local is not None:
            answer = self._from_folder(Path(local), url)
        else:
            answer = await self._from_web(url, host)
        item.n_asked += 1
        host.n_flying -= 1
        if answer.status == "transient" and item.n_asked < self.limits.tries:
            wait_s = max(answer.wait_s, self.limits.backoff_s * 2 ** (item.n_asked - 1))
            item.due = time.monotonic() + wait_s
            heapq.heappush(host.again, item)
        else:
            self._finish(item, answer)
        self.turn.back(host)

    def _finish(self, item: Try, answer: Answer) -> None:
        self.n_left -= 1
        self.parts.add(item.row, answer)

    def _from_folder(self, folder: Path, name: str) -> Answer:
        try:
            base = folder.resolve()
            path = (base / name.removeprefix("file:")).resolve()
            if not path.is_relative_to(base):
                return Answer("gone", "path_outside_folder")
            if not path.is_file():
                return Answer("gone", "file_not_found")
            if path.stat().st_size > self.limits.max_bytes:
                return Answer("gone", "too_large")
            return _picture(path.read_bytes(), None)
        except (OSError, ValueError, RuntimeError):  # a loop of links is a RuntimeError
            return Answer("gone", "file_not_found")

    async def _from_web(self, url: str, host: Host) -> Answer:
        seen: list[int] = []
        me = asyncio.current_task()
        assert me is not None
        self.deadlines[me] = time.monotonic() + self.limits.max_seconds
        try:
            answer = await self._ask(url, seen)
        except asyncio.CancelledError:
            if me not in self.slow:
                raise
            self.slow.discard(me)
            me.uncancel()
            answer = Answer("transient", "too_slow", _last(seen))
        except Refused as error:
            return Answer("gone", str(error))
        except TimeoutError:
            answer = Answer("transient", "timeout", _last(seen))
        except aiohttp.InvalidURL:
            return Answer("gone", "bad_address")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            answer = Answer("transient", _network_reason(error), _last(seen))
        finally:
            del self.deadlines[me]
        if answer.http is not None:
            host.answered(answer.http)
        else:
            host.failed()
        if answer.http in (429, 503) or answer.error in ("timeout", "too_slow"):
            host.slow_down(time.monotonic(), answer.wait_s)
        return answer

    async def _ask(self, url: str, seen: list[int]) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._response(url) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    url = address.joined(url, response.headers["Location"])
                    continue
                seen.append(response.status)
                return await self._answer(response)
        return Answer("gone", "too_many_redirects")

    def _response(self, url: str) -> Any:
        """The request of an address; Refused when it is not a public web address."""
        parsed = address.checked(url, self.limits.private_hosts)
        if mapped := self._mapped_to(parsed.host or ""):
            target = yarl.URL(f"http://{mapped}").join(parsed.relative())
            return self.mapped.get(
                target, allow_redirects=False, headers={"Host": parsed.authority}
            )
        return self.public.get(parsed, allow_redirects=False)

    async def _answer(self, response: aiohttp.ClientResponse) -> Answer:
        status, headers = response.status, response.headers
        if status != 200:
            kind = "transient" if status in _RETRIED else "gone"
            return Answer(kind, f"http_{status}", status, _retry_after_s(headers))
        robots = ",".join(headers.getall("X-Robots-Tag", ())).lower()
        if headers.get("tdm-reservation", "").strip() == "1" or any(
            word.strip() in _OPT_OUT for word in robots.replace(":", ",").split(",")
        ):
            return Answer("gone", "opted_out", status)
        if headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            return Answer("gone", "content_encoding", status)
        length = headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self.limits.max_bytes:
            return Answer("gone", "too_large", status)
        data = await self._body(response)
        if data is None:
            return Answer("gone", "too_large", status)
        return _picture(data, status)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        """The whole body, or None when it is larger than allowed."""
        pieces: list[bytes] = []
        n_bytes, is_large = 0, False
        try:
            while piece := await response.content.readany():
                pieces.append(piece)
                n_bytes += len(piece)
                if n_bytes > self.limits.max_bytes:
                    response.close()
                    return None
                if n_bytes > LARGE_BYTES and not is_large:
                    await self.large.acquire()
                    is_large = True
        finally:
            if is_large:
                self.large.release()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _mapped_to(self, host: str) -> str | None:
        for pattern, target in self.host_map.items():
            if host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])):
                return target
        return None


def _picture(data: bytes, status: int | None) -> Answer:
    if pixels.media_type(data[:32]) is None:
        return Answer("gone", "not_an_image" if data else "empty_body", status)
    return Answer("ok", None, status, 0.0, data)


def _last(seen: list[int]) -> int | None:
    return seen[-1] if seen else None


def _spans(hosts: pa.ChunkedArray) -> Iterator[tuple[str, range]]:
    """Runs of equal hosts: name and rows. Chunk by chunk: whole columns of text end at 2 GiB."""
    name, start, row = "", 0, 0
    for chunk in hosts.chunks:
        for run in chunk.value_counts():
            found, n_rows = run["values"].as_py() or "", run["counts"].as_py()
            if found != name and row > start:
                yield name, range(start, row)
                start = row
            name, row = found, row + n_rows
    if row > start:
        yield name, range(start, row)


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
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host_not_found"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "truncated_body"
    return "connection_failed"
