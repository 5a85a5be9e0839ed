"""The files taxonomies come in -> node rows, one per name, in the words of Darwin Core.

In   a Darwin Core checklist (GBIF's backbone, the Catalogue of Life, any other), a ColDP package
     (NameUsage, or Name with Taxon and Synonym), Open Tree's taxonomy.tsv with synonyms.tsv, or a
     loose table whose columns the recipe names
Out  parquet with the columns of `lineage.NODE`

Sources: Darwin Core text guide; ColDP, https://github.com/CatalogueOfLife/coldp; Open Tree's
interim taxonomy format, https://github.com/OpenTreeOfLife/reference-taxonomy/wiki.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from catalog import sql
from curation.sources import boxes, dwca
from curation.sources.dwca import Table

DWC_SQL = """
select
  source_row, said(fields, $at.taxonID) as taxonID,
  said(fields, $at.parentNameUsageID) as parentNameUsageID,
  coalesce(said(fields, $at.acceptedNameUsageID),   -- in ColDP a synonym's parent is its taxon
    case when $coldp and regexp_matches(lower(said(fields, $at.taxonomicStatus)), 'synonym|misapplied')
         then said(fields, $at.parentNameUsageID) end) as acceptedNameUsageID,
  said(fields, $at.taxonRank) as taxonRank,
  said(fields, $at.taxonomicStatus) as taxonomicStatus,
  said(fields, $at.scientificName) as scientificName,
  said(fields, $at.canonicalName) as canonicalName,
  said(fields, $at.scientificNameAuthorship) as scientificNameAuthorship,
  said(fields, $at.kingdom) as kingdom, said(fields, $at.phylum) as phylum,
  said(fields, $at.class_) as "class", said(fields, $at.order_) as "order",
  said(fields, $at.family) as family, said(fields, $at.genus) as genus,
  said(fields, $at.nomenclaturalCode) as nomenclaturalCode,
  said(fields, $at.eolID) as eolID
from node
"""

COLDP_SQL = """
with n as (
  select said(fields, $name.id) as id, said(fields, $name.scientificName) as scientificName,
    said(fields, $name.authorship) as authorship, said(fields, $name.rank) as rank,
    said(fields, $name.code) as code
  from name
),
usage as (
  select source_row, said(fields, $taxon.id) as taxonID, said(fields, $taxon.parent) as parentNameUsageID,
    null as acceptedNameUsageID, said(fields, $taxon.name) as name_id,
    coalesce(said(fields, $taxon.status), case when lower(said(fields, $taxon.provisional)) in ('true', '1')
      then 'provisionally accepted' else 'accepted' end) as taxonomicStatus
  from taxon
  union all
  select source_row, said(fields, $synonym.name) || '@' || said(fields, $synonym.taxon), null, said(fields, $synonym.taxon),
    said(fields, $synonym.name), coalesce(said(fields, $synonym.status), 'synonym')
  from synonym
)
select u.source_row, u.taxonID, u.parentNameUsageID, u.acceptedNameUsageID, n.rank as taxonRank,
  u.taxonomicStatus, n.scientificName, null::varchar as canonicalName,
  n.authorship as scientificNameAuthorship, null::varchar as kingdom, null::varchar as phylum,
  null::varchar as "class", null::varchar as "order", null::varchar as family, null::varchar as genus,
  n.code as nomenclaturalCode, null::varchar as eolID
from usage u left join n on n.id = u.name_id
"""

OPEN_TREE_SQL = """
select source_row, said(fields, $taxon.uid) as taxonID, said(fields, $taxon.parent) as parentNameUsageID,
  null::varchar as acceptedNameUsageID, said(fields, $taxon.rank) as taxonRank,
  'accepted' as taxonomicStatus, said(fields, $taxon.name) as scientificName,
  null::varchar as canonicalName, null::varchar as scientificNameAuthorship,
  null::varchar as kingdom, null::varchar as phylum, null::varchar as "class",
  null::varchar as "order", null::varchar as family, null::varchar as genus,
  null::varchar as nomenclaturalCode, null::varchar as eolID
from taxon
union all
select source_row, 'synonym:' || source_row, null, said(fields, $synonym.uid), null, 'synonym',
  said(fields, $synonym.name), null, null, null, null, null, null, null, null, null, null
