"""The tables beside the pictures: what `metadata/<release>/` holds, and the plan of the data files.

In   media, label, vernacular, fetch, phash, dedup, geoprivacy, verdict, and the taxonomies' own names
Out  `metadata/<release>/{catalog,rejects,taxa,names,lookup,statistics,conflicts,link_health}-*.parquet`,
     `citations.csv`; in the work folder, which picture goes into which file of `shard`

The catalogue is sorted by taxonomy, so that a taxon is a stretch of it; `lookup` is sorted by uuid and says
where in the catalogue, among the thumbnails and among the rejects a picture stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from catalog import artifact, cite, schema, sql, stats
from curation import geoprivacy
from curation.taxonomy.resolve import PROBLEMS
from curation.taxonomy.vocabulary import KINGDOMS

CATALOG_PER_FILE, CATALOG_PER_GROUP = 2_000_000, 20_000
LOOKUP_PER_GROUP = 10_000
HELD_OUT = ("val", "test", "key_unseen", "val_unseen", "test_unseen", "other_heldout")

MACROS = """
create or replace macro share(text) as ('0x' || substr(md5(text), 1, 13))::bigint / 16.0 ** 13;
create or replace macro plainly(text) as trim(lower(strip_accents(text)));
"""

CATALOG_SQL = """
with joined as (
  select m.uuid, m.source, told_id(m.source_id, g.is_protected, m.decimalLatitude, m.decimalLongitude) as source_id, m.media_index, told_id(m.identifier, g.is_protected, m.decimalLatitude, m.decimalLongitude) as identifier, told_id(m."references", g.is_protected, m.decimalLatitude, m.decimalLongitude) as "references",
    told_id(m.occurrenceID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as occurrenceID, told_id(m.organismID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as organismID, told_id(m.eventID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as eventID, told_id(m.deploymentID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as deploymentID,
    p.original_width, p.original_height, f.md5, f.media_type, p.phash, p.phash_quality, m.crop,
    n.kingdom, n.phylum, n."class", n."order", n.family, n.genus, n.species, n.specificEpithet,
    n.infraspecificEpithet, n.taxonRank, told(n.canonicalName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as canonicalName, told(n.scientificName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as scientificName,
    told(n.scientificNameAuthorship, g.is_protected, m.decimalLatitude, m.decimalLongitude) as scientificNameAuthorship, v.vernacularName, n.taxonID, n.taxonomy, told(m.verbatimScientificName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as verbatimScientificName,
    n.match_rule, n.match_score, n.match_reason, m.basisOfRecord, null::varchar as image_type,
    m.sex, m.lifeStage, m.eventDate, told(m.recordedBy, g.is_protected, m.decimalLatitude, m.decimalLongitude) as recordedBy,
    g.decimalLatitude, g.decimalLongitude, g.coordinateUncertaintyInMeters, m.countryCode,
    case when not coalesce(g.is_protected, false) then m.minimumElevationInMeters end as minimumElevationInMeters, case when not coalesce(g.is_protected, false) then m.minimumDepthInMeters end as minimumDepthInMeters, told(m.dataGeneralizations, g.is_protected, m.decimalLatitude, m.decimalLongitude) as dataGeneralizations,
    told(m.informationWithheld, g.is_protected, m.decimalLatitude, m.decimalLongitude) as informationWithheld, g.geoprivacy, m.dna_bin, m.dna_barcode,
    m.license, m.license_status, told(m.license_verbatim, g.is_protected, m.decimalLatitude, m.decimalLongitude) as license_verbatim, told(m.creator, g.is_protected, m.decimalLatitude, m.decimalLongitude) as creator, told(m.rightsHolder, g.is_protected, m.decimalLatitude, m.decimalLongitude) as rightsHolder, told(m.publisher, g.is_protected, m.decimalLatitude, m.decimalLongitude) as publisher,
    told(m.attribution, g.is_protected, m.decimalLatitude, m.decimalLongitude) as attribution, m.datasetKey, told(m.datasetName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as datasetName,
    null::varchar as museum_label, null::double as museum_score, null::double as animal_score,
    null::double as face_score, coalesce(d.group_id, m.uuid) as group_id,
    t.redistributable, t.keep, m.provider_split
  from verdict t
  join media m using (archive, source_table, source_row, media_index)
  left join label n using (lineage)
  left join vernacular v on v.taxonomy = n.taxonomy and v.taxonID = n.taxonID
  left join "fetch" f on f.url = m.url and f.status = 'ok'
  left join phash p on p.md5 = f.md5 and p.crop is not distinct from m.crop
  left join dedup d on d.uuid = m.uuid
  left join geoprivacy g on g.uuid = m.uuid
  where t.keep or t.reject_stage in ('label', 'licence')
),
fate as (
  select group_id,
    bool_or(genus is not null and share($seed || 'genus' || genus) < $unseen
      or coalesce(provider_split = 'unseen', false)) as unseen,
    bool_or(list_contains($held_out, provider_split)) as held_out,
    share($seed || 'group' || group_id) as draw
  from joined group by group_id
)
select j.* exclude (keep, provider_split, redistributable),
  case when unseen then 'unseen' when held_out or draw < $test then 'test'
       when draw < $test + $validation then 'validation' else 'train' end as split,
  redistributable, keep
from joined j join fate using (group_id)
"""

ORDERED_SQL = """
select * from catalog
order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, uuid
"""

TAXA_SQL = """
with counted as (
select kingdom, phylum, "class", "order", family, genus, species, specificEpithet,
  infraspecificEpithet, taxonRank, canonicalName, any_value(scientificName) as scientificName,
  any_value(scientificNameAuthorship) as scientificNameAuthorship,
  any_value(vernacularName) as vernacularName, taxonID, taxonomy,
  count(*) as n_images, count(*) filter (keep) as n_open, min(uuid) filter (keep) as example
from catalog where taxonomy is not null group by all
)
select c.*, p.thumbnail_row from counted c left join placed p on p.uuid = c.example
order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, taxonomy, taxonID
"""

NODE_SQL = """
with counted as (               -- every taxon on the way from a kingdom to what has pictures
  select kingdom, phylum, "class", "order", family, genus, species,
    grouping(phylum) + grouping("class") + grouping("order") + grouping(family) + grouping(genus)
      + grouping(species) as n_below,
    sum(n_images)::bigint as n_images, sum(n_open)::bigint as n_open
  from taxa group by grouping sets (
    (kingdom), (kingdom, phylum), (kingdom, phylum, "class"), (kingdom, phylum, "class", "order"),
    (kingdom, phylum, "class", "order", family), (kingdom, phylum, "class", "order", family, genus),
    (kingdom, phylum, "class", "order", family, genus, species))
),
higher as (
  select * exclude (n_below), ['species', 'genus', 'family', 'order', 'class', 'phylum', 'kingdom'][n_below + 1]
      as taxonRank,
    [species, genus, family, "order", "class", phylum, kingdom][n_below + 1] as canonicalName
  from counted
),
lower_ as (                    -- subspecies, and taxa of ranks between
  select kingdom, phylum, "class", "order", family, genus, species, sum(n_images)::bigint as n_images,
    sum(n_open)::bigint as n_open, any_value(taxonRank) as taxonRank, canonicalName
  from taxa
  where canonicalName <> coalesce(species, genus, family, "order", "class", phylum, kingdom, '')
  group by kingdom, phylum, "class", "order", family, genus, species, canonicalName
)
select * from higher where canonicalName is not null union all by name select * from lower_
order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, taxonRank
"""

NAMES_SQL = """
with bearer as (                -- the ids of a node: as its pictures were labelled, and by name and rank
  select n.* exclude (n_images, n_open), t.taxonomy, t.taxonID
  from node n join taxa t on t.canonicalName = n.canonicalName and t.taxonRank = n.taxonRank
    and t.kingdom is not distinct from n.kingdom and t.genus is not distinct from n.genus
  union
  select n.* exclude (n_images, n_open), t.taxonomy, t.taxonID
  from node n join taxon t on t.canonicalName = n.canonicalName and t.taxonRank = n.taxonRank
    and t.kingdom is not distinct from n.kingdom and t.acceptedNameUsageID is null
    and t.family is not distinct from n.family
),
said as (
  select verbatimScientificName, kingdom, phylum, "class", "order", family, genus, species, canonicalName, taxonRank
  from catalog where canonicalName is not null and verbatimScientificName is not null group by all
),
called as (
  select canonicalName as "name", 'accepted' as name_kind, null::varchar as "language", n.* exclude (n_images, n_open)
  from node n
  union all by name
  select s.canonicalName as "name", 'synonym' as name_kind, b.* exclude (taxonomy, taxonID)
  from bearer b join taxon s on s.taxonomy = b.taxonomy and s.acceptedNameUsageID = b.taxonID
  union all by name
  select v.vernacularName as "name", 'vernacular' as name_kind, v."language", b.* exclude (taxonomy, taxonID)
  from bearer b join common v on v.taxonomy = b.taxonomy and v.taxonID = b.taxonID
  union all by name
  select s.verbatimScientificName as "name", 'verbatim' as name_kind, s.* exclude (verbatimScientificName) from said s
),
once as (
  select plainly("name") as search_key, c."name", name_kind, "language", taxonRank, canonicalName,
    kingdom, phylum, "class", "order", family, genus, species
  from called c where "name" is not null
    and not ("name" = canonicalName and name_kind in ('synonym', 'verbatim'))
  group by all
)
select o.*, n.n_images, n.n_open
from once o join node n on n.canonicalName = o.canonicalName and n.taxonRank is not distinct from o.taxonRank
  and n.kingdom is not distinct from o.kingdom and n.phylum is not distinct from o.phylum
  and n."class" is not distinct from o."class" and n."order" is not distinct from o."order"
  and n.family is not distinct from o.family and n.genus is not distinct from o.genus
  and n.species is not distinct from o.species
order by search_key, o."name", name_kind, "language", o.kingdom, o.phylum, o."class", o."order", o.family,
  o.genus, o.species, o.canonicalName, o.taxonRank
"""

LOOKUP_SQL = """
with stands as (
  select uuid, group_id, catalog_row, thumbnail_row, null::bigint as rejects_row from placed
),
refused as (
  select uuid, duplicate_of, file_row_number as rejects_row from rejects
)
select uuid as key, true as is_own, catalog_row, thumbnail_row, rejects_row from stands
union all by name select group_id as key, false as is_own, catalog_row, thumbnail_row from stands where group_id <> uuid
union all by name select uuid as key, true as is_own, rejects_row from refused where uuid is not null
union all by name select duplicate_of as key, false as is_own, rejects_row from refused where duplicate_of is not null
order by key, catalog_row, rejects_row
"""

LINK_HEALTH_SQL = """
select host, status, error, http_status, count(*) as n_urls, sum(n_bytes)::bigint as n_bytes
from "fetch" group by host, status, error, http_status order by host, status, error, http_status
"""

REJECTS_SQL = """
select v.* exclude (keep, redistributable)
    replace (told_id(v.identifier, coalesce(g.is_protected, v.uuid is null), m.decimalLatitude, m.decimalLongitude) as identifier,
             told_id(v.source_id, coalesce(g.is_protected, v.uuid is null), m.decimalLatitude, m.decimalLongitude) as source_id,
             told(v.license_verbatim, coalesce(g.is_protected, v.uuid is null), m.decimalLatitude, m.decimalLongitude) as license_verbatim,
             told(v.verbatimScientificName, coalesce(g.is_protected, v.uuid is null), m.decimalLatitude, m.decimalLongitude) as verbatimScientificName)
from verdict v join media m using (archive, source_table, source_row, media_index)
left join geoprivacy g on g.uuid = v.uuid where not keep
order by archive, source_table, source_row, media_index
"""

CONFLICTS_SQL = """
with stated as (
  select lineage, min(verbatimScientificName) as verbatimScientificName, min(source) as source,
    min(kingdom) as kingdom, min("class") as "class", min("order") as "order", min(family) as family,
    min(genus) as genus, min(species) as species, count(*) as n_rows
  from media where reject_reason is null group by lineage
),
compared as (
  select s.lineage, s.verbatimScientificName, s.source, s.kingdom, s.family, s.genus, s.species, s.n_rows,
    n.canonicalName, n.kingdom as our_kingdom, n.family as our_family, n.species as our_species,
    n.match_rule, n.match_reason, n.match_score,
    case
      when n.match_rule is null then 'unresolved'
      when n.match_rule = 'provider'    -- our taxonomies say something else, or cannot decide
        then case when list_contains($problems, n.match_reason) then 'provider_kept' end
      when lower(s.kingdom) <> lower(n.kingdom) and not list_contains($kingdom_words, lower(s.kingdom))
        then 'kingdom'
      when contains(s.species, ' ') and n.species is null or s.genus is not null and n.genus is null
        then 'less_precise'
      when n.match_rule = 'higher_rank' and (n.match_reason = 'name_not_found'
        or list_contains($problems, n.match_reason)) then 'less_precise'
      when n.match_rule in ('variant', 'fuzzy') then 'spelling'
      when contains(s.species, ' ') and lower(s.species) <> lower(n.species)
        then case when n.match_rule = 'synonym' then 'synonym' else 'other_taxon' end
      when lower(s.genus) <> lower(n.genus)
        then case when n.match_rule = 'synonym' then 'synonym' else 'moved' end
      when lower(s.family) <> lower(n.family) or lower(s."order") <> lower(n."order")
        or lower(s."class") <> lower(n."class") then 'moved'
    end as cause
  from stated s join label n using (lineage)
)
select * replace (told(verbatimScientificName, true, null, null) as verbatimScientificName, told(kingdom, true, null, null) as kingdom,
  told(family, true, null, null) as family, told(genus, true, null, null) as genus, told(species, true, null, null) as species,
  told(canonicalName, true, null, null) as canonicalName)
from compared where cause is not null order by cause, lineage
"""


def tables(
    con: duckdb.DuckDBPyConnection, folder: Path, work: Path, *, release: str, seed: int,
    validation: float, test: float, unseen_genera: float, taxon: Sequence[Path], common: Sequence[Path],
    listed: sql.Input, **inputs: Any,
) -> Path:  # fmt: skip
    """Write the dataset's tables into `folder`; return the catalogue with `keep`, made in `work`."""
    con.execute(MACROS)
    con.execute(geoprivacy.MACROS)
    meta, joined = folder / "metadata" / release, work / "joined.parquet"
    meta.mkdir(parents=True)
    params = {"seed": str(seed), "validation": validation, "test": test, "unseen": unseen_genera,
              "held_out": list(HELD_OUT)}  # fmt: skip
    sql.query(con, CATALOG_SQL, params, **inputs).copy_to(joined)

    def made(
        table: schema.Table, query: sql.Query, rows_per_group: int = sql.ROWS_PER_GROUP
    ) -> Path:
        path = meta / f"{table.name}-000000.parquet"
        query.copy_to(path, rows_per_group)
        artifact.check(path, table)
        return path

    rejects = made(schema.REJECTS, sql.query(con, REJECTS_SQL, verdict=inputs["verdict"], media=inputs["media"],
                                             geoprivacy=inputs["geoprivacy"]), CATALOG_PER_GROUP)  # fmt: skip
    words = {"kingdom_words": list(KINGDOMS), "problems": list(PROBLEMS)}
    made(
        schema.CONFLICTS,
        sql.query(con, CONFLICTS_SQL, words, media=inputs["media"], label=inputs["label"]),
    )
    made(schema.LINK_HEALTH, sql.query(con, LINK_HEALTH_SQL, fetch=inputs["fetch"]))
    browsable(con, joined, meta, work, rejects=rejects, taxon=taxon, common=common, listed=listed)
    cite.citations(con, joined, folder)
    return joined


def browsable(
    con: duckdb.DuckDBPyConnection, joined: Path, meta: Path, work: Path, *, rejects: Path, taxon: Sequence[Path],
    common: Sequence[Path], listed: sql.Input,
) -> None:  # fmt: skip
    """The catalogue in its order, and what finds a taxon, a name, a picture or a number in it."""
    con.execute(MACROS)
    placed, node = work / "placed.parquet", work / "node.parquet"
    for file in ordered(con, joined, meta, placed):
        artifact.check(file, schema.CATALOG)
    path = {t.name: meta / f"{t.name}-000000.parquet" for t in (schema.TAXA, schema.NAMES, schema.LOOKUP,
                                                                schema.STATISTICS)}  # fmt: skip
    sql.query(con, TAXA_SQL, catalog=joined, placed=placed).copy_to(path["taxa"], CATALOG_PER_GROUP)
    sql.query(con, NODE_SQL, taxa=path["taxa"]).copy_to(node)
    sql.query(con, NAMES_SQL, node=node, taxa=path["taxa"], catalog=joined, taxon=list(taxon) or schema.TAXON.empty(),
              common=list(common) or schema.VERNACULAR.empty()).copy_to(path["names"], CATALOG_PER_GROUP)  # fmt: skip
    sql.query(con, LOOKUP_SQL, placed=placed, rejects=sql.Placed([rejects])).copy_to(
        path["lookup"], LOOKUP_PER_GROUP
    )
    stats.statistics(con, catalog=joined, rejects=rejects, listed=listed, node=node).copy_to(
        path["statistics"]
    )
    for name, made in path.items():
        artifact.check(made, schema.TABLES[name])


def ordered(con: duckdb.DuckDBPyConnection, joined: Path, meta: Path, placed: Path) -> list[Path]:
    """Write the catalogue by taxonomy, in files whose footers stay small, and where each picture stands.

    `placed` gets uuid, group_id, catalog_row and thumbnail_row: positions from 0 over all files, the second
    among the pictures with pixels alone. Returns the files, one at least.
    """
    where = pa.schema([("uuid", schema.STR), ("group_id", schema.STR), ("catalog_row", schema.I64),
                       ("thumbnail_row", schema.I64)])  # fmt: skip
    paths, n_shown, writer = list[Path](), 0, None
    with sql.parquet_writer(placed, where) as places:
        for first, table in _groups(sql.query(con, ORDERED_SQL, catalog=joined), CATALOG_PER_GROUP):
            if first % CATALOG_PER_FILE == 0:
                if writer is not None:
                    writer.close()
                paths.append(meta / f"catalog-{len(paths):06d}.parquet")
                writer = sql.parquet_writer(paths[-1], schema.CATALOG.schema)
            assert writer is not None
            keep = table["keep"].combine_chunks()
            so_far = pc.cumulative_sum(keep.cast(pa.int64()))
            at = pc.if_else(keep, pc.add(so_far, n_shown - 1), None)
            rows = pa.array(range(first, first + table.num_rows), pa.int64())
            places.write_table(pa.table([table["uuid"], table["group_id"], rows, at], schema=where))
            table = table.append_column("thumbnail_row", at).select(schema.CATALOG.columns)
            writer.write_table(table.cast(schema.CATALOG.schema))
            n_shown += pc.sum(keep).as_py() or 0
    if writer is None:
        paths.append(meta / "catalog-000000.parquet")
        writer = sql.parquet_writer(paths[0], schema.CATALOG.schema)
    writer.close()
    return paths


def _groups(query: sql.Query, n_rows: int) -> Iterator[tuple[int, pa.Table]]:
    """The result in tables of exactly `n_rows` rows (the last may be shorter), each with its first row."""
    held, n_held, first = list[pa.RecordBatch](), 0, 0
    for batch in query.batches(n_rows):
        held.append(batch)
        n_held += batch.num_rows
        while n_held >= n_rows:
            table = pa.Table.from_batches(held)
            yield first, table.slice(0, n_rows)
            first, n_held = first + n_rows, n_held - n_rows
            held = table.slice(n_rows).to_batches()
    if n_held:
        yield first, pa.Table.from_batches(held)
