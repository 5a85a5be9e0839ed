"""EOL: media manifests joined to the Dynamic Hierarchy, and harvest archives.

In   media manifest CSV (one file, a folder or a tar of them) with a `taxon.tab` of the Dynamic
     Hierarchy, or a harvest archive (Darwin Core Archive with `media_resource.tab`)
Out  schema.SOURCE: one row per media row

`Medium Source URL` is mostly a web page: it becomes `references` and is never fetched as a picture.
The hierarchy carries no rank labels in `higherClassification`, so ranks are rebuilt by walking
parents; a page it does not know keeps the manifest's own ranks.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import schema, sql
from curation import image_type
from curation.sources import boxes, dwca
from curation.taxonomy import lineage, nodes

MANIFEST_SQL = """
select $table as source_table, source_row,
  len(fields) <> $n_columns as ragged,
  said(fields, $at.content_id) as content_id,
  said(fields, $at.page_id) as page_id,
  said(fields, $at.name) as name,
  said(fields, $at.kingdom) as kingdom, said(fields, $at.phylum) as phylum,
  said(fields, $at.class_) as "class", said(fields, $at.order_) as "order",
  said(fields, $at.family) as family,
  said(fields, $at.title) as title,
  said(fields, $at.page) as "references",
  said(fields, $at.copy) as identifier,
  said(fields, $at.license) as license_verbatim,
  said(fields, $at.owner) as owner
from manifest
"""

SQL = """
with page as (
  select t.*, row_number() over (partition by eolID order by taxonID) as nth
  from lineage t where eolID is not null
)
select * from blank
union all by name
select
  $archive as archive, m.source_table, m.source_row,
  (row_number() over (partition by page_id order by source_table, source_row) - 1)::integer
    as media_index,
  'eol' as source, coalesce(m.content_id, m.page_id) as source_id, m.page_id as record_key,
  m.identifier, m."references", m.title,
  words_type(concat_ws(' | ', m.title, file_name(m."references"))) as image_type,
  coalesce(provider_key_of(canonical_url(m.identifier)), provider_key_of(canonical_url(m."references")))
    as provider_key,
  case when p.taxonID is null then m.kingdom else p.kingdom end as kingdom,
  case when p.taxonID is null then m.phylum else p.phylum end as phylum,
  case when p.taxonID is null then m."class" else p."class" end as "class",
  case when p.taxonID is null then m."order" else p."order" end as "order",
  case when p.taxonID is null then m.family else p.family end as family,
  p.genus, p.species, p.taxonRank,
  coalesce(m.name, p.canonicalName) as verbatimScientificName, p.canonicalName as scientificName,
  p.taxonID as taxonKey,
  case when p.taxonID is not null then 'eol-dynamic-hierarchy' end as checklistKey,
  m.license_verbatim,
  case when not regexp_matches(m.owner, '(?i)without owner') then m.owner end as rightsHolder,
  'Encyclopedia of Life' as publisher,
  case
    when m.ragged then 'ragged_row'
    when m.page_id is null then 'no_record_id'
    when m.identifier is null then 'no_identifier'
    when p.taxonID is null and m.name is null then 'page_not_in_hierarchy'
  end as reject_reason
from manifest m left join page p on p.eolID = m.page_id and p.nth = 1
order by archive, source_table, source_row, media_index
"""

HARVEST_SQL = """
with m as (
  select source_row, len(fields) < $n_columns or ($exact and len(fields) > $n_columns) as ragged,
    said(fields, $at.id) as id, said(fields, $at.taxon) as taxonID,
    said(fields, $at.type) as type, lower(said(fields, $at.format)) as format,
    said(fields, $at.url) as identifier, said(fields, $at.page) as "references",
    said(fields, $at.title) as title, said(fields, $at.description)[:500] as description,
    said(fields, $at.subtype) as subtype, said(fields, $at.license) as license_verbatim,
    said(fields, $at.owner) as owner, said(fields, $at.agent) as agentID
  from media
)
select * from blank
union all by name
select
  $archive as archive, $table as source_table, m.source_row,
  (row_number() over (partition by m.taxonID order by m.source_row) - 1)::integer as media_index,
  'eol' as source, m.id as source_id, coalesce(t.eolID, m.taxonID) as record_key,
  m.identifier, m."references", m.format, m.title,
  words_type(concat_ws(' | ', m.title, m.description, m.subtype, file_name(m.identifier))) as image_type,
  provider_key_of(canonical_url(m.identifier)) as provider_key,
  t.kingdom, t.phylum, t."class", t."order", t.family, t.genus, t.species, t.taxonRank,
  coalesce(t.canonicalName, t.scientificName) as verbatimScientificName,
  t.taxonID as taxonKey, 'eol-harvest' as checklistKey,
  m.license_verbatim, a.name as creator, m.owner as rightsHolder,
  'Encyclopedia of Life' as publisher,
  case
    when m.ragged then 'ragged_row'
    when m.taxonID is null then 'no_record_id'
    when t.taxonID is null then 'no_taxon'
    when m.type is not null and not is_still_image_type(m.type) then 'not_still_image'
    when m.format is not null and not is_image_format(m.format) then 'not_still_image'
    when m.identifier is null then 'no_identifier'
  end as reject_reason
