"""Tiny provider archives, written by the test that reads them, and what came out of them."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.schema import Table
from catalog.sql import Query
from curation.sources import dwca

MULTIMEDIA, IMAGE, AUDIOVISUAL, EOL_MEDIA = (
    dwca.MEDIA_ROWS[0], dwca.MEDIA_ROWS[2], dwca.MEDIA_ROWS[1], dwca.MEDIA_ROWS[3],
)  # fmt: skip
Row = dict[str, Any]


def folder(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A folder of files."""
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A zip of files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for name, content in files.items():
            box.writestr(name, content)
    return path


def tsv(*rows: str) -> str:
    """A tab-separated table; a row is written with spaces for tabs and "_" for nothing."""
    lines = ("\t".join("" if word == "_" else word for word in row.split(" ")) for row in rows)
    return "\n".join(lines) + "\n"


def table_xml(
    kind: str, row_type: str, files: str, columns: Sequence[str], *, header: str | None = None,
    fields: str = "", **attributes: str,
) -> str:  # fmt: skip
    """One table of meta.xml; its first column is the id, `fields` is put in as it stands."""
    given = {"encoding": "UTF-8", "fieldsTerminatedBy": "\\t", "linesTerminatedBy": "\\n",
             "fieldsEnclosedBy": "", "ignoreHeaderLines": "1", **attributes}  # fmt: skip
    words = " ".join(f"{name}={quoteattr(value)}" for name, value in given.items())
    places = "".join(f"<location>{name}</location>" for name in files.split())
    named = "".join(
        f'<field index="{i}" term="http://x/{name}"/>' for i, name in enumerate(columns) if i
    )
    key = "id" if kind == "core" else "coreid"
    return (
        f'<{kind} rowType="{row_type}" {words}><files>{places}</files><{key} index="0"/>'
        f"{named}{fields}</{kind}>"
    )


def meta(*tables: str) -> str:
    """A meta.xml of the tables."""
    return f'<archive xmlns="http://rs.tdwg.org/dwc/text/">{"".join(tables)}</archive>'


OCCURRENCE = ("gbifID", "scientificName", "kingdom")
MEDIA = ("gbifID", "type", "format", "identifier", "license")


def gbif_files(
    occurrence: str, multimedia: str, *, columns: Sequence[str] = OCCURRENCE,
    media: Sequence[str] = MEDIA, media_row: str = MULTIMEDIA, **attributes: str,
) -> dict[str, str | bytes]:  # fmt: skip
    """The files of a GBIF download; `attributes` are those of both tables in meta.xml."""
    core = table_xml("core", dwca.OCCURRENCE, "occurrence.txt", columns, **attributes)
    extension = table_xml("extension", media_row, "multimedia.txt", media, **attributes)
    return {
        "meta.xml": meta(core, extension), "occurrence.txt": occurrence, "multimedia.txt": multimedia,
    }  # fmt: skip


def rows(query: Query, of: Table | None = None) -> list[Row]:
    """The rows of a query as dictionaries; its columns are those of the contract's table `of`."""
    table = query.table()
    assert of is None or table.schema.equals(of.schema)
    return list(table.to_pylist())


def reasons(found: Sequence[Row]) -> dict[str | None, int]:
    """How many rows were kept (None) and how many rejected for each reason."""
    return dict(Counter(row["reject_reason"] for row in found))


def table_file(home: Path, name: str, content: Any) -> Path:
    """A table as a file of a folder: an Arrow table as parquet, else text; its path."""
    path = home / name
    if isinstance(content, pa.Table):
        path.parent.mkdir(exist_ok=True)
        pq.write_table(content, path)
    else:
        folder(home, {name: content})
    return path
