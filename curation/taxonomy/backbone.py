"""Taxonomies -> one table of names, each with its accepted id and rank-labelled lineage.

In   a GBIF backbone or any Darwin Core checklist (zip, folder or loose Taxon.tsv), a ColDP package
     (NameUsage, or Name with Taxon and Synonym), Open Tree's taxonomy.tsv
Out  schema.TAXON rows of one taxonomy; vernacular names as schema.VERNACULAR; what was not sound as
     schema.PROBLEM
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from catalog import sql
from curation.sources import boxes, dwca
from curation.taxonomy import lineage, nodes, vernacular

SQL = """
select
  $taxonomy as taxonomy, taxonID, parentNameUsageID, acceptedNameUsageID, taxonomicStatus,
  nomenclaturalCode, name_key, stem_key,
  kingdom, phylum, "class", "order", family, genus, species,
  nullif(regexp_extract(canonicalName, '^[A-Z][a-z-]+ ([^A-Z ]+)( [^A-Z ]+)?$', 1), '') as specificEpithet,
  nullif(regexp_extract(canonicalName, '^[A-Z][a-z-]+ [^A-Z ]+ ([^A-Z ]+)$', 1), '') as infraspecificEpithet,
  taxonRank, canonicalName, scientificName, scientificNameAuthorship
from lineage
order by taxonomy, taxonID
"""

PROBLEMS_SQL = """
select $taxonomy as taxonomy, taxonID, problem, detail from problem
union all
select $taxonomy, taxonID, 'vernacular_of_homonym', vernacularName from misplaced
order by taxonomy, problem, taxonID, detail
"""

_ROWS = (dwca.TAXON, dwca.VERNACULAR)
_COMMON = ("VernacularName", "vernacular-name", "vernacularname", "vernacular_name")


@dataclass(frozen=True)
class Checklist:
    """The queries that give one taxonomy's three tables."""

    names: sql.Query
    common: sql.Query
    problems: sql.Query


def taxon(
    con: duckdb.DuckDBPyConnection,
    *,
    name: str,
    path: Path,
    work_dir: Path,
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
) -> Checklist:
    """The names, the vernacular names and the problems of one taxonomy, called `name` in every row.

    `columns` and `constants` describe a loose table whose header uses other words. Raises ValueError
    when the file is no checklist.
    """
    con.execute(dwca.MACROS)
    work_dir.mkdir(parents=True, exist_ok=True)
    node, common = _read(con, path, work_dir, columns, constants)
    tree, problems = lineage.lineage(con, node, work_dir)
    params = {"taxonomy": name}
    spoken, misplaced = vernacular.names(con, common, tree, name, work_dir)
    return Checklist(
        sql.query(con, SQL, params, lineage=tree),
        sql.query(con, "select * from spoken order by taxonomy, taxonID, language", spoken=spoken),
        sql.query(con, PROBLEMS_SQL, params, problem=problems, misplaced=misplaced),
    )


def _read(
    con: duckdb.DuckDBPyConnection, path: Path, work_dir: Path, columns: Mapping[str, str] | None,
    constants: Mapping[str, str] | None,
) -> tuple[Path, dwca.Table | None]:  # fmt: skip
    """Node rows of a checklist of any form, and its table of vernacular names."""
    target = work_dir / "node.parquet"

    def loose(member: str, row_type: str = dwca.TAXON) -> dwca.Table:
        return dwca.loose_table(box, member, row_type, work_dir)

    if path.is_file() and path.suffix.lower() in (".tsv", ".txt", ".tab", ".csv", ".gz"):
        box = boxes.Box(path.parent, (path.name,))
        table = dwca.loose_table(box, path.name, dwca.TAXON, work_dir,
                                 rename=columns, constants=constants)  # fmt: skip
        if not columns and {"uid", "parent_uid"} <= table.columns.keys():
            beside = path.with_name(path.name.replace("taxonomy", "synonyms"))
            box = boxes.Box(path.parent, (beside.name,))
            other = loose(beside.name) if beside != path and beside.is_file() else None
            return nodes.from_open_tree(con, table, other, target), None
        own = {"taxonID", "vernacularName"} <= table.columns.keys()
        return nodes.from_table(con, table, target), table if own else None
    box = boxes.open_box(path)
    spoken = _find(box, *_COMMON)
    common = loose(spoken, dwca.VERNACULAR) if spoken else None
    if member := _find(box, "NameUsage", "name-usage"):
        return nodes.from_table(con, loose(member), target), common
    name, usage, synonym = (_find(box, stem) for stem in ("Name", "Taxon", "Synonym"))
    if name and usage and not box.find("meta.xml"):
        rows = nodes.from_coldp(
            con, loose(name), loose(usage), loose(synonym) if synonym else None, target
        )
        return rows, common
    if box.find("meta.xml"):
        archive = dwca.open_archive(path, work_dir, only=_ROWS)
        taxa = archive.first(dwca.TAXON)
        if taxa is None:
            raise ValueError(f"{path} has no taxon table; a taxonomy needs one")
        return nodes.from_table(con, taxa, target), archive.first(dwca.VERNACULAR)
    if (member := _find(box, "taxonomy")) and "uid" in loose(member).columns:
        synonym = _find(box, "synonyms")
        return nodes.from_open_tree(
            con, loose(member), loose(synonym) if synonym else None, target
        ), None
    if member := _find(box, "Taxon"):
        return nodes.from_table(con, loose(member), target), common
    raise ValueError(f"{path} is no checklist: it needs meta.xml, Taxon.tsv, NameUsage.tsv or "
                     "Open Tree's taxonomy.tsv")  # fmt: skip


def _find(box: boxes.Box, *stems: str) -> str | None:
    """The member called by one of the stems, as tsv, csv, txt or tab."""
    names = (f"{stem}.{suffix}" for stem in stems for suffix in ("tsv", "csv", "txt", "tab"))
    return next((found for name in names if (found := box.find(name))), None)
