"""Lists of species that a user brings: read with clear errors, and matched as the pictures' names are.

In   tables (CSV or TSV, plain or gzip) with scientificName; kingdom, family, genus and category where they have
     them, under their own names or those of the Red List's exports
Out  `listed`: schema.LISTED, one row per distinct name and category of each list
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import schema, sql
from curation import media

if TYPE_CHECKING:
    from curation.recipe import SpeciesList

Said = dict[str, str | None]
Resolve = Callable[
    [Path, Path], sql.Query
]  # media rows, work folder -> their labels, as the build makes them

NAMES: dict[str, tuple[str, ...]] = {"scientificName": ("scientificName", "scientific_name", "Scientific_name"), "kingdom": ("kingdom", "kingdomName"),
         "family": ("family", "familyName", "Family"), "genus": ("genus", "genusName")}  # fmt: skip
CATEGORY: dict[str, tuple[str, ...]] = {
    "category": (
        "category",
        "redlistCategory",
        "iucnRedListCategory",
        "IUCN_Red_List_Category",
        "threatStatus",
    )
}

LISTED_SQL = """
select e.list, e.category, e.verbatimScientificName, any_value(columns(l.* exclude (lineage, match_distance, ranks_agree,
  ranks_differ, runner_up)))
from entry e join said s using (source_row) left join label l on l.lineage = s.lineage
group by e.list, e.category, e.verbatimScientificName
order by e.list, e.verbatimScientificName, e.category
"""


def rows(
    who: str, path: Path, columns: Mapping[str, str], terms: Mapping[str, Sequence[str]]
) -> list[Said]:
    """Rows of a list that name something, by term; a column the user names wins over the usual ones.

    `terms` maps each term to the columns it may be in. Raises ValueError, which begins with `who`, for a file that
    is missing or no text, a column that is not there, and a list without names.
    """
    if not path.is_file():
        raise ValueError(f"{who}: {path} does not exist")
    if unknown := [term for term in columns if term not in terms]:
        raise ValueError(
            f"{who}: columns.{unknown[0]} is no term of a list; choose of {', '.join(terms)}"
        )
    try:
        text = (
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        ).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(f"{who}: {path} is no text in UTF-8: {error}") from error
    first = text.partition("\n")[0]
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",")
    try:
        have = table.fieldnames or []
        read = list(table)
    except csv.Error as error:
        raise ValueError(f"{who}: {path} is no table: {error}") from error
    at = {
        term: columns.get(term) or next((c for c in usual if c in have), usual[0])
        for term, usual in terms.items()
    }
    wrong = [c for t, c in at.items() if c not in have and (t in columns or t == "scientificName")]
    if wrong:
        raise ValueError(f"{who}: {path} has no column {wrong[0]!r}; it has {', '.join(have)}")
    found = [
        {term: (row.get(column) or "").strip() or None for term, column in at.items()}
        for row in read
    ]
    named = [row for row in found if row["scientificName"]]
    if not named:
        raise ValueError(f"{who}: {path} names no species")
    return named


def resolved(
    con: duckdb.DuckDBPyConnection, named: Iterable[tuple[str, Said]], *, resolve: Resolve, folder: Path
) -> tuple[Path, Path]:  # fmt: skip
    """Media rows, numbered by `source_row` from 0, that bear the names of a list, and their labels."""
    said = [
        {"archive": name, "source_table": "list", "source_row": number, "media_index": 0, "source": "own",
         "record_key": str(number), "identifier": str(number), "verbatimScientificName": row["scientificName"],
         "kingdom": row["kingdom"], "family": row["family"], "genus": row["genus"]}
        for number, (name, row) in enumerate(named)
    ]  # fmt: skip
    source, listed_, found = (folder / f"{n}.parquet" for n in ("source", "listed", "label"))
    pq.write_table(pa.Table.from_pylist(said, schema=schema.SOURCE.schema), source)
    media.media(con, source=[source]).copy_to(listed_)
    resolve(listed_, folder / "resolve").copy_to(found)
    return listed_, found


def coverage_rows(item: SpeciesList, path: Path) -> list[Said]:
    """Rows of a list whose coverage is told; ValueError where it cannot be read."""
    found = rows(f"coverage {item.name!r}", path, item.columns, NAMES | CATEGORY)
    judged = [
        row for row in found if row["category"]
    ]  # a checklist has families too, of which it says nothing
    return judged or found


def listed(
    con: duckdb.DuckDBPyConnection, lists: Sequence[tuple[SpeciesList, Path]], *, resolve: Resolve, folder: Path
) -> sql.Query:  # fmt: skip
    """schema.LISTED of lists and the paths of their tables. Raises ValueError for a list that cannot be read."""
    known = [(item.name, row) for item, path in lists for row in coverage_rows(item, path)]
    said, label = resolved(con, known, resolve=resolve, folder=folder)
    entry = pa.table({"source_row": pa.array(range(len(known)), pa.int64()),
                      "list": pa.array([name for name, _ in known], schema.STR),
                      "category": pa.array([row["category"] for _, row in known], schema.STR),
                      "verbatimScientificName": pa.array([row["scientificName"] for _, row in known], schema.STR)})  # fmt: skip
    return sql.query(con, LISTED_SQL, entry=entry, said=said, label=label)
