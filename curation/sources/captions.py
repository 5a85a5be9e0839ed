"""Pictures of the web with the words that stood beside them, as LAION lists them.

In   one parquet, CSV or TSV table, a folder of parquet parts, or a pattern such as `parts/*.parquet`. The
     picture's address is in `url`, `identifier` or `image_url`, its caption in `caption`, `text` or
     `title`, its licence, where one is stated, in `license`; capitals do not matter. A relative path is
     taken from the folder of the tables.
Out  schema.SOURCE: one row per row of the tables, the caption as `title`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import schema, sql
from curation.sources import boxes, dwca

MAX_CHARACTERS = 2000  # of a caption; what is longer is a page, not a caption
ROWS_AT_ONCE = 50_000
TERMS = {
    "identifier": ("url", "identifier", "image_url"),
    "caption": ("caption", "text", "title"),
    "license": ("license",),
}
LANDED = pa.schema([("source_table", pa.string()), ("source_row", pa.int64()), ("ragged", pa.bool_()),
                    *((term, pa.string()) for term in TERMS)])  # fmt: skip

MACROS = r"""
create or replace macro caption_of(text, n) as    -- control and direction characters go, white space is one blank
  nullif(rtrim(left(trim(regexp_replace(regexp_replace(text,
    '[\x{0}-\x{8}\x{e}-\x{1f}\x{7f}-\x{84}\x{86}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{feff}]+', '', 'g'),
    '[\x{9}-\x{d}\x{85}\pZ]+', ' ', 'g')), n)), '');
"""

LANDED_SQL = """
select $table as source_table, source_row, len(fields) <> $n_columns as ragged,
  said(fields, $at.identifier) as identifier, said(fields, $at.caption) as caption, said(fields, $at.license) as license
from record order by source_row
"""

SQL = """
with r as (
  select source_table, source_row, ragged, word(identifier) as identifier,
    caption_of(caption, $n_characters) as title, nullif(word(license), '?') as license_verbatim
  from record
)
select * from blank
union all by name
select
  $archive as archive, source_table, source_row, 0 as media_index, 'captions' as source,
  canonical_url(identifier) as record_key, identifier, provider_key_of(canonical_url(identifier)) as provider_key,
  title, coalesce(license_verbatim, $licence) as license_verbatim, $archive as datasetName,
  case when ragged then 'ragged_row' when identifier is null then 'no_identifier'
       when title is null then 'no_caption' end as reject_reason
from r
order by archive, source_table, source_row, media_index
"""


def captions(
    con: duckdb.DuckDBPyConnection, *, archive: str, paths: Sequence[Path], home: Path, work_dir: Path,
    licence: str | None = None, columns: Mapping[str, str] | None = None,
) -> sql.Query:  # fmt: skip
    """Media rows of tables of addresses and captions, as `schema.SOURCE`.

    `paths` are the tables (`files`), `home` the folder their names start at; `licence` stands for rows
    that state none; `columns` maps identifier, caption or license to the column that holds it. Raises
    ValueError for a table that cannot be read or lacks a column, of parquet before any row is read.
    """
    con.execute(dwca.MACROS)
    con.execute(MACROS)
    work_dir.mkdir(parents=True, exist_ok=True)
    parquet = {path: _of_parquet(path, columns or {}) for path in paths if _is_parquet(path)}
    landed = []
    for number, path in enumerate(paths):
        name, part = path.relative_to(home).as_posix(), work_dir / f"landed-{number:06d}.parquet"
        if path in parquet:
            with sql.parquet_writer(part, LANDED) as out:
                for table in _rows(path, name, parquet[path]):
                    out.write_table(table)
        else:
            _delimited(con, path, name, columns or {}, work_dir).copy_to(part)
        landed.append(part)
    params = {"archive": archive, "licence": licence, "n_characters": MAX_CHARACTERS}
    return sql.query(con, SQL, params, record=landed, blank=schema.SOURCE.empty())


def files(place: Path) -> list[Path]:
    """The tables that a recipe's path means, in order. Raises ValueError when there are none."""
    tables, folder = found(place), home(place)
    if not tables:
        there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        raise ValueError(f"{place} holds no table; name a parquet, CSV or TSV file, a folder of parquet parts, or a "
                         f"pattern; in {folder} there is {', '.join(there[:10]) or 'nothing'}")  # fmt: skip
    return tables


