"""A dataset opened for reading: its tables as views of DuckDB in this process, its rows and pictures by position.

Nothing is ever written. Safe to ask from many threads.
"""

from __future__ import annotations

import bisect
import itertools
import math
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import httpx2  # huggingface_hub's own transport: what it raises when there is no Hub
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import place, schema, sql

TABLES = ("catalog", "taxa", "names", "lookup", "rejects", "statistics")
N_OPEN = 64  # thumbnail and data files held open
N_MEMBERS = 60  # pictures of one group that are told

MACROS = """
create or replace macro at_rank(level, name, depth, wanted) as   -- a rank that a path passes over has no name
  depth <= level or name = wanted or wanted is null and name is null;
create or replace macro in_path(kingdom, phylum, class_, order_, family, genus, species, canonicalName, path) as
  at_rank(0, kingdom, path.depth, path.kingdom::varchar)
  and at_rank(1, phylum, path.depth, path.phylum::varchar)
  and at_rank(2, class_, path.depth, path."class"::varchar)
  and at_rank(3, order_, path.depth, path."order"::varchar)
  and at_rank(4, family, path.depth, path.family::varchar)
  and at_rank(5, genus, path.depth, path.genus::varchar)
  and at_rank(6, species, path.depth, path.species::varchar)
  and (path.taxon::varchar is null or canonicalName = path.taxon::varchar);
create or replace macro is_asked(value, wanted) as wanted is null or value = wanted;
create or replace macro is_chosen(source, license, license_status, countryCode, basisOfRecord, sex, lifeStage, match_rule,
    taxonRank, split, image_type, geoprivacy, eventDate, keep, chosen) as
  is_asked(source, chosen.source::varchar)
  and is_asked(license, chosen.license::varchar)
  and is_asked(license_status, chosen.license_status::varchar)
  and is_asked(countryCode, chosen.countryCode::varchar)
  and is_asked(basisOfRecord, chosen.basisOfRecord::varchar)
  and is_asked(sex, chosen.sex::varchar)
  and is_asked(lifeStage, chosen.lifeStage::varchar)
  and is_asked(coalesce(match_rule, 'unresolved'), chosen.match_rule::varchar)
  and is_asked(taxonRank, chosen.taxonRank::varchar)
  and is_asked(split, chosen.split::varchar)
  and is_asked(image_type, chosen.image_type::varchar)
  and is_asked(geoprivacy, chosen.geoprivacy::varchar)
  and (chosen.from_year::integer is null or try_cast(substr(eventDate, 1, 4) as integer) >= chosen.from_year::integer)
  and (chosen.to_year::integer is null or try_cast(substr(eventDate, 1, 4) as integer) <= chosen.to_year::integer)
  and (not chosen.with_pixels or keep);
"""

LOOKUP_SQL = """
select catalog_row, thumbnail_row, rejects_row from lookup where key = $key and is_own
order by catalog_row, rejects_row
"""

MEMBERS_SQL = """
select catalog_row as place, count(*) over () as n from lookup where key = $key and catalog_row is not null
order by place limit $n
"""

REPLACED_SQL = """
select rejects_row as place, count(*) over () as n from lookup where key = $key and not is_own and rejects_row is not null
order by place limit $n
"""

CATALOG_ROW_SQL = """
select * from catalog where filename = $file and file_row_number = $row
"""

REJECTS_ROW_SQL = """
select * from rejects where filename = $file and file_row_number = $row
"""

BUCKET_SQL = """
select floor(('0x' || substr(md5($seed || $uuid), 1, 13))::bigint / 16.0 ** 13 * $n_buckets)::integer as bucket
"""


class Unreadable(Exception):
    """The files of a dataset that was opened cannot be read any more; the text says which and why."""


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, httpx2.TransportError) as error:
        raise Unreadable(f"{what}: {error}") from error


