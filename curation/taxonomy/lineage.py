"""Taxon tables with parents -> one row per name with its rank-labelled lineage.

Ranks are rebuilt from the top: roots first, then their children, each taxon once, carrying the
names above it. A parent that is not in the table makes a root; taxa on a cycle are never reached
and keep only the ranks their row states.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import sql
from curation.sources import boxes, dwca
from curation.taxonomy import names

NODE_SQL = """
select
  said(fields, $at.taxonID) as taxonID,
  said(fields, $at.parentNameUsageID) as parentNameUsageID,
  coalesce(said(fields, $at.acceptedNameUsageID),   -- in ColDP a synonym's parent is its taxon
    case when $coldp and contains(lower(said(fields, $at.taxonomicStatus)), 'synonym')
         then said(fields, $at.parentNameUsageID) end) as acceptedNameUsageID,
  nullif(lower(said(fields, $at.taxonRank)), 'unranked') as taxonRank,
  lower(said(fields, $at.taxonomicStatus)) as taxonomicStatus,
  said(fields, $at.scientificName) as scientificName,
  said(fields, $at.canonicalName) as canonicalName,
  said(fields, $at.scientificNameAuthorship) as scientificNameAuthorship,
  said(fields, $at.kingdom) as kingdom, said(fields, $at.phylum) as phylum,
  said(fields, $at.class_) as "class", said(fields, $at.order_) as "order",
  said(fields, $at.family) as family, said(fields, $at.genus) as genus,
  said(fields, $at.eolID) as eolID
from node
"""

SQL = """
with recursive named as (
  select n.* replace (coalesce(n.canonicalName, c.canonical, n.scientificName) as canonicalName),
    coalesce(n.scientificNameAuthorship, c.authorship) as authorship
  from node n left join canonical c on c.scientificName = n.scientificName
  where n.taxonID is not null and n.scientificName is not null
),
one as (select * from named qualify row_number() over (partition by taxonID order by scientificName) = 1),
walk as (
  select taxonID,
    case when taxonRank = 'kingdom' then canonicalName end as kingdom,
    case when taxonRank = 'phylum' then canonicalName end as phylum,
    case when taxonRank = 'class' then canonicalName end as "class",
    case when taxonRank = 'order' then canonicalName end as "order",
    case when taxonRank = 'family' then canonicalName end as family,
    case when taxonRank = 'genus' then canonicalName end as genus,
    case when taxonRank = 'species' then canonicalName end as species
  from one
  where parentNameUsageID is null or parentNameUsageID = taxonID
    or not exists (select 1 from one up where up.taxonID = one.parentNameUsageID)
  union all
  select n.taxonID,
    case when n.taxonRank = 'kingdom' then n.canonicalName else w.kingdom end,
    case when n.taxonRank = 'phylum' then n.canonicalName else w.phylum end,
    case when n.taxonRank = 'class' then n.canonicalName else w."class" end,
    case when n.taxonRank = 'order' then n.canonicalName else w."order" end,
    case when n.taxonRank = 'family' then n.canonicalName else w.family end,
    case when n.taxonRank = 'genus' then n.canonicalName else w.genus end,
    case when n.taxonRank = 'species' then n.canonicalName else w.species end
  from walk w join one n on n.parentNameUsageID = w.taxonID and n.taxonID <> w.taxonID
)
select n.taxonID, n.parentNameUsageID, n.acceptedNameUsageID, n.taxonRank, n.taxonomicStatus,
  n.scientificName, n.canonicalName, n.authorship as scientificNameAuthorship, n.eolID,
  coalesce(w.kingdom, n.kingdom) as kingdom,
  coalesce(w.phylum, n.phylum) as phylum,
  coalesce(w."class", n."class") as "class",
  coalesce(w."order", n."order") as "order",
  coalesce(w.family, n.family) as family,
  coalesce(w.genus, n.genus) as genus,
  w.species
from one n left join walk w using (taxonID)
order by n.taxonID
"""

_TERMS = {
    "taxonID": "taxonID ID id", "parentNameUsageID": "parentNameUsageID parentID",
    "acceptedNameUsageID": "acceptedNameUsageID", "taxonRank": "taxonRank rank",
    "taxonomicStatus": "taxonomicStatus status", "scientificName": "scientificName",
    "canonicalName": "canonicalName", "scientificNameAuthorship": "scientificNameAuthorship authorship",
    "kingdom": "kingdom", "phylum": "phylum", "class_": "class", "order_": "order", "family": "family",
    "genus": "genus", "eolID": "eolID EOLid",
}  # fmt: skip


def walked(con: duckdb.DuckDBPyConnection, path: Path, work_dir: Path) -> Path:
    """The lineage table of a loose taxon table (taxon.tab, Taxon.tsv), as parquet."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the taxonomy paths in the recipe")
    box = boxes.Box(path.parent, (path.name,))
    return walked_table(con, dwca.loose_table(box, path.name, dwca.TAXON, work_dir), work_dir)


def walked_table(con: duckdb.DuckDBPyConnection, table: dwca.Table, work_dir: Path) -> Path:
    """The lineage table of a taxon table, as parquet in `work_dir`. ValueError without its columns."""
    con.execute(dwca.MACROS)
    at = table.at(**_TERMS)
    if at["taxonID"]["i"] is None or at["scientificName"]["i"] is None:
        raise ValueError(
            f"{table.name} has no columns taxonID and scientificName: {sorted(table.columns)}"
        )
    work_dir.mkdir(parents=True, exist_ok=True)
    node_path, target = (
        work_dir / f"node-{table.name}.parquet",
        work_dir / f"tree-{table.name}.parquet",
    )
    for made in (node_path, target):
        made.parent.mkdir(parents=True, exist_ok=True)
    sql.query(con, NODE_SQL, {"at": at, "coldp": "parentID" in table.columns},
              node=table.input).copy_to(node_path)  # fmt: skip
    sql.query(con, SQL, node=node_path, canonical=canonical_names(con, node_path)).copy_to(target)
    return target


def canonical_names(con: duckdb.DuckDBPyConnection, node_path: Path) -> pa.Table:
    """Canonical form and authorship of every name that comes without its canonical form."""
    rows = sql.query(con, MISSING_SQL, node=node_path).table().column("scientificName").to_pylist()
    parsed = [names.parse(text) for text in rows]
    return pa.table(
        {
            "scientificName": pa.array(rows, pa.string()),
            "canonical": pa.array([name.canonical for name in parsed], pa.string()),
            "authorship": pa.array([name.authorship for name in parsed], pa.string()),
        }
    )


MISSING_SQL = """
select distinct scientificName from node
where canonicalName is null and scientificName is not null order by scientificName
"""


def no_lineage() -> pa.Table:
    """The lineage table without rows, for sources that come without a hierarchy."""
    columns = (
        "taxonID parentNameUsageID acceptedNameUsageID taxonRank taxonomicStatus scientificName "
        "canonicalName scientificNameAuthorship eolID kingdom phylum class order family genus species"
    ).split()
    return pa.schema([(name, pa.string()) for name in columns]).empty_table()