def found(place: Path) -> list[Path]:
    """The same, or none."""
    if place.is_file():
        return [place]
    folder = home(place)
    pattern = "*.parquet" if place.is_dir() else place.relative_to(folder).as_posix()
    files = (path for path in sorted(folder.glob(pattern)) if path.is_file())
    return [path for path in files if not path.name.startswith(".")]


def home(place: Path) -> Path:
    """The folder that a file lies in, or that a pattern starts at; a folder itself."""
    if place.is_dir():
        return place
    odd = [i for i, part in enumerate(place.parts) if set(part) & set("*?[")]
    return place.parent if place.is_file() or not odd else Path(*place.parts[: odd[0]])


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _columns(path: Path, names: Sequence[str], given: Mapping[str, str]) -> dict[str, str | None]:
    """The column of each term; None where there is no licence."""
    known = {name.lower(): name for name in reversed(names)}
    there = f"it has {', '.join(names) or 'none'}"
    found = dict[str, str | None]()
    for term, words in TERMS.items():
        if term in given and given[term] not in names:
            raise ValueError(f"{path} has no column of text {given[term]!r} (for {term}); {there}")
        found[term] = given.get(term) or next((known[w] for w in words if w in known), None)
        if found[term] is None and term != "license":
            raise ValueError(
                f"{path} has no column of text for the {term}: one of {', '.join(words)}, or that which "
                f'columns = {{{term} = "…"}} names; {there}'
            )
    return found


def _of_parquet(path: Path, given: Mapping[str, str]) -> dict[str, str | None]:
    try:
        fields = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} is not readable parquet: {error}") from error
    return _columns(path, [field.name for field in fields if _is_text(field.type)], given)


def _is_text(kind: pa.DataType) -> bool:
    of = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_null(of))


def _rows(path: Path, name: str, columns: Mapping[str, str | None]) -> Iterator[pa.Table]:
    """The rows of a parquet table as LANDED, some at a time."""
    n_rows = 0
    try:
        with pq.ParquetFile(path) as reader:
            for batch in reader.iter_batches(
                ROWS_AT_ONCE, columns=list({c for c in columns.values() if c})
            ):
                n = batch.num_rows
                said = [
                    _texts(batch.column(c)) if c else pa.nulls(n, pa.string())
                    for c in columns.values()
                ]
                place = [[name] * n, range(n_rows + 1, n_rows + n + 1), [False] * n]
                yield pa.table([*map(pa.array, place), *said], schema=LANDED)
                n_rows += n
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} is not readable parquet after row {n_rows:,}: {error}") from error


def _texts(column: pa.Array) -> pa.Array:
    """The column as text; bytes that are none become U+FFFD."""
    text = column.cast(pa.string())
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        raw = text.cast(pa.binary()).to_pylist()
        return pa.array(
            [None if v is None else v.decode("utf-8", "replace") for v in raw], pa.string()
        )
    return text


def _delimited(
    con: duckdb.DuckDBPyConnection, path: Path, name: str, given: Mapping[str, str], work_dir: Path
) -> sql.Query:
    """The rows of a CSV or TSV as LANDED."""
    table = dwca.loose_table(
        boxes.Box(path.parent, (path.name,)), path.name, dwca.OCCURRENCE, work_dir
    )
    names = dict[int, str]()
    for column, i in table.columns.items():
        names.setdefault(i, column)  # the table gives its first column the name `id` too
    found = _columns(path, [names[i] for i in sorted(names)], given)
    at = {term: {"i": table.columns[c] + 1 if c else None, "v": None} for term, c in found.items()}
    return sql.query(
        con, LANDED_SQL, {"table": name, "at": at, "n_columns": table.n_columns}, record=table.input
    )
