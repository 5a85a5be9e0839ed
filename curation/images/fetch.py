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
import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from curation.images.hosts import MARGIN, Host, Try, Turn
from curation.images.parts import FETCHED, WANTED, Answer, Parts
from curation.images.web import Limits, Web, picture

N_LOOKUPS = 32  # host names looked up at once
__all__ = ["FETCHED", "WANTED", "Fetcher", "Limits"]


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

        Every url has one row; further columns of `wanted` come with it, and `n_asked` (0: its host was
        given up before its turn came) and `part`. Parts are numbered from `n_parts_before`; a part that is
        yielded lies on disk, bytes and rows (`parts.left`).
        """
        parts = Parts(self.folder, self.part_rows, n_parts_before, wanted)
        loop = asyncio.new_event_loop()
        loop.set_default_executor(ThreadPoolExecutor(N_LOOKUPS, thread_name_prefix="lookup"))
        run = loop.create_task(_Run(self, wanted, parts).run())

        def work() -> None:
            try:  # in a thread of its own: a loop that stands still lets its requests time out
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
        rows: dict[str, list[range]] = {}
        for name, span in _spans(wanted.column("host")):
            rows.setdefault(name, []).append(span)
        self.hosts = {n: self._budget(n, itertools.chain(*spans)) for n, spans in rows.items()}
        self.turn = Turn(list(self.hosts.values()))
        self.n_left = wanted.num_rows
        self.idle: deque[asyncio.Future[None]] = deque()
        self.timer: asyncio.TimerHandle | None = None

    def _budget(self, name: str, rows: Iterator[int]) -> Host:
        rate = self.limits.host_rates.get(name, self.limits.max_per_second)
        if not name:  # the local disk
            return Host(name, rows, 4, 0.0)
        interval_s = MARGIN / rate if rate else 0.0
        return Host(name, rows, self.limits.per_host, interval_s, self.limits.silent_s)

    def _host(self, name: str) -> Host:
        """A host by name, also one that only redirects lead to."""
        if name not in self.hosts:
            self.hosts[name] = self._budget(name, iter(()))
        return self.hosts[name]

    async def run(self) -> None:
        """Ask until every address has its outcome; what fails here (a full disk) ends it."""
        try:
            await self._run()
            await self.parts.end()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _run(self) -> None:
        web = Web(self.limits, self.host_map, self._host, self._back)
        async with web, asyncio.TaskGroup() as group:
            for _ in range(min(self.limits.n_connections, self.n_left)):
                group.create_task(self._work(web))

    async def _work(self, web: Web) -> None:
        while self.n_left:
            taken = self.turn.next(time.monotonic())
            if taken is None:
                await self._wait()
                continue
            self._wake()  # there may be work for another
            await self._one(web, *taken)
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

    def _back(self, host: Host) -> None:
        """A request at the host has ended: there may be work for another."""
        self.turn.back(host)
        self._wake()

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

    async def _one(self, web: Web, host: Host, item: Try) -> None:
        if host.given_up:
            self._finish(item, Answer("transient", host.given_up))
            await asyncio.sleep(0)
            return
        url = str(self.columns["address"][item.row].as_py())
        local = self.columns["local"][item.row].as_py()
        item.n_asked += 1
        if local is None:
            answer = await web.ask(url, host)
        else:
            answer = self._from_folder(Path(local), url)
            host.n_flying -= 1
            self.turn.back(host)
        if answer.status == "transient" and item.n_asked < self.limits.tries and not host.given_up:
            wait_s = max(answer.wait_s, self.limits.backoff_s * 2 ** (item.n_asked - 1))
            item.due = time.monotonic() + wait_s
            heapq.heappush(host.again, item)
            self.turn.back(host)
        else:
            self._finish(item, answer)

    def _finish(self, item: Try, answer: Answer) -> None:
        self.n_left -= 1
        self.parts.add(item.row, answer, item.n_asked)

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
            return picture(path.read_bytes(), None)
        except (OSError, ValueError, RuntimeError):  # a loop of links is a RuntimeError
            return Answer("gone", "file_not_found")


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
