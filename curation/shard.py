"""The dataset of record: parquet with pictures, its tables, card and manifest, ready to load.

In   media, label, vernacular, fetch, phash, dedup, geoprivacy, verdict, and the bytes
Out  `data/<release>/<3 digits>/<split>-<6 digits>.parquet` (schema.DATA),
     `metadata/<release>/{catalog,rejects,taxa,conflicts,link_health}-000000.parquet` and
     `thumbnails-*.parquet`, `citations.csv`, `README.md`

A file is a bucket of a seeded hash of uuid, its rows in hash order: that is the shuffle, done once,
so an update rewrites rows inside buckets and leaves the rest alone. Picture bytes stay uncompressed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, schema, sql
from catalog.load import hub_metadata
from curation import geoprivacy
from curation.store import Packs
from curation.taxonomy.resolve import PROBLEMS
from curation.taxonomy.vocabulary import KINGDOMS

THUMBS_PER_FILE, THUMBS_PER_GROUP = 100_000, 64
PLAN_PER_GROUP = (
    50_000  # every unit reads the footer of the plan, and the groups that hold its rows
)
HELD_OUT = ("val", "test", "key_unseen", "val_unseen", "test_unseen", "other_heldout")

CATALOG_SQL = """
with joined as (
  select m.uuid, m.source, told_id(m.source_id, g.is_protected) as source_id, m.media_index, told_id(m.identifier, g.is_protected) as identifier, told_id(m."references", g.is_protected) as "references",
    told_id(m.occurrenceID, g.is_protected) as occurrenceID, told_id(m.organismID, g.is_protected) as organismID, told_id(m.eventID, g.is_protected) as eventID, told_id(m.deploymentID, g.is_protected) as deploymentID,
    p.original_width, p.original_height, f.md5, f.media_type, p.phash, p.phash_quality, m.crop,
    n.kingdom, n.phylum, n."class", n."order", n.family, n.genus, n.species, n.specificEpithet,
    n.infraspecificEpithet, n.taxonRank, told(n.canonicalName, g.is_protected) as canonicalName, told(n.scientificName, g.is_protected) as scientificName,
    told(n.scientificNameAuthorship, g.is_protected) as scientificNameAuthorship, v.vernacularName, n.taxonID, n.taxonomy, told(m.verbatimScientificName, g.is_protected) as verbatimScientificName,
    n.match_rule, n.match_score, n.match_reason, m.basisOfRecord, null::varchar as image_type,
    m.sex, m.lifeStage, m.eventDate, told(m.recordedBy, g.is_protected) as recordedBy,
    g.decimalLatitude, g.decimalLongitude, g.coordinateUncertaintyInMeters, m.countryCode,
    case when not coalesce(g.is_protected, false) then m.minimumElevationInMeters end as minimumElevationInMeters, case when not coalesce(g.is_protected, false) then m.minimumDepthInMeters end as minimumDepthInMeters, told(m.dataGeneralizations, g.is_protected) as dataGeneralizations,
    told(m.informationWithheld, g.is_protected) as informationWithheld, g.geoprivacy, m.dna_bin, m.dna_barcode,
    m.license, m.license_status, told(m.license_verbatim, g.is_protected) as license_verbatim, told(m.creator, g.is_protected) as creator, told(m.rightsHolder, g.is_protected) as rightsHolder, told(m.publisher, g.is_protected) as publisher,
    told(m.attribution, g.is_protected) as attribution, m.datasetKey, told(m.datasetName, g.is_protected) as datasetName,
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

MACROS = """
create or replace macro share(text) as ('0x' || substr(md5(text), 1, 13))::bigint / 16.0 ** 13;
"""

PLAN_SQL = """
with shown as (
  select r.md5, r.crop, first(r order by r.pack, r."offset") as r
  from rendered r semi join packs using (pack) where r.pack is not null group by r.md5, r.crop
)
select c.*, r.image_md5, r.width, r.height, r.pack, r."offset", r.n_bytes, r.image_xxh3, r.thumb_xxh3, r.n_thumb_bytes, floor(share($seed || uuid) * case when split = 'train' then $n_buckets else $n_other end)
    ::integer as bucket
from catalog c join shown s on s.md5 = c.md5 and s.crop is not distinct from c.crop where keep
order by split, bucket, share($seed || uuid), uuid
"""

THUMBNAIL_SQL = """
select uuid, pack, "offset" + n_bytes as "offset", n_thumb_bytes as n_bytes, thumb_xxh3 as image_xxh3,
  floor((row_number() over w - 1) / $rows_per_file)::integer as bucket
from plan where redistributable
window w as (order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, uuid)
order by bucket, kingdom, phylum, "class", "order", family, genus, species, canonicalName, uuid
"""

LINK_HEALTH_SQL = """
select host, status, error, http_status, count(*) as n_urls, sum(n_bytes)::bigint as n_bytes
from "fetch" group by host, status, error, http_status order by host, status, error, http_status
"""

BROWSE_SQL = """
select * exclude (keep) from catalog
order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, uuid
"""

TAXA_SQL = """
select kingdom, phylum, "class", "order", family, genus, species, specificEpithet,
  infraspecificEpithet, taxonRank, canonicalName, any_value(scientificName) as scientificName,
  any_value(scientificNameAuthorship) as scientificNameAuthorship,
  any_value(vernacularName) as vernacularName, taxonID, taxonomy,
  count(*) as n_images, count(*) filter (redistributable) as n_open
from catalog where taxonomy is not null group by all
order by taxonomy, taxonID, canonicalName, kingdom, phylum, "class", "order", family, genus, species
"""

REJECTS_SQL = """
select v.* exclude (keep, redistributable)
    replace (told_id(v.identifier, coalesce(g.is_protected, v.uuid is null)) as identifier,
             told_id(v.source_id, coalesce(g.is_protected, v.uuid is null)) as source_id,
             told(v.license_verbatim, coalesce(g.is_protected, v.uuid is null)) as license_verbatim,
             told(v.verbatimScientificName, coalesce(g.is_protected, v.uuid is null)) as verbatimScientificName)
from verdict v left join geoprivacy g using (uuid) where not keep
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
select * replace (told(verbatimScientificName, true) as verbatimScientificName, told(kingdom, true) as kingdom,
  told(family, true) as family, told(genus, true) as genus, told(species, true) as species,
  told(canonicalName, true) as canonicalName)
from compared where cause is not null order by cause, lineage
"""

CITATIONS_SQL = """
select datasetKey, any_value(coalesce(datasetName, '')) as datasetName, count(*) as n_images
from catalog where keep and datasetKey is not null group by datasetKey order by datasetKey
"""


@dataclass(frozen=True)
class Unit:
    """One file: which planned rows it holds, and the packs their bytes lie in.

    Without a `split` it is a file of thumbnails.
    """

    plan: Path
    target: Path
    split: str | None
    bucket: int
    packs: Path
    rows_per_group: int


@dataclass(frozen=True)
class Plan:
    """What goes into which file, in order; not shipped."""

    data: Path
    thumbnails: Path


def tables(
    con: duckdb.DuckDBPyConnection, folder: Path, work: Path, *, release: str, seed: int, n_buckets: int,
    validation: float, test: float, unseen_genera: float, rendered: sql.Input, packs: sql.Input, **inputs: Any,
) -> Plan:  # fmt: skip
    """Write the dataset's tables into `folder`; return the plan of its other files, made in `work`.

    Raises ValueError when the bytes of a kept picture are gone.
    """
    con.execute(MACROS)
    con.execute(geoprivacy.MACROS)
    meta = folder / "metadata" / release
    meta.mkdir(parents=True)
    joined, plan = work / "joined.parquet", Plan(work / "plan.parquet", work / "thumbnails.parquet")
    params = {"seed": str(seed), "n_buckets": n_buckets, "n_other": max(1, n_buckets // 16),
              "validation": validation, "test": test, "unseen": unseen_genera,
              "held_out": list(HELD_OUT), "rows_per_file": THUMBS_PER_FILE}  # fmt: skip
    sql.query(con, CATALOG_SQL, params, **inputs).copy_to(joined)
    sql.query(con, BROWSE_SQL, catalog=joined).copy_to(meta / "catalog-000000.parquet", 20_000)
    sql.query(con, TAXA_SQL, catalog=joined).copy_to(meta / "taxa-000000.parquet")
    sql.query(con, REJECTS_SQL, verdict=inputs["verdict"], geoprivacy=inputs["geoprivacy"]).copy_to(
        meta / "rejects-000000.parquet"
    )
    sql.query(con, LINK_HEALTH_SQL, fetch=inputs["fetch"]).copy_to(
        meta / "link_health-000000.parquet"
    )
    words = {"kingdom_words": list(KINGDOMS), "problems": list(PROBLEMS)}
    sql.query(con, CONFLICTS_SQL, words, media=inputs["media"], label=inputs["label"]).copy_to(
        meta / "conflicts-000000.parquet")  # fmt: skip
    n_planned = sql.query(con, PLAN_SQL, params, catalog=joined, rendered=rendered, packs=packs).copy_to(
        plan.data, PLAN_PER_GROUP)  # fmt: skip
    sql.query(con, THUMBNAIL_SQL, params, plan=plan.data).copy_to(plan.thumbnails, PLAN_PER_GROUP)
    n_kept = sql.query(con, "select count(*) from catalog where keep", catalog=joined).scalar()
    if n_planned != n_kept:
        raise ValueError(
            f"the bytes of {n_kept - n_planned} kept pictures are gone; run the build again"
        )
    for table in (
        schema.CATALOG,
        schema.TAXA,
        schema.REJECTS,
        schema.LINK_HEALTH,
        schema.CONFLICTS,
    ):
        artifact.check(meta / f"{table.name}-000000.parquet", table)
    rows = sql.query(con, CITATIONS_SQL, catalog=joined).rows()
    lines = ["datasetKey,datasetName,n_images", *(f"{_cell(k)},{_cell(n)},{c}" for k, n, c in rows)]
    (folder / "citations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return plan


def units(
    con: duckdb.DuckDBPyConnection,
    plan: Plan,
    folder: Path,
    release: str,
    *,
    packs: Path,
    rows_per_group: int,
) -> list[Unit]:
    """The data files and the files of thumbnails to write."""
    text = "select distinct split, bucket from plan order by split, bucket"
    made = [
        Unit(plan=plan.data, split=split, bucket=bucket, packs=packs, rows_per_group=rows_per_group,
             target=folder / "data" / release / f"{bucket // 1000:03d}" / f"{split}-{bucket:06d}.parquet")
        for split, bucket in sql.query(con, text, plan=plan.data).rows()
    ]  # fmt: skip
    small = "select distinct bucket from plan order by bucket"
    made += [
        Unit(plan=plan.thumbnails, split=None, bucket=bucket, packs=packs, rows_per_group=THUMBS_PER_GROUP,
             target=folder / "metadata" / release / f"thumbnails-{bucket:06d}.parquet")
        for (bucket,) in sql.query(con, small, plan=plan.thumbnails).rows()
    ]  # fmt: skip
    return made


def shard(unit: Unit) -> int:
    """Write one file; return its rows. Raises ValueError when kept bytes have gone missing."""
    where = [("bucket", "=", unit.bucket)]
    rows = pq.read_table(
        unit.plan, filters=where if unit.split is None else [*where, ("split", "=", unit.split)]
    )
    unit.target.parent.mkdir(parents=True, exist_ok=True)
    table, column = (
        (schema.THUMBNAILS, "thumbnail") if unit.split is None else (schema.DATA, "image")
    )
    fields = table.schema.with_metadata(hub_metadata(table))
    texts = [
        f.name for f in fields if pa.types.is_string(f.type) and f.name not in ("uuid", "image_md5")
    ]
    codecs = {name: "zstd" for name in fields.names if name != column}
    unfinished = unit.target.with_name(f".tmp-{os.getpid()}-{unit.target.name}")
    with pq.ParquetWriter(
        unfinished, fields, use_dictionary=texts, write_page_index=True,
        compression={**codecs, f"{column}.bytes": "none", f"{column}.path": "zstd"},
    ) as writer:  # fmt: skip
        for start in range(0, rows.num_rows, unit.rows_per_group):
            chunk = rows.slice(start, unit.rows_per_group)
            images = _images(chunk, Packs(unit.packs))
            arrays = [
                pa.array(images, f.type) if f.name == column else chunk.column(f.name).cast(f.type)
                for f in fields
            ]
            writer.write_table(pa.table(arrays, schema=fields), row_group_size=chunk.num_rows)
    os.replace(unfinished, unit.target)  # whole, whoever else writes it
    return int(rows.num_rows)


def _images(rows: pa.Table, packs: Packs) -> list[dict[str, Any]]:
    """The pictures of some planned rows, from where they lie."""
    keys = [rows.column(n).to_pylist() for n in ("uuid", "pack", "offset", "n_bytes", "image_xxh3")]
    made = []
    for uuid, pack, offset, n_bytes, xxh3 in zip(*keys, strict=True):
        try:
            data = packs.get(pack, offset, n_bytes, xxh3=xxh3)
        except FileNotFoundError as error:
            raise ValueError(
                f"the bytes of {uuid} are gone ({error}); run the build again"
            ) from error
        made.append({"bytes": data, "path": f"{uuid}.jpg"})
    return made


def _cell(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula."""
    safe = f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
    return '"' + safe.replace('"', '""') + '"'
