"""A catalogue of any size for the browser: names as in a tree of 300,000 species, pictures in a long tail.

Only what the browser reads is drawn; the tables come from the code that makes them in a build.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from catalog import schema, sql
from curation import index

N_THUMBNAILS = schema.THUMBNAILS_PER_FILE

SPECIES_SQL = """
select k as number,
  ['Animalia', 'Animalia', 'Animalia', 'Plantae', 'Plantae', 'Fungi', 'Chromista', 'Bacteria'][1 + g % 8] as kingdom,
  'Phylum' || g % 8 || '_' || g % 24 as phylum, 'Class' || g % 96 as "class", 'Order' || g % 480 as "order",
  'Family' || g % 4800 as family, 'Genus' || g as genus, 'Genus' || g || ' species' || k as species
from (select k, k // 8 as g from range($n_species) r(k))
"""

JOINED_SQL = """
with drawn as (
  select i, md5(i::varchar) as h, floor($n_species * (hash(i) % 1000003 / 1000003.0) ** 4)::bigint as number
  from range($n_rows) t(i)
),
named as (select * from drawn join species using (number))
select substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-5' || substr(h, 14, 3) || '-9' || substr(h, 18, 3) || '-'
    || substr(h, 21, 12) as uuid,
  ['gbif', 'gbif', 'gbif', 'eol', 'bioscan'][1 + i % 5] as source, (4000000000 + i)::varchar as source_id,
  'https://pictures.example.org/photos/' || i || '/original.jpg' as identifier, h as md5, 'image/jpeg' as media_type,
  h || h as phash, kingdom, phylum, "class", "order", family, genus, species, 'species' || number as specificEpithet,
  'species' as taxonRank, species as canonicalName, species || ' Author, 1900' as scientificName,
  case when number % 3 = 0 then 'Common creature ' || number end as vernacularName, number::varchar as taxonID,
  'world 1' as taxonomy, species as verbatimScientificName, 'exact' as match_rule, 1.0::double as match_score,
  ['HUMAN_OBSERVATION', 'HUMAN_OBSERVATION', 'PRESERVED_SPECIMEN'][1 + i % 3] as basisOfRecord,
  (1990 + i % 36)::varchar || '-05-1' || i % 10 as eventDate, 'Observer ' || i % 50000 as recordedBy,
  (hash(i + 1) % 170)::double - 85 as decimalLatitude, (hash(i + 2) % 360)::double - 180 as decimalLongitude,
  ['US', 'DE', 'BR', 'ZA', 'AU', 'JP', 'GB', 'FR', 'MX', 'IN'][1 + (hash(i + 3) % 10)::bigint] as countryCode,
  'as-published/1:unchanged' as geoprivacy, ['CC-BY-4.0', 'CC0-1.0', 'CC-BY-NC-4.0', 'CC-BY-4.0'][1 + i % 4] as license,
  ['open', 'open', 'nc', 'open'][1 + i % 4] as license_status, 'Observer ' || i % 50000 as creator,
  'Observer ' || i % 50000 || ', CC BY' as attribution, uuid as group_id, 'train' as split,
  i % 4 <> 2 as redistributable, i % 4 <> 2 as keep
from named
union all by name select * exclude (thumbnail_row) from empty
"""

REJECTS_SQL = """
select uuid, 'world' as archive, 'multimedia.txt' as source_table, row_number() over () as source_row,
  0::integer as media_index, source, source_id, identifier, verbatimScientificName, license, license_status,
  'dedup' as reject_stage, 'duplicate_near' as reject_reason, 3.0::double as reject_score,
  uuid as duplicate_of
from (select * replace (md5(uuid) as uuid) from joined where hash(uuid) % 5 = 0)
union all by name select * from empty
order by archive, source_table, source_row
"""


def world(folder: Path, work: Path, n_rows: int, n_species: int) -> Path:
    """A dataset folder of `n_rows` catalogue rows, made in `work`; it has tables and thumbnails, no data."""
    con = sql.connect(memory_limit="4GB", spill_dir=work / "spill")
    meta, joined, rejects = (
        folder / "metadata" / "v1",
        work / "joined.parquet",
        folder / "metadata/v1/rejects-000000.parquet",
    )
    meta.mkdir(parents=True)
    species = sql.query(con, SPECIES_SQL, {"n_species": n_species}).table()
    sql.query(con, JOINED_SQL, {"n_rows": n_rows, "n_species": n_species}, species=species,
              empty=schema.CATALOG.empty()).copy_to(joined)  # fmt: skip
    sql.query(con, REJECTS_SQL, joined=joined, empty=schema.REJECTS.empty()).copy_to(
        rejects, index.CATALOG_PER_GROUP
    )
    index.index(
        con, joined, meta, work, rejects=rejects, taxon=[], common=[], listed=schema.LISTED.empty()
    )
    joined.unlink()
    _thumbnails(meta / "thumbnails-000000.parquet")
    for number in range(1, -(-n_rows // N_THUMBNAILS)):  # one file under the names of all
        (meta / f"thumbnails-{number:06d}.parquet").hardlink_to(meta / "thumbnails-000000.parquet")
    params = {"release": "v1", "name": "world", "title": "A world", "n_buckets": 1, "seed": 17}
    (folder / "manifest.json").write_text(
        json.dumps({"stage": "shard", "schema_version": schema.VERSION, "params": params})
    )
    return folder


def _thumbnails(path: Path) -> None:
    kept = io.BytesIO()
    Image.effect_noise((128, 96), 40).convert("RGB").save(kept, "JPEG", quality=80)
    images = [{"bytes": kept.getvalue(), "path": "x.jpg"}] * N_THUMBNAILS
    table = pa.table(
        {"uuid": [str(i) for i in range(N_THUMBNAILS)], "thumbnail": pa.array(images, schema.IMAGE)}
    )
    pq.write_table(
        table,
        path,
        row_group_size=64,
        compression={"uuid": "zstd", "thumbnail.bytes": "none", "thumbnail.path": "zstd"},
    )


if __name__ == "__main__":
    world(Path(sys.argv[1]) / "dataset", Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