class Shelf:
    """A dataset to look things up in."""

    def __init__(self, where: str, *, memory_limit: str = "2GB", threads: int = 2) -> None:
        """Open a folder, or ORG/NAME[@REVISION]. Raises ValueError for what is no dataset of this contract."""
        self._place = place.find(where, TABLES)
        self.manifest = self._place.manifest
        self.release = str(self.manifest["params"]["release"])
        self.title = str(self.manifest["params"].get("title") or self.manifest["params"]["name"])
        self._spill = tempfile.TemporaryDirectory(prefix="treeoflife-")
        self._con = sql.connect(
            memory_limit=memory_limit, threads=threads, spill_dir=Path(self._spill.name)
        )
        self.files = {name: self._place.tables(self.release, name) for name in TABLES}
        if missing := [name for name, files in self.files.items() if not files]:
            raise ValueError(
                f"{where} has no table {missing[0]!r}: an older version built it; build it again"
            )
        tables = {name: sql.Placed(files) for name, files in self.files.items()}
        try:
            sql.lasting(self._con, **tables)
            self._con.execute(MACROS)
            self._starts = {name: _starts(files) for name, files in self.files.items()}
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise ValueError(f"{where} is damaged: {str(error).partition(chr(10))[0]}") from error
        self._open: dict[str, tuple[pq.ParquetFile, list[int], BinaryIO]] = {}
        self._lock = threading.Lock()

    def ask(self, text: str, /, **params: Any) -> list[dict[str, Any]]:
        """Rows of a query over the tables, as plain data. Unreadable where they have been damaged meanwhile."""
        with _readable("the tables"), self._con.cursor() as cursor:
            rows = sql.query(cursor, text, params).table().to_pylist()
        return [{name: None if isinstance(value, float) and not math.isfinite(value) else value
                 for name, value in row.items()} for row in rows]  # fmt: skip

    def close(self) -> None:
        """Let go of its files."""
        self._con.close()
        self._spill.cleanup()
        with self._lock:
            while self._open:
                self._open.popitem()[1][2].close()

    def lookup(self, uuid: str) -> list[dict[str, Any]]:
        """Where a picture stands: in the catalogue, among the thumbnails, among the rejects."""
        return self.ask(LOOKUP_SQL, key=uuid)

    def members(self, group_id: str) -> tuple[list[int], int]:
        """Rows of the catalogue that are of a group, N_MEMBERS at most, and how many there are."""
        return _counted(self.ask(MEMBERS_SQL, key=group_id, n=N_MEMBERS))

    def replaced(self, uuid: str) -> tuple[list[int], int]:
        """Rows of the rejects that were left out because this picture stayed, in the same form."""
        return _counted(self.ask(REPLACED_SQL, key=uuid, n=N_MEMBERS))

    def row(self, table: str, row: int) -> dict[str, Any]:
        """One row of the catalogue or the rejects, by its position."""
        starts = self._starts[table]
        at = bisect.bisect_right(starts, row) - 1
        text = CATALOG_ROW_SQL if table == "catalog" else REJECTS_ROW_SQL
        (found,) = self.ask(text, file=str(self.files[table][at]), row=row - starts[at])
        return {
            name: value for name, value in found.items() if name in schema.TABLES[table].columns
        }

    def thumbnail(self, key: str) -> bytes:
        """The small JPEG of a picture, by its uuid or its row among the thumbnails. LookupError where there is none."""
        row = int(key) if key.isdecimal() else None
        if row is None:
            own = (at["thumbnail_row"] for at in self.lookup(key))
            row = next((there for there in own if there is not None), None)
        if row is None:
            raise LookupError("the dataset has no thumbnail of this picture")
        name = f"metadata/{self.release}/thumbnails-{row // schema.THUMBNAILS_PER_FILE:06d}.parquet"
        return self._image(name, "thumbnail", row % schema.THUMBNAILS_PER_FILE)

    def picture(self, uuid: str) -> bytes:
        """The picture as shipped. LookupError where the dataset has no pixels of it."""
        how = self.manifest["params"]
        at = next((at for at in self.lookup(uuid) if at["thumbnail_row"] is not None), None)
        if at is None:
            raise LookupError("the dataset has no pixels of this picture")
        row = self.row("catalog", at["catalog_row"])
        n_buckets = how["n_buckets"] if row["split"] == "train" else max(1, how["n_buckets"] // 16)
        (hashed,) = self.ask(BUCKET_SQL, seed=str(how["seed"]), uuid=uuid, n_buckets=n_buckets)
        name = f"data/{self.release}/{hashed['bucket'] // 1000:03d}/{row['split']}-{hashed['bucket']:06d}.parquet"
        with _readable(name), self._lock:
            there = self._file(name)[0].read(columns=["uuid"])["uuid"].index(uuid).as_py()
        if there < 0:
            raise LookupError(f"{name} lacks this picture")
        return self._image(name, "image", there)

    def _file(self, name: str) -> tuple[pq.ParquetFile, list[int]]:
        """A file, and the first row of each of its row groups; for who holds the lock."""
        if name not in self._open:
            if len(self._open) >= N_OPEN:
                self._open.pop(next(iter(self._open)))[2].close()
            try:
                handle = self._place.open(name)
                file = pq.ParquetFile(handle)
            except FileNotFoundError as error:
                raise LookupError(f"the dataset lacks {name}") from error
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            self._open[name] = file, list(itertools.accumulate(sizes, initial=0)), handle
        return self._open[name][:2]

    def _image(self, name: str, column: str, row: int) -> bytes:
        with _readable(name), self._lock:  # a reader of one file is not for two threads
            file, starts = self._file(name)
            if not 0 <= row < starts[-1]:
                raise LookupError(f"{name} has no such row")
            group = bisect.bisect_right(starts, row) - 1
            found = file.read_row_group(group, [f"{column}.bytes"])[column]
        return bytes(found[row - starts[group]].as_py()["bytes"])


def _counted(rows: list[dict[str, Any]]) -> tuple[list[int], int]:
    return [row["place"] for row in rows], rows[0]["n"] if rows else 0


def _starts(files: Sequence[Path]) -> list[int]:
    """The first row of each file, counted over all."""
    starts, n_rows = [], 0
    for file in files:
        starts.append(n_rows)
        n_rows += pq.read_metadata(file).num_rows
    return starts