from synonym where said(fields, $synonym.uid) is not null
"""

_DWC = {
    "taxonID": "taxonID ID id", "parentNameUsageID": "parentNameUsageID parentID",
    "acceptedNameUsageID": "acceptedNameUsageID", "taxonRank": "taxonRank rank",
    "taxonomicStatus": "taxonomicStatus status", "scientificName": "scientificName",
    "canonicalName": "canonicalName", "scientificNameAuthorship": "scientificNameAuthorship authorship",
    "kingdom": "kingdom", "phylum": "phylum", "class_": "class", "order_": "order", "family": "family",
    "genus": "genus", "nomenclaturalCode": "nomenclaturalCode code", "eolID": "eolID EOLid",
}  # fmt: skip
_COLDP = {
    "name": {"id": "ID", "scientificName": "scientificName", "authorship": "authorship", "rank": "rank",
             "code": "code"},
    "taxon": {"id": "ID", "parent": "parentID", "name": "nameID", "status": "status",
              "provisional": "provisional"},
    "synonym": {"id": "ID", "taxon": "taxonID", "name": "nameID", "status": "status"},
}  # fmt: skip
_OPEN_TREE = {
    "taxon": {"uid": "uid", "parent": "parent_uid", "name": "name", "rank": "rank"},
    "synonym": {"uid": "uid", "name": "name"},
}


def from_table(con: duckdb.DuckDBPyConnection, table: Table, target: Path) -> Path:
    """Node rows of one table with ids and names. ValueError when it lacks those columns."""
    con.execute(dwca.MACROS)
    at = table.at(**_DWC)
    missing = [term for term in ("taxonID", "scientificName") if at[term]["i"] is None]
    if missing:
        raise ValueError(
            f"{table.name} has no column {' and no column '.join(missing)}; name yours in the recipe: "
            f'columns = {{ {missing[0]} = "…" }}, one of {", ".join(map(repr, table.columns))}'
        )
    params = {"at": at, "coldp": "parentID" in table.columns}
    return _written(sql.query(con, DWC_SQL, params, node=table.input), target)


def from_coldp(
    con: duckdb.DuckDBPyConnection, name: Table, taxon: Table, synonym: Table | None, target: Path
) -> Path:
    """Node rows of a ColDP package that keeps names, taxa and synonyms apart."""
    tables = {"name": name, "taxon": taxon, "synonym": synonym}
    return _joined(con, COLDP_SQL, tables, _COLDP, target)


def from_open_tree(
    con: duckdb.DuckDBPyConnection, taxon: Table, synonym: Table | None, target: Path
) -> Path:
    """Node rows of Open Tree's taxonomy.tsv and synonyms.tsv."""
    return _joined(con, OPEN_TREE_SQL, {"taxon": taxon, "synonym": synonym}, _OPEN_TREE, target)


def _joined(
    con: duckdb.DuckDBPyConnection, text: str, tables: dict[str, Table | None],
    terms: dict[str, dict[str, str]], target: Path,
) -> Path:  # fmt: skip
    con.execute(dwca.MACROS)
    none = {"i": None, "v": None}
    params = {which: table.at(**terms[which]) if table else dict.fromkeys(terms[which], none)
              for which, table in tables.items()}  # fmt: skip
    for which, table in tables.items():
        lacks = [terms[which][k] for k in ("id", "uid", "scientificName") if table and k in terms[which]
                 and params[which][k]["i"] is None and which != "synonym"]  # fmt: skip
        if table and lacks:
            raise ValueError(
                f"{table.name} has no column {', '.join(lacks)}: {sorted(table.columns)}"
            )
    inputs = {which: table.input if table else dwca.NO_ROWS for which, table in tables.items()}
    return _written(sql.query(con, text, params, **inputs), target)


def _written(query: sql.Query, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    query.copy_to(target)
    return target


def loose(path: Path, work_dir: Path) -> Table:
    """A taxon table that lies alone (taxon.tab, Taxon.tsv). ValueError when it is not there."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the taxonomy paths in the recipe")
    box = boxes.Box(path.parent, (path.name,))
    return dwca.loose_table(box, path.name, dwca.TAXON, work_dir)
