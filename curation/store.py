"""What pictures cost to get and to judge, kept across builds: bytes in packs, facts by key.

`<root>/store/<name>/<2 characters>/<pack>.pack` holds the bytes of many pictures end to end: a file
each would be hundreds of millions of files. A ledger, `<root>/store/<name>/*.parquet`, holds rows
by key (also where their bytes lie), written in parts by rename: a new recipe or a larger archive
fetches and hashes only what is not here. Nothing here is a stage output; artifacts say what they
read of it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from catalog import artifact, sql

MAX_PARTS = 64
SMALL_BYTES, MAX_MERGED = 64 * 2**20, 1024
_MAX_VECTORS = 256  # systems allow 1,024


class Pack:
    """A pack being written; it is there once `close` has named it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.n_bytes = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f".tmp-{os.getpid()}-{threading.get_ident()}-{id(self)}.pack"
        self._file = self._path.open("wb")

    def add(self, data: bytes) -> int:
        """Append bytes; return where they begin."""
        self._file.write(data)
        self.n_bytes += len(data)
        return self.n_bytes - len(data)

    def add_all(self, pieces: Sequence[bytes]) -> None:
        """Append many, without copying them together."""
        self._file.flush()
        for start in range(0, len(pieces), _MAX_VECTORS):
            some = pieces[start : start + _MAX_VECTORS]
            n_bytes = sum(map(len, some))
            if (
                os.writev(self._file.fileno(), some) != n_bytes
            ):  # a disk that is nearly full writes less
                raise OSError(errno.ENOSPC, "the disk took only a part of the bytes")
            self.n_bytes += n_bytes

    def close(self, name: str) -> None:
        """Flush to disk and show the pack under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        target = Packs(self._folder).path(name)
        target.parent.mkdir(exist_ok=True)
        os.replace(self._path, target)

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._file.close()
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Packs:
    """Finished packs of one folder."""

    dir: Path

    def path(self, name: str) -> Path:
        """Where the pack of this name lies."""
        return self.dir / name[-2:] / f"{name}.pack"

    def names(self) -> pa.Table:
        """The packs that are there, as a table of one column `pack`."""
        return pa.table(
            {"pack": pa.array(sorted(p.stem for p in self.dir.glob("*/*.pack")), pa.string())}
        )

    def get(self, pack: str, offset: int, n_bytes: int, md5: str = "", xxh3: str = "") -> bytes:
        """Bytes of a pack; FileNotFoundError when they are gone or no longer what they were.

        Without a digest (`md5`, or `xxh3` of 128 bits, which costs a tenth) only their number is known.
        """
        with self.path(pack).open("rb", buffering=0) as stream:
            data = os.pread(stream.fileno(), n_bytes, offset)
        is_same = len(data) == n_bytes
        is_same = is_same and (not md5 or hashlib.md5(data).hexdigest() == md5)
        if not is_same or (xxh3 and xxhash.xxh3_128_hexdigest(data) != xxh3):
            self.path(pack).unlink(missing_ok=True)
            raise FileNotFoundError(f"{self.path(pack)} was damaged and has been removed")
        return data


@dataclass(frozen=True)
class Ledger:
    """Rows by key; of rows with one key the one with the largest `seq` holds."""

    dir: Path
    fields: pa.Schema

    @property
    def parts(self) -> list[Path]:
        """The parts, oldest first."""
        return sorted(p for p in self.dir.glob("*.parquet") if not p.name.startswith("."))

    @property
    def next_number(self) -> int:
        """Number of the next part that is appended."""
        return int(self.parts[-1].stem) + 1 if self.parts else 0

    def append(self, rows: pa.Table) -> None:
        """Add rows (without `seq`) as one new part."""
        if not rows.num_rows:
            return
        self.dir.mkdir(parents=True, exist_ok=True)
        number = self.next_number
        seq = pa.array([number] * rows.num_rows, pa.int64())
        numbered = rows.select(self.fields.names).cast(self.fields).append_column("seq", seq)
        self._write(numbered, f"{number:08d}")

    def put(self, name: str, rows: pa.Table) -> None:
        """Add facts that never change as the part called `name`; safe to repeat."""
        self.dir.mkdir(parents=True, exist_ok=True)
        self._write(rows.append_column("seq", pa.array([0] * rows.num_rows, pa.int64())), name)

    def input(self) -> Sequence[Path]:
        """What a query reads: every part, and one without rows.

        Never a single file: of one, DuckDB knows which columns hold no null, and writes what it makes
        of them in other bytes; an artifact must not depend on how many parts a ledger has.
        """
        empty = self.dir / ".empty.parquet"
        if not empty.exists():
            self.dir.mkdir(parents=True, exist_ok=True)
            fields = pa.schema([*self.fields, pa.field("seq", pa.int64())])
            self._write(fields.empty_table(), empty.stem)
        return [*self.parts, empty, empty]

    def compact(self, con: duckdb.DuckDBPyConnection, newest_sql: str) -> None:
        """When there are many parts, make them one; `newest_sql` reads `ledger`, newest rows only."""
        parts = self.parts
        if len(parts) > MAX_PARTS:
            self._merge(con, newest_sql, parts, f"{int(parts[-1].stem) + 1:08d}")

    def gather(self, con: duckdb.DuckDBPyConnection) -> None:
        """When there are many small parts of facts, make larger ones of them."""
        small = [part for part in self.parts if part.stat().st_size < SMALL_BYTES]
        if len(small) > MAX_PARTS:
            for start in range(0, len(small), MAX_MERGED):
                some = small[start : start + MAX_MERGED]
                names = " ".join(part.stem for part in some).encode()
                self._merge(
                    con, "select * from ledger", some, hashlib.sha256(names).hexdigest()[:24]
                )

    def _merge(
        self, con: duckdb.DuckDBPyConnection, text: str, parts: Sequence[Path], name: str
    ) -> None:
        """One part in place of several; a crash in between leaves rows twice, which does no harm."""
        temporary = self.dir / f".tmp-{os.getpid()}-{name}.parquet"
        sql.query(con, text, ledger=parts).copy_to(temporary)
        artifact.flush(temporary)
        os.replace(temporary, self.dir / f"{name}.parquet")
        for part in parts:
            part.unlink()

    def _write(self, rows: pa.Table, name: str) -> None:
        write_rows(rows, self.dir / f"{name}.parquet", self.dir)


def write_rows(rows: pa.Table, path: Path, via: Path) -> None:
    """A parquet file that is there whole or not at all; `via` is the folder of the unfinished one."""
    temporary = via / f".tmp-{os.getpid()}-{path.name}"
    for folder in (via, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, temporary, compression="zstd")
    artifact.flush(temporary)
    os.replace(temporary, path)
