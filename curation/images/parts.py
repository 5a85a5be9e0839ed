"""Outcomes and bytes of a fetch, in parts: rows of a table, and one pack of bytes on disk beside them.

Digests and writing happen in a thread of their own, a part at a time, while the event loop asks on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import pixels, schema
from curation.store import Pack

PART_S = 60.0  # a part is closed after so long, so that a killed run loses little
PART_BYTES = 64 * 2**20  # and with so many bytes: the open part lies in memory
N_CLOSING = 2  # parts being written at most; then nothing more is asked

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


class Parts:
    """The part being filled, those being written, and those that wait to be taken."""

    def __init__(self, folder: Path, n_rows: int, number: int, wanted: pa.Table) -> None:
        self._folder, self._n_rows, self._number = folder, n_rows, number
        self._named = {n: wanted.column(n) for n in ("url", "host", "address")}
        self._more = {n: wanted.column(n) for n in wanted.column_names if n not in WANTED.names}
        self._open: list[tuple[int, Answer]] = []
        self._n_bytes, self._begun = 0, time.monotonic()
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._closing: list[asyncio.Future[pa.Table]] = []

    def add(self, row: int, answer: Answer) -> None:
        """The outcome of a row of `wanted`."""
        self._open.append((row, answer))
        self._n_bytes += len(answer.data or b"")
        if len(self._open) >= self._n_rows or self._n_bytes >= PART_BYTES:
            self.close()

    def is_due(self) -> bool:
        """True when the part has been open for long."""
        return bool(self._open) and time.monotonic() - self._begun > PART_S

    def close(self) -> None:
        """Have the open part written."""
        if self._open:
            loop = asyncio.get_running_loop()
            self._closing.append(
                loop.run_in_executor(self._thread, self._write, self._open, self._number)
            )
            self._open, self._n_bytes, self._number = [], 0, self._number + 1
        self._begun = time.monotonic()

    async def room(self) -> None:
        """Wait until few enough parts are being written."""
        while sum(not part.done() for part in self._closing) > N_CLOSING:
            await asyncio.wait([part for part in self._closing if not part.done()],
                               return_when=asyncio.FIRST_COMPLETED)  # fmt: skip

    def _write(self, answers: list[tuple[int, Answer]], number: int) -> pa.Table:
        """One part: its pack in its place on disk, its rows as a table."""
        name = f"{number:08d}"
        columns: dict[str, list[Any]] = {n: [] for n in FETCHED.names}
        with Pack(self._folder) as pack:
            for row, answer in answers:
                data = answer.data
                values = {
                    **{n: column[row].as_py() for n, column in self._named.items()},
                    "status": answer.status, "error": answer.error, "http_status": answer.http,
                    "md5": None if data is None else hashlib.md5(data).hexdigest(),
                    "media_type": None if data is None else pixels.media_type(data[:32]),
                    "n_bytes": None if data is None else len(data), "pack": None if data is None else name,
                    "offset": None if data is None else pack.add(data),
                }  # fmt: skip
                for n, column in columns.items():
                    column.append(values[n])
            if pack.n_bytes:
                pack.close(name)
        part = pa.table(columns, schema=FETCHED)
        for n, given in self._more.items():
            part = part.append_column(
                n, pa.array([given[row].as_py() for row, _ in answers], given.type)
            )
        return part

    async def next(self, run: asyncio.Task[None]) -> pa.Table | None:
        """The next part; None when `run` has ended and every part was taken."""
        while True:
            if self._closing and (self._closing[0].done() or run.done()):
                return await self._closing.pop(0)
            if run.done():
                await run  # what went wrong there goes wrong here
                if not self._open:
                    return None
                self.close()
                continue
            await asyncio.wait([run, *self._closing[:1]], timeout=0.05 if not self._closing else None,
                               return_when=asyncio.FIRST_COMPLETED)  # fmt: skip

    def drop(self) -> None:
        """Forget the open part: its addresses are asked again."""
        self._thread.shutdown()
