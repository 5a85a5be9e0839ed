"""The one place that talks to DuckDB: open it with limits, bind, run, and say which query failed.

A `Query` is a SQL text with its bound inputs and parameters. It is lazy and is consumed once, by
whoever writes or reads its result. (A DuckDB relation made with parameters is materialised in
memory at once, which a table of millions of pictures does not survive; a `COPY` of the text is not.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import identity

ROWS_PER_GROUP = 100_000
MAX_LINE_BYTES = 16 * 2**20  # a longer "line" is a broken file


@dataclass(frozen=True)
class Lines:
    """A clean UTF-8 text file of records, one a line, whose fields no quotes enclose.

    A query sees `source_row` (from 1, after the header lines) and `fields`, the split line.
    """

    path: Path
    delimiter: str
    n_header_lines: int


@dataclass(frozen=True)
class Placed:
    """Parquet files whose rows also say where they lie: `filename` and `file_row_number` (from 0)."""

    paths: Sequence[Path]


Input: TypeAlias = "Path | Sequence[Path] | pa.Table | Lines | Placed"


@dataclass(frozen=True)
class Query:
    """One SQL statement over named inputs.

    `inputs` are parquet files (a path or several) or Arrow tables, visible to the text under their
    keyword; `params` are bound as `$name`. `as_written` keeps DuckDB from reordering joins: with
    empty inputs its estimates sink to nothing, and it builds a hash table of the millions of rows
    that were to stream past (measured: out of memory at 5 million rows under 2 GB).
    """

    con: duckdb.DuckDBPyConnection
    sql: str
    inputs: Mapping[str, Input] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    as_written: bool = False

    def copy_to(self, path: Path, rows_per_group: int = ROWS_PER_GROUP) -> int:
        """Write the result as zstd parquet at `path`, in the query's own order; return its rows."""
        text = (
            f"copy ({self.sql}\n) to '{quoted(path)}' "
            f"(format parquet, compression zstd, row_group_size {rows_per_group})"
        )
        return int(self._run(text)[0][0])

    def table(self) -> pa.Table:
        """The whole result as an Arrow table; for results known to be small."""
        return self._relation().to_arrow_table()

    def rows(self) -> list[tuple[Any, ...]]:
        """The whole result as tuples; for results known to be small."""
        return self._run(self.sql)

    def batches(self, n_rows: int = 50_000) -> pa.RecordBatchReader:
        """The result as a stream of Arrow batches of at most `n_rows` rows."""
        return self._relation().to_arrow_reader(n_rows)

    def scalar(self) -> Any:
        """The first column of the only row."""
        (row,) = self.rows()
        return row[0]

    def _run(self, text: str) -> list[tuple[Any, ...]]:
        with self._bound(text):
            if not self.as_written:
                return self.con.execute(text, _used(text, self.params)).fetchall()
            self.con.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
            try:
                return self.con.execute(text, _used(text, self.params)).fetchall()
            finally:
                self.con.execute("set disabled_optimizers = ''")

    def _relation(self) -> duckdb.DuckDBPyRelation:
        with self._bound(self.sql):
            return self.con.sql(self.sql, params=_used(self.sql, self.params))

    @contextmanager
    def _bound(self, text: str) -> Iterator[None]:
        """Inputs in place; an error of DuckDB leaves with the query that failed."""
        try:
            for name, source in self.inputs.items():
                _bind(self.con, name, source)
            yield
        except duckdb.Error as error:
            error.add_note(f"in the query:\n{text}\nwith {dict(self.params)}")
            raise


def connect(
    *, memory_limit: str = "2GB", threads: int = 2, spill_dir: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory database with a memory limit, a thread count and a spill directory.

    Raises ValueError when DuckDB does not understand `memory_limit`.
    """
    con = duckdb.connect()
    try:
        con.execute(f"set memory_limit = '{quoted(memory_limit)}'")
    except duckdb.Error as error:
        raise ValueError(
            f"memory_limit {memory_limit!r} is not a size such as '4GB': {error}"
        ) from error
    con.execute(f"set threads = {int(threads)}")
    con.execute("set preserve_insertion_order = true")
    con.execute("set enable_progress_bar = false")
    con.execute("set autoinstall_known_extensions = false")
    if spill_dir is not None:
        con.execute(f"set temp_directory = '{quoted(spill_dir)}'")
    con.execute(identity.MACROS)
    return con


def query(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    params: Mapping[str, Any] | None = None,
    **inputs: Input,
) -> Query:
    """A lazy query over parquet files or Arrow tables given by keyword."""
    return Query(con, sql, inputs, params or {})


def lasting(con: duckdb.DuckDBPyConnection, **inputs: Placed) -> None:
    """Views that every cursor of this database sees, for a program that only reads; footers are read once."""
    con.execute("set parquet_metadata_cache = true")
    for name, source in inputs.items():
        con.execute(f'create view "{name}" as {_reading(source)}')


def parquet_writer(path: Path, fields: pa.Schema) -> pq.ParquetWriter:
    """A streaming writer of zstd parquet, for rows that do not come from a query."""
    return pq.ParquetWriter(path, fields, compression="zstd")


def quoted(value: object) -> str:
    """`value` as text for a SQL string literal (only paths and settings, which cannot be bound)."""
    return str(value).replace("'", "''")


def _bind(con: duckdb.DuckDBPyConnection, name: str, source: Input) -> None:
    con.execute(f'drop view if exists "{name}"')
    if isinstance(source, pa.Table):
        con.register(name, source)
        return
    if isinstance(source, Lines):
        con.execute(
            f"""create or replace temp view "{name}" as
            select source_row, string_split(line, '{quoted(source.delimiter)}') as fields
            from (select row_number() over () - {int(source.n_header_lines)} as source_row, line
                  from read_csv('{quoted(source.path)}', columns = {{'line': 'VARCHAR'}},
                                delim = '\x01', quote = '', escape = '', header = false,
                                auto_detect = false, strict_mode = false,
                                max_line_size = {MAX_LINE_BYTES}))
            where source_row > 0"""
        )
        return
    con.execute(f'create or replace temp view "{name}" as {_reading(source)}')


def _reading(source: Path | Sequence[Path] | Placed) -> str:
    if isinstance(source, Placed):
        paths, more = source.paths, ", filename = true, file_row_number = true"
    else:
        paths, more = [source] if isinstance(source, Path) else list(source), ""
    files = ", ".join(f"'{quoted(path)}'" for path in paths)
    return f"select * from read_parquet([{files}]{more})"


def _used(text: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if re.search(rf"\${name}\b", text)}
