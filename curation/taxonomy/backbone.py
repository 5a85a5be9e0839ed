"""Taxonomies -> one table of names, each with its accepted id and rank-labelled lineage.

In   a GBIF backbone or any Darwin Core checklist (zip, folder or loose Taxon.tsv), or a ColDP
     package with NameUsage.tsv
Out  schema.TAXON rows of one taxonomy; vernacular names as schema.VERNACULAR
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from catalog import schema, sql
from curation.sources import boxes, dwca
from curation.taxonomy import lineage

SQL = """
select
  $taxonomy as taxonomy, taxonID, parentNameUsageID,
  case when acceptedNameUsageID = taxonID then null else acceptedNameUsageID end
    as acceptedNameUsageID,
  coalesce(taxonomicStatus,
           case when acceptedNameUsageID <> taxonID then 'synonym' else 'accepted' end)
    as taxonomicStatus,
  kingdom, phylum, "class", "order", family,
  coalesce(genus, case when contains(canonicalName, ' ') and not contains(canonicalName, 'virus')
                       then string_split(canonicalName, ' ')[1] end) as genus,
  case when taxonRank = 'species' then canonicalName
       when species is not null then species
       when array_length(string_split(canonicalName, ' ')) >= 3
         then array_to_string(string_split(canonicalName, ' ')[1:2], ' ') end as species,
  case when array_length(string_split(canonicalName, ' ')) >= 2
       then string_split(canonicalName, ' ')[2] end as specificEpithet,
  case when array_length(string_split(canonicalName, ' ')) >= 3
       then string_split(canonicalName, ' ')[-1] end as infraspecificEpithet,
  taxonRank, canonicalName, scientificName, scientificNameAuthorship
from lineage
order by taxonomy, taxonID
"""

VERNACULAR_SQL = """
with name as (
  select said(fields, $at.taxonID) as taxonID,
    lower(coalesce(said(fields, $at.language), 'und')) as language,
    said(fields, $at.vernacularName) as vernacularName
  from vernacular
),
counted as (                    -- the name most sources agree on, then the shortest, then A to Z
  select taxonID, case language when 'eng' then 'en' when 'fra' then 'fr' when 'deu' then 'de'
                               when 'spa' then 'es' else language end as language,
    vernacularName, count(*) as n
  from name where taxonID is not null and vernacularName is not null group by all
)
select $taxonomy as taxonomy, taxonID, language,
  first(vernacularName order by n desc, length(vernacularName), vernacularName) as vernacularName
from counted group by all order by taxonomy, taxonID, language
"""

_ROWS = (dwca.TAXON, dwca.VERNACULAR)
_VERNACULAR_TERMS = {
    "taxonID": "taxonID id", "language": "language", "vernacularName": "vernacularName name",
}  # fmt: skip


def taxon(
    con: duckdb.DuckDBPyConnection,
    *,
    name: str,
    path: Path,
    work_dir: Path,
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
) -> tuple[sql.Query, sql.Query]:
    """The names and the vernacular names of one taxonomy, called `name` in every row.

    `columns` and `constants` describe a loose table whose header uses other words. Raises ValueError when the file is no checklist.
    """
    con.execute(dwca.MACROS)
    work_dir.mkdir(parents=True, exist_ok=True)
    taxa, common = _tables(path, work_dir, columns, constants)
    tree = lineage.walked_table(con, taxa, work_dir)
    params = {"taxonomy": name}
    names = sql.query(con, SQL, params, lineage=tree)
    if common is None:
        return names, sql.query(con, "select * from blank", blank=schema.VERNACULAR.empty())
    at = common.at(**_VERNACULAR_TERMS)
    return names, sql.query(con, VERNACULAR_SQL, {**params, "at": at}, vernacular=common.input)


def _tables(
    path: Path,
    work_dir: Path,
    columns: Mapping[str, str] | None,
    constants: Mapping[str, str] | None,
) -> tuple[dwca.Table, dwca.Table | None]:
    if path.is_file() and path.suffix.lower() in (".tsv", ".txt", ".tab", ".csv", ".gz"):
        box = boxes.Box(path.parent, (path.name,))
        table = dwca.loose_table(box, path.name, dwca.TAXON, work_dir,
                                 rename=columns, constants=constants)  # fmt: skip
        own = {"taxonID", "vernacularName"} <= table.columns.keys()
        return table, table if own else None
    box = boxes.open_box(path)
    if member := box.find("NameUsage.tsv"):
        other = box.find("VernacularName.tsv") or box.find("vernacular-name.tsv")
        common = dwca.loose_table(box, other, dwca.VERNACULAR, work_dir) if other else None
        return dwca.loose_table(box, member, dwca.TAXON, work_dir), common
    if box.find("meta.xml"):
        archive = dwca.open_archive(path, work_dir, only=_ROWS)
        taxa = archive.first(dwca.TAXON)
        if taxa is None:
            raise ValueError(f"{path} has no taxon table; a taxonomy needs one")
        return taxa, archive.first(dwca.VERNACULAR)
    if member := box.find("Taxon.tsv"):
        other = box.find("VernacularName.tsv")
        common = dwca.loose_table(box, other, dwca.VERNACULAR, work_dir) if other else None
        return dwca.loose_table(box, member, dwca.TAXON, work_dir), common
    raise ValueError(f"{path} is no checklist: it needs meta.xml, Taxon.tsv or NameUsage.tsv")
