"""Darwin Core Archives as they really are: zip, tar or folder, quoted or not, clean or broken.

`open_archive` reads meta.xml (hardened parser) and lands the tables it is asked for; `Table.input`
is what a query reads: one row per record with `source_row` (from 1) and `fields`, a list of text.
A record keeps all its fields, so a row with too few or too many is seen and counted, never bent
into shape. Source: Darwin Core text guide, https://dwc.tdwg.org/text/.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import defusedxml.ElementTree as ElementTree
import pyarrow as pa

from catalog.sql import Lines
from curation.sources import boxes, landing

ROW = "http://rs.tdwg.org/dwc/terms/"
OCCURRENCE, TAXON = ROW + "Occurrence", ROW + "Taxon"
MEDIA_ROWS = (
    "http://rs.gbif.org/terms/1.0/Multimedia",
    "http://rs.tdwg.org/ac/terms/Multimedia",
    "http://rs.gbif.org/terms/1.0/Image",
    "http://eol.org/schema/media/Document",
)
NO_ROWS = pa.schema([("source_row", pa.int64()), ("fields", pa.list_(pa.string()))]).empty_table()
VERNACULAR = "http://rs.gbif.org/terms/1.0/VernacularName"


@dataclass(frozen=True)
class Table:
    """One table of an archive: where its text is and which column holds which term.

    `columns` maps a term's last word (`scientificName`) to its position from 0; `defaults` holds
    constants that meta.xml gives instead of a column.
    """

    row_type: str
    name: str
    input: Lines | Path | pa.Table
    columns: Mapping[str, int]
    defaults: Mapping[str, str]
    n_columns: int
    exact: bool

    def at(self, **wanted: str) -> dict[str, dict[str, Any]]:
        """For each wanted name the column `i` (from 1, or None) and default `v`, to bind to a query.

        The value of a keyword lists the terms that may hold it, best first, separated by spaces.
        """
        return {name: self.place(*terms.split()) for name, terms in wanted.items()}

    def place(self, *terms: str) -> dict[str, Any]:
        """Where the first of `terms` that the table has stands: column `i` (from 1) and default `v`."""
        by_case = {column.lower(): column for column in self.columns}  # "Kingdom" is kingdom
        term = next((t for t in terms if t in self.columns), None) or next(
            (by_case[t.lower()] for t in terms if t.lower() in by_case), None)  # fmt: skip
        default = next((self.defaults[t] for t in terms if t in self.defaults), None)
        return {"i": self.columns[term] + 1 if term else None, "v": default}


@dataclass(frozen=True)
class Archive:
    """The tables of one archive; the core first."""

    path: Path
    tables: tuple[Table, ...]

    def first(self, *row_types: str) -> Table | None:
        """The first table of one of the row types, in the order of the types."""
        return next(iter(self.all(*row_types)), None)

    def all(self, *row_types: str) -> list[Table]:
        """The tables of the row types, in the order of the types."""
        return [t for wanted in row_types for t in self.tables if t.row_type == wanted]


MACROS = """
create or replace macro said(fields, place) as
  coalesce(nullif(trim(replace(fields[place.i], chr(160), ' ')), ''), place.v);
create or replace macro number(value) as
  case when isfinite(try_cast(value as double)) then try_cast(value as double) end;
create or replace macro odd_rank(value) as coalesce(regexp_matches(value,
  '^[0-9]|[0-9]{4}-[0-9]{2}|^[A-Z]{2}$|^(true|false|PRESENT|ABSENT)$|^https?:|^[^(]*[)]$'), false);
create or replace macro interpreted_name(value) as   -- GBIF's word for "no name matched"
  case when lower(value) <> 'incertae sedis' then value end;
create or replace macro is_still_image_type(value) as
  regexp_matches(lower(value), '(^|[/#:])(still ?image|image|photo(graph)?)$');
create or replace macro is_image_format(value) as
  regexp_matches(value, '^(image([/ ].*)?|jpe?g|png|gif|tiff?|webp|bmp|avif)$')
  or value in ('application/octet-stream', 'binary/octet-stream');
