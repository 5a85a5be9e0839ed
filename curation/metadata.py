"""The tables beside the pictures: what `metadata/<release>/` holds.

In   media, label, vernacular, fetch, phash, score, dedup, geoprivacy, verdict, and the taxonomies' own names
Out  `metadata/<release>/{catalog,rejects,taxa,names,lookup,statistics,conflicts,link_health}-*.parquet`,
     `citations.csv`; in the work folder the joined catalogue, from which `shard` plans its files

`index` writes those that find something in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from catalog import artifact, cite, schema, sql
from curation import geoprivacy, index, verdict
from curation.taxonomy.resolve import PROBLEMS
from curation.taxonomy.vocabulary import KINGDOMS

HELD_OUT = ("val", "test", "key_unseen", "val_unseen", "test_unseen", "other_heldout")

MACROS = """
create or replace macro share(text) as ('0x' || substr(md5(text), 1, 13))::bigint / 16.0 ** 13;
"""

CATALOG_SQL = """
with joined as (
  select m.uuid, m.source,
    told_id(m.source_id, g.is_protected, m.decimalLatitude, m.decimalLongitude) as source_id, m.media_index,
    told_id(m.identifier, g.is_protected, m.decimalLatitude, m.decimalLongitude) as identifier,
    told_id(m."references", g.is_protected, m.decimalLatitude, m.decimalLongitude) as "references",
    told_id(m.occurrenceID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as occurrenceID,
    told_id(m.organismID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as organismID,
    told_id(m.eventID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as eventID,
    told_id(m.deploymentID, g.is_protected, m.decimalLatitude, m.decimalLongitude) as deploymentID,
    p.original_width, p.original_height, f.md5, f.media_type, p.phash, p.phash_quality, m.crop,
    told(n.kingdom, g.is_protected, m.decimalLatitude, m.decimalLongitude) as kingdom,
    told(n.phylum, g.is_protected, m.decimalLatitude, m.decimalLongitude) as phylum,
    told(n."class", g.is_protected, m.decimalLatitude, m.decimalLongitude) as "class",
    told(n."order", g.is_protected, m.decimalLatitude, m.decimalLongitude) as "order",
    told(n.family, g.is_protected, m.decimalLatitude, m.decimalLongitude) as family,
    told(n.genus, g.is_protected, m.decimalLatitude, m.decimalLongitude) as genus,
    told(n.species, g.is_protected, m.decimalLatitude, m.decimalLongitude) as species,
    told(n.specificEpithet, g.is_protected, m.decimalLatitude, m.decimalLongitude) as specificEpithet,
    told(n.infraspecificEpithet, g.is_protected, m.decimalLatitude, m.decimalLongitude) as infraspecificEpithet,
    told(n.taxonRank, g.is_protected, m.decimalLatitude, m.decimalLongitude) as taxonRank,
    told(n.canonicalName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as canonicalName,
    told(n.scientificName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as scientificName,
    told(n.scientificNameAuthorship, g.is_protected, m.decimalLatitude, m.decimalLongitude) as scientificNameAuthorship, v.vernacularName, n.taxonID, n.taxonomy,
    told(m.verbatimScientificName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as verbatimScientificName,
    n.match_rule, n.match_score, n.match_reason,
    told(m.basisOfRecord, g.is_protected, m.decimalLatitude, m.decimalLongitude) as basisOfRecord, m.image_type,
    told(m.sex, g.is_protected, m.decimalLatitude, m.decimalLongitude) as sex,
    told(m.lifeStage, g.is_protected, m.decimalLatitude, m.decimalLongitude) as lifeStage,
    case when regexp_full_match(m.eventDate, '[0-9T:.Z/+-]+') then m.eventDate else told(m.eventDate, g.is_protected, m.decimalLatitude, m.decimalLongitude) end as eventDate,
    told(m.recordedBy, g.is_protected, m.decimalLatitude, m.decimalLongitude) as recordedBy,
    g.decimalLatitude, g.decimalLongitude, g.coordinateUncertaintyInMeters,
    told(m.countryCode, g.is_protected, m.decimalLatitude, m.decimalLongitude) as countryCode,
    case when not coalesce(g.is_protected, false) then m.minimumElevationInMeters end as minimumElevationInMeters,
    case when not coalesce(g.is_protected, false) then m.minimumDepthInMeters end as minimumDepthInMeters,
    told(m.dataGeneralizations, g.is_protected, m.decimalLatitude, m.decimalLongitude) as dataGeneralizations,
    told(m.informationWithheld, g.is_protected, m.decimalLatitude, m.decimalLongitude) as informationWithheld, g.geoprivacy, m.dna_bin, m.dna_barcode,
    m.license, m.license_status,
    told(m.license_verbatim, g.is_protected, m.decimalLatitude, m.decimalLongitude) as license_verbatim,
    told(m.creator, g.is_protected, m.decimalLatitude, m.decimalLongitude) as creator,
    told(m.rightsHolder, g.is_protected, m.decimalLatitude, m.decimalLongitude) as rightsHolder,
    told(m.publisher, g.is_protected, m.decimalLatitude, m.decimalLongitude) as publisher,
    told(m.attribution, g.is_protected, m.decimalLatitude, m.decimalLongitude) as attribution, m.datasetKey,
    told(m.datasetName, g.is_protected, m.decimalLatitude, m.decimalLongitude) as datasetName,
    coalesce(c.museum_nearest, m.museum_nearest) as museum_nearest,
    case when c.museum_nearest is null then m.museum_score else c.museum_score end as museum_score,
    coalesce(c.animal_score, m.animal_score) as animal_score, coalesce(c.face_score, m.face_score) as face_score,
    case when t.keep and $on_face = 'blur' and c.face_score >= $max_face_score then
      len(list_filter(c.face_boxes::json::double[][], lambda box: box[5] >= $max_face_score))::integer end as faces_blurred,
    coalesce(c.sharpness, m.sharpness) as sharpness, coalesce(c.subject_contrast, m.subject_contrast) as subject_contrast,
    coalesce(c.clipped_share, m.clipped_share) as clipped_share, coalesce(d.group_id, m.uuid) as group_id,
    t.redistributable, t.keep, m.provider_split
  from verdict t
  join media m using (archive, source_table, source_row, media_index)
  left join label n using (lineage)
  left join vernacular v on v.taxonomy = n.taxonomy and v.taxonID = n.taxonID
  left join "fetch" f on f.url = m.url and f.status = 'ok'
  left join phash p on p.md5 = f.md5 and p.crop is not distinct from m.crop
  left join score c on c.md5 = f.md5 and c.crop is not distinct from m.crop
  left join dedup d on d.uuid = m.uuid
  left join geoprivacy g on g.uuid = m.uuid
  where t.keep or list_contains($catalogued, t.reject_stage)
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
  case when museum_score < $min_museum_score then 'unsure' else museum_nearest end as museum_label,
  case when unseen then 'unseen' when held_out or draw < $test then 'test'
       when draw < $test + $validation then 'validation' else 'train' end as split,
  redistributable, keep
from joined j join fate using (group_id)
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
  told(canonicalName, true, null, null) as canonicalName,
  told(our_kingdom, true, null, null) as our_kingdom, told(our_family, true, null, null) as our_family,
  told(our_species, true, null, null) as our_species)
from compared where cause is not null order by cause, lineage
"""


def tables(
    con: duckdb.DuckDBPyConnection, folder: Path, work: Path, *, release: str, seed: int,
    validation: float, test: float, unseen_genera: float, judging: Mapping[str, Any], taxon: Sequence[Path], common: Sequence[Path],
    listed: sql.Input, **inputs: Any,
) -> Path:  # fmt: skip
    """Write the dataset's tables into `folder`; return the catalogue with `keep`, made in `work`.

    `judging` says what a score means: min_museum_score, on_face, max_face_score.
    """
    con.execute(MACROS)
    con.execute(geoprivacy.MACROS)
    meta, joined = folder / "metadata" / release, work / "joined.parquet"
    meta.mkdir(parents=True)
    params = {"seed": str(seed), "validation": validation, "test": test, "unseen": unseen_genera,
              "held_out": list(HELD_OUT), "catalogued": list(verdict.CATALOGUED), **judging}  # fmt: skip
    sql.query(con, CATALOG_SQL, params, **inputs).copy_to(joined)

    def made(
        table: schema.Table, query: sql.Query, rows_per_group: int = sql.ROWS_PER_GROUP
    ) -> Path:
        path = meta / f"{table.name}-000000.parquet"
        query.copy_to(path, rows_per_group)
        artifact.check(path, table)
        return path

    rejects = made(schema.REJECTS, sql.query(con, REJECTS_SQL, verdict=inputs["verdict"], media=inputs["media"],
                                             geoprivacy=inputs["geoprivacy"]), index.CATALOG_PER_GROUP)  # fmt: skip
    words = {"kingdom_words": list(KINGDOMS), "problems": list(PROBLEMS)}
    made(
        schema.CONFLICTS,
        sql.query(con, CONFLICTS_SQL, words, media=inputs["media"], label=inputs["label"]),
    )
    made(schema.LINK_HEALTH, sql.query(con, LINK_HEALTH_SQL, fetch=inputs["fetch"]))
    index.index(con, joined, meta, work, rejects=rejects, taxon=taxon, common=common, listed=listed)
    cite.citations(con, joined, folder)
    return joined
