"""The dataset of record: parquet with pictures, its tables, card and manifest, ready to load.

In   media, label, vernacular, fetch, phash, dedup, geoprivacy, verdict, and the bytes
Out  `data/<release>/<3 digits>/<split>-<6 digits>.parquet` (schema.DATA),
     `metadata/<release>/{catalog,rejects,taxa,conflicts}-000000.parquet`, `citations.csv`, `README.md`

A file is a bucket of a seeded hash of uuid, its rows in hash order: that is the shuffle, done once,
so an update rewrites rows inside buckets and leaves the rest alone. Picture bytes stay uncompressed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, pixels, schema, sql
from catalog.load import hub_metadata
from curation.store import Blobs
from curation.taxonomy.resolve import PROBLEMS
from curation.taxonomy.vocabulary import KINGDOMS

HELD_OUT = ("val", "test", "key_unseen", "val_unseen", "test_unseen", "other_heldout")

CATALOG_SQL = """
with joined as (
  select m.uuid, m.source, m.source_id, m.media_index, m.identifier, m."references",
    m.occurrenceID, m.organismID, m.eventID, m.deploymentID,
    p.original_width, p.original_height, f.md5, f.media_type, p.phash, p.phash_quality, m.crop,
    n.kingdom, n.phylum, n."class", n."order", n.family, n.genus, n.species, n.specificEpithet,
    n.infraspecificEpithet, n.taxonRank, n.canonicalName, n.scientificName,
    n.scientificNameAuthorship, v.vernacularName, n.taxonID, n.taxonomy, m.verbatimScientificName,
    n.match_rule, n.match_score, n.match_reason, m.basisOfRecord, null::varchar as image_type,
    m.sex, m.lifeStage, m.eventDate, m.recordedBy,
    g.decimalLatitude, g.decimalLongitude, g.coordinateUncertaintyInMeters, m.countryCode,
    m.minimumElevationInMeters, m.minimumDepthInMeters, m.dataGeneralizations,
    m.informationWithheld, g.geoprivacy, m.dna_bin, m.dna_barcode,
    m.license, m.license_status, m.license_verbatim, m.creator, m.rightsHolder, m.publisher,
    m.attribution, m.datasetKey, m.datasetName,
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
    bool_or(genus is not null and share($seed || 'genus' || genus) < $unseen) as unseen,
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
select *, floor(share($seed || uuid) * case when split = 'train' then $n_buckets else $n_other end)
    ::integer as bucket
from catalog where keep
order by split, bucket, share($seed || uuid), uuid
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
select * exclude (keep, redistributable) from verdict where not keep
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
select * from compared where cause is not null order by cause, lineage
"""

CITATIONS_SQL = """
select datasetKey, any_value(coalesce(datasetName, '')) as datasetName, count(*) as n_images
from catalog where keep and datasetKey is not null group by datasetKey order by datasetKey
"""


@dataclass(frozen=True)
class Unit:
    """One data file: which planned rows it holds and how they are shipped."""

    plan: Path
    target: Path
    split: str
    bucket: int
    blobs: Path
    max_side_px: int
    quality: int
    max_pixels: int
    rows_per_group: int


def tables(
    con: duckdb.DuckDBPyConnection, folder: Path, *, release: str, seed: int, n_buckets: int,
    validation: float, test: float, unseen_genera: float, **inputs: Any,
) -> Path:  # fmt: skip
    """Write the dataset's tables into `folder`; return the plan of its data files (not shipped)."""
    con.execute(MACROS)
    meta = folder / "metadata" / release
    meta.mkdir(parents=True)
    joined = folder.parent / f"{folder.name}-joined.parquet"
    plan = folder.parent / f"{folder.name}-plan.parquet"
    params = {"seed": str(seed), "n_buckets": n_buckets, "n_other": max(1, n_buckets // 16),
              "validation": validation, "test": test, "unseen": unseen_genera,
              "held_out": list(HELD_OUT)}  # fmt: skip
    sql.query(con, CATALOG_SQL, params, **inputs).copy_to(joined)
    sql.query(con, BROWSE_SQL, catalog=joined).copy_to(meta / "catalog-000000.parquet", 20_000)
    sql.query(con, TAXA_SQL, catalog=joined).copy_to(meta / "taxa-000000.parquet")
    sql.query(con, REJECTS_SQL, verdict=inputs["verdict"]).copy_to(meta / "rejects-000000.parquet")
    sql.query(
        con,
        CONFLICTS_SQL,
        {"kingdom_words": list(KINGDOMS), "problems": list(PROBLEMS)},
        media=inputs["media"],
        label=inputs["label"],
    ).copy_to(meta / "conflicts-000000.parquet")
    sql.query(con, PLAN_SQL, params, catalog=joined).copy_to(plan, 10_000)
    for table in (schema.CATALOG, schema.TAXA, schema.REJECTS, schema.CONFLICTS):
        artifact.check(meta / f"{table.name}-000000.parquet", table)
    rows = sql.query(con, CITATIONS_SQL, catalog=joined).rows()
    lines = ["datasetKey,datasetName,n_images", *(f"{_cell(k)},{_cell(n)},{c}" for k, n, c in rows)]
    (folder / "citations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    joined.unlink()
    return plan


def units(
    con: duckdb.DuckDBPyConnection, plan: Path, folder: Path, release: str, **how: Any
) -> list[Unit]:
    """The data files to write."""
    text = "select distinct split, bucket from plan order by split, bucket"
    found = sql.query(con, text, plan=plan).rows()
    return [
        Unit(plan=plan, split=split, bucket=bucket, **how,
             target=folder / "data" / release / f"{bucket // 1000:03d}" / f"{split}-{bucket:06d}.parquet")
        for split, bucket in found
    ]  # fmt: skip


def shard(unit: Unit) -> int:
    """Write one data file; return its rows. Raises ValueError when kept bytes have gone missing."""
    rows = pq.read_table(
        unit.plan, filters=[("split", "=", unit.split), ("bucket", "=", unit.bucket)]
    )
    unit.target.parent.mkdir(parents=True, exist_ok=True)
    fields = schema.DATA.schema.with_metadata(hub_metadata(schema.DATA))
    texts = [
        f.name for f in fields if pa.types.is_string(f.type) and f.name not in ("uuid", "image_md5")
    ]
    codecs = {name: "zstd" for name in fields.names if name != "image"}
    with pq.ParquetWriter(
        unit.target, fields, use_dictionary=texts, write_page_index=True,
        compression={**codecs, "image.bytes": "none", "image.path": "zstd"},
    ) as writer:  # fmt: skip
        for start in range(0, rows.num_rows, unit.rows_per_group):
            chunk = rows.slice(start, unit.rows_per_group)
            writer.write_table(_with_pictures(chunk, unit, fields), row_group_size=chunk.num_rows)
    return int(rows.num_rows)


def _with_pictures(rows: pa.Table, unit: Unit, fields: pa.Schema) -> pa.Table:
    blobs = Blobs(unit.blobs)
    made: dict[str, list[Any]] = {"image": [], "image_md5": [], "width": [], "height": []}
    keys: Sequence[Any] = [rows.column(n).to_pylist() for n in ("uuid", "md5", "crop")]
    for uuid, md5, crop in zip(*keys, strict=True):
        try:
            picture = pixels.decode(blobs.get(md5), crop, max_pixels=unit.max_pixels)
        except FileNotFoundError as error:
            raise ValueError(
                f"the bytes of {uuid} are gone ({error}); run the build again"
            ) from error
        data, width, height = pixels.shipped(
            picture, max_side_px=unit.max_side_px, quality=unit.quality
        )
        made["image"].append({"bytes": data, "path": f"{uuid}.jpg"})
        made["image_md5"].append(hashlib.md5(data).hexdigest())
        made["width"].append(width)
        made["height"].append(height)
    arrays = [
        pa.array(made[f.name], f.type) if f.name in made else rows.column(f.name).cast(f.type)
        for f in fields
    ]
    return pa.table(arrays, schema=fields)


def _cell(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula."""
    safe = f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
    return '"' + safe.replace('"', '""') + '"'