from m
left join lineage t on t.taxonID = m.taxonID
left join agent a on a.id = m.agentID
order by archive, source_table, source_row, media_index
"""

AGENT_SQL = """
select said(fields, $at.id) as id, min(said(fields, $at.name)) as name from agent group by all
"""

_MANIFEST = {
    "content_id": ("EOL content ID",), "page_id": ("EOL page ID",), "name": ("Scientific name",),
    "kingdom": ("kingdom",), "phylum": ("phylum",), "class_": ("class",), "order_": ("order",),
    "family": ("family",), "title": ("Title",), "page": ("Medium Source URL",),
    "copy": ("EOL Full-Size Copy URL",), "license": ("License Name",), "owner": ("Copyright Owner",),
}  # fmt: skip


def eol(
    con: duckdb.DuckDBPyConnection,
    *,
    archive: str,
    path: Path,
    work_dir: Path,
    hierarchy: Path | None = None,
) -> sql.Query:
    """Media rows of an EOL manifest or harvest archive, as `schema.SOURCE`.

    `hierarchy` is the Dynamic Hierarchy's taxon.tab. Raises ValueError for a file of another shape.
    """
    con.execute(dwca.MACROS)
    con.execute(image_type.MACROS)
    work_dir.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.suffix.lower() == ".csv":
        box = boxes.Box(path.parent, (path.name,))
    else:
        box = boxes.open_box(path)
    if box.find("meta.xml"):
        return _harvest(con, archive, path, work_dir)
    members = [m for m in box.members if m.lower().endswith(".csv")]
    if not members:
        raise ValueError(
            f"{path} holds neither a media manifest (CSV) nor a harvest archive (meta.xml)"
        )
    pages = (
        lineage.no_lineage()
        if hierarchy is None
        else _walked(con, nodes.loose(hierarchy, work_dir), work_dir)
    )
    parts = [_manifest(con, box, member, work_dir) for member in members]
    return sql.query(con, SQL, {"archive": archive}, manifest=parts, lineage=pages,
                     blank=schema.SOURCE.empty())  # fmt: skip


def _walked(con: duckdb.DuckDBPyConnection, taxa: dwca.Table, work_dir: Path) -> Path:
    node = nodes.from_table(con, taxa, work_dir / "node.parquet")
    return lineage.lineage(con, node, work_dir)[0]


def _manifest(con: duckdb.DuckDBPyConnection, box: boxes.Box, member: str, work_dir: Path) -> Path:
    table = dwca.loose_table(box, member, dwca.MEDIA_ROWS[0], work_dir)
    if "EOL page ID" not in table.columns:
        raise ValueError(
            f"{box.path}: {member} has no column 'EOL page ID'; is it a media manifest?"
        )
    at = {name: table.place(*terms) for name, terms in _MANIFEST.items()}
    target = work_dir / f"manifest-{len(list(work_dir.glob('manifest-*')))}.parquet"
    params = {"at": at, "table": member, "n_columns": table.n_columns}
    sql.query(con, MANIFEST_SQL, params, manifest=table.input).copy_to(target)
    return target


def _harvest(con: duckdb.DuckDBPyConnection, name: str, path: Path, work_dir: Path) -> sql.Query:
    agent_row = "http://eol.org/schema/agent/Agent"
    archive = dwca.open_archive(path, work_dir, only=(*dwca.MEDIA_ROWS, dwca.TAXON, agent_row))
    media, taxa = archive.first(*dwca.MEDIA_ROWS), archive.first(dwca.TAXON)
    if media is None or taxa is None:
        raise ValueError(f"{path} is no harvest archive: it needs a media table and a taxon table")
    tree = _walked(con, taxa, work_dir)
    agents = archive.first(agent_row)
    agent = pa.schema([("id", pa.string()), ("name", pa.string())]).empty_table()
    if agents is not None:
        places = agents.at(id="identifier", name="term_name")
        agent = sql.query(con, AGENT_SQL, {"at": places}, agent=agents.input).table()
    at = media.at(id="identifier id", taxon="taxonID id", type="type", format="format",
                  url="accessURI identifier", page="furtherInformationURL references", title="title", description="description",
                  subtype="subtype",
                  license="UsageTerms license", owner="Owner rightsHolder",
                  agent="agentID")  # fmt: skip
    params = {"archive": name, "table": media.name, "at": at, "n_columns": media.n_columns,
              "exact": media.exact}  # fmt: skip
    return sql.query(con, HARVEST_SQL, params, media=media.input, lineage=tree, agent=agent,
                     blank=schema.SOURCE.empty())  # fmt: skip
