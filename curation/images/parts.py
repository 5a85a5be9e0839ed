"""Outcomes and bytes of a fetch, in parts: rows of a table and, beside them on disk, one pack of bytes.

`<pack>.parquet` beside `<pack>.pack` holds the rows until somebody has looked at the pictures and taken the
rows over (`left`), so that a killed run loses only the part it was filling. Writing happens in a thread of its own, a part at a time, while the event loop asks on. The md5 of a picture
is left to who looks at it next: there the bytes are read anyway, on another core.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import pixels, schema
from curation.store import Pack, Packs, write_rows

PART_S = 60.0  # a part is closed after so long, so that a killed run loses little
PART_BYTES = 64 * 2**20  # and with so many bytes
FLUSH_BYTES = 2 * 2**20  # are written together, while the processor still has them at hand
N_WRITING = 3  # writes under way at most: then nothing more is asked
N_UNTAKEN, POLL_S = 2, 0.02  # parts that nobody has taken yet: the same

FETCHED = pa.schema(
    [*schema.FETCH.schema, ("address", pa.string()), ("pack", pa.string()), ("offset", pa.int64())]
)
WANTED = pa.schema([(n, pa.string()) for n in ("url", "address", "local", "host")])


@dataclass
class Answer:
    """What one request gave: an outcome, seconds the server asks for, the body when it is kept."""

    status: str
    error: str | None
    http: int | None = None
    wait_s: float = 0.0
    data: bytes | None = None


def rows_path(folder: Path, part: str) -> Path:
    """Where the rows of a part lie until they are taken over."""
    return Packs(folder).path(part).with_suffix(".parquet")


def left(folder: Path) -> list[Path]:
    """The rows of parts that nobody has taken over; those whose bytes are gone or cut are removed."""
    found = []
    for path in sorted(folder.glob("*/*.parquet")):
        pack = path.with_suffix(".pack")
        try:
            sizes = pq.read_table(path, columns=["n_bytes"])["n_bytes"].to_pylist()
        except pa.ArrowInvalid:  # the disk lost it
            sizes = [-1]
        if sum(n or 0 for n in sizes) == (pack.stat().st_size if pack.exists() else 0):
            found.append(path)
        else:
            path.unlink()
    return found


class Parts:
    """The part being filled, those being written, and those that wait to be taken."""

    def __init__(self, folder: Path, n_rows: int, number: int, wanted: pa.Table) -> None:
        self._folder, self._n_rows, self._number = folder, n_rows, number
        self._named = {n: wanted.column(n) for n in ("url", "host", "address")}
        self._more = {n: wanted.column(n) for n in wanted.column_names if n not in WANTED.names}
        self._thread = concurrent.futures.ThreadPoolExecutor(1)  # writes in the order of the calls
        self._writing: list[asyncio.Future[None]] = []
        self._closing: list[asyncio.Future[pa.Table]] = []
        self._done: queue.SimpleQueue[pa.Table | BaseException | None] = queue.SimpleQueue()
        self._pack: Pack | None = None
        self._start()

    def _start(self) -> None:
        self._rows: list[int] = []
        self._outcomes: list[tuple[str, str | None, int | None, int]] = []
        self._bodies: list[tuple[str | None, int, int] | None] = []  # media type, length, offset
        self._unwritten: list[bytes] = []
        self._n_unwritten = self._offset = 0
        self._begun = time.monotonic()

    def add(self, row: int, answer: Answer, n_asked: int) -> None:
        """The outcome of a row of `wanted`, which was asked so often."""
        self._rows.append(row)
        self._outcomes.append((answer.status, answer.error, answer.http, n_asked))
        data = answer.data
        if data is None:
            self._bodies.append(None)
        else:
            self._bodies.append((pixels.media_type(data[:32]), len(data), self._offset))
            self._unwritten.append(data)
            self._n_unwritten += len(data)
            self._offset += len(data)
            if self._n_unwritten >= FLUSH_BYTES:
                self._flush()
        if len(self._rows) >= self._n_rows or self._offset >= PART_BYTES:
            self.close()

    def is_due(self) -> bool:
        """True when the part has been open for long."""
        return bool(self._rows) and time.monotonic() - self._begun > PART_S

    def _flush(self) -> None:
        if self._unwritten:
            self._pack = self._pack or Pack(self._folder)
            loop = asyncio.get_running_loop()
            self._writing.append(
                loop.run_in_executor(self._thread, self._pack.add_all, self._unwritten)
            )
            self._unwritten, self._n_unwritten = [], 0

    def close(self) -> None:
        """Have the open part finished."""
        if self._rows:
            self._flush()
            loop = asyncio.get_running_loop()
            what = (self._pack, self._number, self._rows, self._outcomes, self._bodies)
            self._closing.append(loop.run_in_executor(self._thread, self._finish, *what))
            self._pack, self._number = None, self._number + 1
        self._start()

    async def room(self) -> None:
        """Wait until few enough writes are under way and parts untaken; a failed write fails here."""
        while True:
            while self._writing and self._writing[0].done():
                self._writing.pop(0).result()
            while self._closing and self._closing[0].done():
                self._done.put(self._closing.pop(0).result())
            if len(self._writing) > N_WRITING:
                await asyncio.wait([self._writing[0]])
            elif self._done.qsize() > N_UNTAKEN:
                await asyncio.sleep(POLL_S)
            else:
                return

    def _finish(
        self, pack: Pack | None, number: int, rows: list[int],
        outcomes: list[tuple[str, str | None, int | None, int]], bodies: list[tuple[str | None, int, int] | None],
    ) -> pa.Table:  # fmt: skip
        """One part: its pack in its place on disk, its rows as a table."""
        name = f"{number:08d}"
        if pack is not None:
            with pack:
                if pack.n_bytes != sum(body[1] for body in bodies if body):
                    raise OSError("a part of the bytes was not written")  # its own error says why
                pack.close(name)
        places = pa.array(rows, pa.int64())
        columns: dict[str, Any] = {
            **{n: column.take(places) for n, column in self._named.items()},
            **dict(zip(("status", "error", "http_status", "n_asked"), zip(*outcomes, strict=True), strict=True)),
            "md5": [None] * len(rows),
            "media_type": [body and body[0] for body in bodies],
            "n_bytes": [body and body[1] for body in bodies],
            "offset": [body and body[2] for body in bodies],
            "pack": [body and name for body in bodies],
        }  # fmt: skip
        part = pa.table({n: columns[n] for n in FETCHED.names}, schema=FETCHED)
        for n, given in self._more.items():
            part = part.append_column(n, given.take(places))
        part = part.append_column("n_asked", pa.array(columns["n_asked"], pa.int32()))
        part = part.append_column("part", pa.array([name] * len(rows), pa.string()))
        write_rows(part, rows_path(self._folder, name), self._folder)
        return part

    async def end(self) -> None:
        """Write what is left, and say that this was all."""
        self.close()
        if self._closing:
            await asyncio.wait(self._closing)
        while self._writing:
            self._writing.pop(0).result()
        for part in self._closing:
            self._done.put(part.result())
        self._done.put(None)

    def fail(self, error: BaseException) -> None:
        """Say that nothing more will come, and why."""
        self._done.put(error)

    def take(self) -> pa.Table | None:
        """The next part, None after the last one; from another thread. Raises what ended the fetch."""
        part = self._done.get()
        if isinstance(part, BaseException):
            raise part
        return part

    def drop(self) -> None:
        """Forget the open part: its addresses are asked again."""
        self._thread.shutdown()
        if self._pack is not None:
            with self._pack:
                pass
