"""Lists of sensitive species: read, and matched to what the media rows were resolved to.

In   tables (CSV, TSV) with scientificName and, where they have them, kingdom, family, genus and generalisation
     ("1km", "10 km", "WITHHOLD"), such as the state lists of the Atlas of Living Australia
Out  HIT: lineages of media rows that a list names, with cell and region

List names go through the same resolver as the pictures' own. A listed species covers its subspecies, a listed
subspecies its species (which subspecies it was is not known), a listed higher taxon all in it; names as they stand
are compared too, for what no taxonomy resolves: what may be sensitive is protected.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from catalog import sql
from curation import species_list

if TYPE_CHECKING:
    from curation.recipe import SensitiveList

_REGION = [(n, pa.float64()) for n in ("south", "west", "north", "east")]
HIT = pa.schema([("lineage", pa.string()), ("list", pa.string()), ("is_withheld", pa.bool_()),
                 ("cell_km", pa.float64()), ("country", pa.string()), *_REGION])  # fmt: skip
_WITHHOLD = ("withhold", "withheld")
_DISTANCE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(km|m)", re.I)
TERMS = species_list.NAMES | {"generalisation": ("generalisation",)}

MACROS = r"""
create or replace macro bare(text) as lower(regexp_extract(       -- without author, subgenus, cross, qualifier, spaces too many
  regexp_replace(regexp_replace(regexp_replace(trim(text),
    '^(\S+)\s+\(\p{Lu}\p{Ll}+\)\s+(\p{Ll})', '\1 \2'), '\s+([×x]\s+|×|(cf|aff|nr|near)\.?\s+)', ' ', 'gi'), '\s+', ' ', 'g'),
  '^\p{L}[\p{L}-]+( [\p{Ll}-]+){0,2}'));
create or replace macro names_a_species(text) as regexp_matches(trim(text), '^\S+\s+(\(\S+\)\s*)?[×x]?\s*\p{Ll}');
"""

HIT_SQL = """
with named as (
  select e.source_row, s.verbatimScientificName as said,
    unnest([lower(trim(s.verbatimScientificName)), bare(s.verbatimScientificName),
      regexp_extract(bare(s.verbatimScientificName), '^\\S+ \\S+'), lower(l.canonicalName), lower(l.species)]) as key
  from entry e join listed s using (source_row) left join listed_label l on l.lineage = s.lineage
),
asked as (                      -- a species that nobody knows does not stand for its whole genus
  select distinct source_row, key from named where contains(key, ' ') or not names_a_species(said)
),
said as (
  select distinct lineage, verbatimScientificName, scientificName, species, genus, family, "order", "class", phylum
  from media
),
known as (
  select lineage, unnest([lower(trim(verbatimScientificName)), bare(verbatimScientificName), bare(scientificName),
    regexp_extract(bare(verbatimScientificName), '^\\S+ \\S+'), regexp_extract(bare(scientificName), '^\\S+ \\S+'),
    bare(species), lower(genus), lower(family), lower("order"), lower("class"), lower(phylum)]) as key
  from said
  union all
  select lineage, unnest([lower(canonicalName), lower(species), lower(genus), lower(family), lower("order"),
    lower("class"), lower(phylum)])
  from label
),
met as (select distinct k.lineage, a.source_row from known k join asked a using (key) where key <> '')
select m.lineage, e.list, e.is_withheld, e.cell_km, e.country, e.south, e.west, e.north, e.east
from met m join entry e using (source_row)
group by all order by lineage, list, cell_km, is_withheld, country, south
"""


def hits(
    con: duckdb.DuckDBPyConnection, lists: Sequence[tuple[SensitiveList, Path]], *, media_: Path, label: Path,
    resolve: species_list.Resolve, folder: Path,
) -> pa.Table:  # fmt: skip
    """HIT for lists and the paths of their tables; `resolve(media, work)` gives labels as the build does.

    Raises ValueError for a list that is missing, has no names, or states a distance that is none.
    """
    known, named = list[dict[str, Any]](), list[tuple[str, species_list.Said]]()
    for item, path in lists:
        for row, entry in entries(item, path):
            known.append({"source_row": len(known), **entry})
            named.append((item.name, row))
    listed, found = species_list.resolved(con, named, resolve=resolve, folder=folder)
    fields = pa.schema([("source_row", pa.int64()), *HIT]).remove(1)
    con.execute(MACROS)
    entry = pa.Table.from_pylist(known, schema=fields)
    return sql.query(con, HIT_SQL, entry=entry, listed=listed, listed_label=found, media=media_,
                     label=label).table()  # fmt: skip


def entries(item: SensitiveList, path: Path) -> list[tuple[species_list.Said, dict[str, Any]]]:
    """Rows of a list, and what each asks for; ValueError where that cannot be read."""
    said = species_list.rows(f"geoprivacy list {item.name!r}", path, item.columns, TERMS)
    return [(row, {"list": item.name, **_entry(item, path, row)}) for row in said]


def _entry(item: SensitiveList, path: Path, row: dict[str, Any]) -> dict[str, Any]:
    text = (row["generalisation"] or item.generalisation).strip()
    distance = _DISTANCE.fullmatch(text)
    is_none = distance is None or float(distance[1]) == 0
    if text.lower() not in _WITHHOLD and is_none:
        raise ValueError(f"geoprivacy list {item.name!r}: {path} says {text!r} of {row['scientificName']!r}; "
                         "write a distance such as 10 km, or WITHHOLD")  # fmt: skip
    km = (
        0.0
        if distance is None
        else float(distance[1]) / (1 if distance[2].lower() == "km" else 1000)
    )
    region = dict(zip(("south", "west", "north", "east"), item.box or (None,) * 4, strict=True))
    return {
        "is_withheld": distance is None,
        "cell_km": km,
        "country": item.country.upper() or None,
        **region,
    }