"""


def open_archive(path: Path, work_dir: Path, *, only: tuple[str, ...] = ()) -> Archive:
    """Open a Darwin Core Archive (zip, tar.gz or folder) or a zip of one delimited table.

    `only` limits which row types are landed in `work_dir`. Raises ValueError, naming the file and
    what to do, for anything that is not such an archive.
    """
    box = boxes.open_box(path)
    meta = box.find("meta.xml")
    if meta is None:
        return Archive(path, (_bare_table(box, work_dir),))
    core, others = _meta_tables(box, meta)
    base = PurePosixPath(meta).parent
    tables = []
    for element in (core, *others):
        row_type = element.get("rowType", "").strip()
        if element is core or not only or row_type in only:
            tables.append(_table(box, base, element, row_type, work_dir))
    return Archive(path, tuple(t for t in tables if t is not None))


def _meta_tables(box: boxes.Box, meta: str) -> tuple[Any, list[Any]]:
    text = box.read_small(meta)
    try:
        root = ElementTree.fromstring(text, forbid_dtd=True)
    except Exception as error:  # defusedxml raises ParseError and several ValueErrors
        raise ValueError(f"{box.path}: meta.xml is not readable XML: {error}") from error
    tables = [e for e in root if e.tag.rpartition("}")[2] in ("core", "extension", "table")]
    core = next((e for e in tables if e.tag.rpartition("}")[2] == "core"), None)
    if core is None and any(e.tag.rpartition("}")[2] == "table" for e in tables):
        core = tables[0]  # EOL's archives are tables side by side
    if core is None:
        raise ValueError(
            f"{box.path}: meta.xml names no <core> table; is this a Darwin Core Archive?"
        )
    return core, [e for e in tables if e is not core]


def _table(
    box: boxes.Box, base: PurePosixPath, element: Any, row_type: str, work_dir: Path
) -> Table | None:
    children: dict[str, list[Any]] = {}
    for child in element:
        children.setdefault(child.tag.rpartition("}")[2], []).append(child)
    locations = [
        (location.text or "").strip() for files in children.get("files", []) for location in files
    ]
    if not locations:
        raise ValueError(f"{box.path}: a table of meta.xml ({row_type}) names no file")
    members = [box.find(str(base / boxes.safe(box.path, location))) for location in locations]
    if any(member is None for member in members):
        missing = [loc for loc, m in zip(locations, members, strict=True) if m is None]
        raise ValueError(
            f"{box.path}: meta.xml names {', '.join(missing)}, which is not in the archive"
        )
    delimiter = _unescape(element.get("fieldsTerminatedBy", ","))
    if not delimiter:
        raise ValueError(f"{box.path}: meta.xml gives {locations[0]} no fieldsTerminatedBy")
    quote = _unescape(element.get("fieldsEnclosedBy", '"' if delimiter == "," else ""))
    shape = landing.Shape(
        encoding=element.get("encoding", "UTF-8"),
        delimiter=delimiter,
        quote=quote[:1],
        line_end=_unescape(element.get("linesTerminatedBy", "\n")),
        n_header_lines=_number(element.get("ignoreHeaderLines", "0")),
    )
    columns, defaults = _terms(children, box.path)
    text = landing.land(box, [m for m in members if m], shape, work_dir)
    least = max(columns.values(), default=-1) + 1
    n_columns = landing.n_header_columns(text, shape) if shape.n_header_lines else least
    return Table(
        row_type=row_type,
        name=locations[0],
        input=landing.table_input(text, shape, work_dir),
        columns=columns,
        defaults=defaults,
        n_columns=max(n_columns, least),
        exact=bool(shape.n_header_lines),
    )


def _terms(children: dict[str, list[Any]], path: Path) -> tuple[dict[str, int], dict[str, str]]:
    columns: dict[str, int] = {}
    defaults: dict[str, str] = {}
    for child in (*children.get("id", []), *children.get("coreid", [])):
        if child.get("index") is not None:
            columns["id"] = _number(child.get("index"))
    for child in children.get("field", []):
        term = (child.get("term") or "").strip().rstrip("/").rpartition("/")[2].rpartition("#")[2]
        if child.get("index") is not None:
            columns.setdefault(term, _number(child.get("index")))
        if child.get("default"):
            defaults.setdefault(term, child.get("default"))
    if not columns:
        raise ValueError(f"{path}: a table of meta.xml maps no column to a term")
    return columns, defaults


def _bare_table(box: boxes.Box, work_dir: Path) -> Table:
    """A zip or folder with one delimited table and no meta.xml: columns are named by the header."""
    data = [m for m in box.members if m.lower().endswith((".csv", ".txt", ".tsv", ".tab"))]
    others = [m for m in box.members if not m.lower().endswith(".xml") and m not in data]
    if len(data) != 1 or others:
        raise ValueError(
            f"{box.path}: no meta.xml, and {len(data)} tables and {len(others)} other files instead of "
            "one table; a Darwin Core Archive needs meta.xml beside its tables"
        )
    return loose_table(box, data[0], OCCURRENCE, work_dir)


def loose_table(
    box: boxes.Box, member: str, row_type: str, work_dir: Path,
    *, rename: Mapping[str, str] | None = None, constants: Mapping[str, str] | None = None,
) -> Table:  # fmt: skip
    """A delimited table that its own header line describes; ValueError when it has none.

    `rename` maps a term to the column that holds it, `constants` a term to the value of every row.
    """
    start = box.read_start(member)
    encoding = landing.encoding_of(box, member)
    text = start.decode(encoding, "replace").replace("\0", "").lstrip("\ufeff\r\n")
    head = re.split("[\r\n]", text, maxsplit=1)[0]
    open_tree = "\t|\t" in head  # Open Tree's tables are split by tab, bar, tab
    delimiter = "\t|\t" if open_tree else max("\t", ",", ";", "|", key=head.count)
    shape = landing.Shape(encoding, delimiter, "" if "\t" in delimiter else '"', "\n", 1)
    split = (
        head.split(delimiter) if open_tree else next(csv.reader([head], delimiter=delimiter), [])
    )
    names = [name.strip("\t| ") if open_tree else name for name in split]
    columns = {name.strip().rpartition(":")[2]: i for i, name in enumerate(names)}
    for term, column in (rename or {}).items():
        if column not in columns:
            raise ValueError(f"{box.path}: {member} has no column {column!r} (for {term}); it has "
                             f"{', '.join(columns)}")  # fmt: skip
        columns[term] = columns[column]
    if len(columns) < 2:
        raise ValueError(f"{box.path}: {member} has no header line of column names")
    if row_type != TAXON:  # a taxonomy without ids is none
        columns.setdefault("id", columns.get("gbifID", 0))
    landed = landing.land(box, [member], shape, work_dir)
    source = landing.table_input(landed, shape, work_dir)
    return Table(row_type, member, source, columns, dict(constants or {}), len(names), True)


def _unescape(text: str) -> str:
    return (
        text.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r").replace("&quot;", '"')
    )


def _number(text: str | None) -> int:
    plain = (text or "0").strip()
    if not re.fullmatch("[0-9]{1,4}", plain):
        raise ValueError(f"meta.xml: {text!r} is not a column number or a count of header lines")
    return int(plain)
