"""What pictures cost to get and to judge, kept across builds: bytes by md5, facts by key.

`<root>/store/blob/ab/cd/<md5>` holds bytes as fetched. A ledger, `<root>/store/<name>/*.parquet`,
holds rows by key, written in parts by rename: a new recipe or a larger archive fetches and hashes
only what is not here. Nothing here is a stage output; artifacts say what they read of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, sql

MAX_PARTS = 64


@dataclass(frozen=True)
class Blobs:
    """Bytes by their md5."""

    dir: Path

    def path(self, md5: str) -> Path:
        """Where the bytes with this md5 lie."""
        return self.dir / md5[:2] / md5[2:4] / md5

    def put(self, data: bytes) -> str:
        """Keep bytes; return their md5."""
        md5 = hashlib.md5(data).hexdigest()
        target = self.path(md5)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            artifact.write_atomically(target, data, via=self.dir)  # where `heal` looks
        return md5

    def get(self, md5: str) -> bytes:
        """The bytes; FileNotFoundError when they are gone or no longer what they were."""
        data = self.path(md5).read_bytes()
        if hashlib.md5(data).hexdigest() != md5:
            self.path(md5).unlink(missing_ok=True)
            raise FileNotFoundError(f"{self.path(md5)} was damaged and has been removed")
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

    def append(self, rows: pa.Table) -> None:
        """Add rows (without `seq`) as one new part."""
        if not rows.num_rows:
            return
        self.dir.mkdir(parents=True, exist_ok=True)
        number = int(self.parts[-1].stem) + 1 if self.parts else 0
        seq = pa.array([number] * rows.num_rows, pa.int64())
        numbered = rows.select(self.fields.names).cast(self.fields).append_column("seq", seq)
        self._write(numbered, f"{number:08d}")

    def put(self, name: str, rows: pa.Table) -> None:
        """Add facts that never change as the part called `name`; safe to repeat."""
        self.dir.mkdir(parents=True, exist_ok=True)
        self._write(rows.append_column("seq", pa.array([0] * rows.num_rows, pa.int64())), name)

    def input(self) -> Sequence[Path] | pa.Table:
        """What a query reads: every part, or an empty table."""
        empty = pa.schema([*self.fields, pa.field("seq", pa.int64())]).empty_table()
        return self.parts or empty

    def compact(self, con: duckdb.DuckDBPyConnection, newest_sql: str) -> None:
        """When there are many parts, make them one; `newest_sql` reads `ledger`, newest rows only."""
        parts = self.parts
        if len(parts) > MAX_PARTS:
            rows = sql.query(con, newest_sql, ledger=parts).table()
            self._write(rows, f"{int(parts[-1].stem) + 1:08d}")
            for part in parts:
                part.unlink()

    def _write(self, rows: pa.Table, name: str) -> None:
        temporary = self.dir / f".tmp-{os.getpid()}-{name}.parquet"
        pq.write_table(rows, temporary, compression="zstd")
        artifact.flush(temporary)
        os.replace(temporary, self.dir / f"{name}.parquet")
