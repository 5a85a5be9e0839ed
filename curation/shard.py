"""The files with pictures of the dataset of record, ready to load.

In   the catalogue that `metadata` joined, and the bytes
Out  `data/<release>/<3 digits>/<split>-<6 digits>.parquet` (schema.DATA, of a private set schema.CAPTIONS) and
     `metadata/<release>/thumbnails-<6 digits>.parquet`, in the catalogue's order

A file is a bucket of a seeded hash of uuid, its rows in hash order: that is the shuffle, done once,
so an update rewrites rows inside buckets and leaves the rest alone. Picture bytes stay uncompressed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import pixels, schema, sql
from catalog.load import hub_metadata
from curation.images import faces
from curation.metadata import MACROS
from curation.store import Packs

THUMBS_PER_FILE, THUMBS_PER_GROUP = schema.THUMBNAILS_PER_FILE, 64
PLAN_PER_GROUP = (
    50_000  # every unit reads the footer of the plan, and the groups that hold its rows
)

PLAN_SQL = """
with shown as (
  select r.md5, r.crop, first(r order by r.pack, r."offset") as r
  from rendered r semi join packs using (pack) where r.pack is not null group by r.md5, r.crop
)
select c.*, case when c.faces_blurred > 0 then b.face_boxes end as face_boxes, r.image_md5, r.width, r.height, r.pack, r."offset", r.n_bytes, r.image_xxh3, r.thumb_xxh3, r.n_thumb_bytes, floor(share($seed || uuid) * case when split = 'train' then $n_buckets else $n_other end)
    ::integer as bucket
from catalog c join shown s on s.md5 = c.md5 and s.crop is not distinct from c.crop
left join score b on b.md5 = c.md5 and b.crop is not distinct from c.crop where keep
order by split, bucket, share($seed || uuid), uuid
"""

THUMBNAIL_SQL = """
select uuid, face_boxes, pack, "offset" + n_bytes as "offset", n_thumb_bytes as n_bytes, thumb_xxh3 as image_xxh3,
  floor((row_number() over w - 1) / $rows_per_file)::integer as bucket
from plan
window w as (order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, uuid)
order by bucket, kingdom, phylum, "class", "order", family, genus, species, canonicalName, uuid
"""


CAPTIONED_SQL = """
select c.*, m.title as caption from catalog c join media m using (uuid)
where m.reject_reason is null order by uuid
"""


@dataclass(frozen=True)
class Unit:
    """One file: which planned rows it holds, and the packs their bytes lie in.

    `table` names its columns in the contract. Without a `split` it is a file of thumbnails.
    """

    plan: Path
    target: Path
    split: str | None
    bucket: int
    packs: Path
    rows_per_group: int
    table: str = schema.DATA.name
    blur: float = 1.0  # faces of this score and more are blurred in rows that have boxes
    quality: int = 90  # of the JPEG then


@dataclass(frozen=True)
class Plan:
    """What goes into which file, in order; not shipped."""

    data: Path
    thumbnails: Path


def captioned(con: duckdb.DuckDBPyConnection, joined: Path, media: Path, work: Path) -> Path:
    """The joined catalogue with the captions of its pictures, written into `work`."""
    path = work / "captioned.parquet"
    sql.query(con, CAPTIONED_SQL, catalog=joined, media=media).copy_to(path)
    return path


def plan(
    con: duckdb.DuckDBPyConnection, joined: Path, work: Path, *, seed: int, n_buckets: int, rendered: sql.Input,
    packs: sql.Input, score: sql.Input,
) -> Plan:  # fmt: skip
    """What goes into which file, written into `work`. ValueError when the bytes of a kept picture are gone."""
    con.execute(MACROS)
    made = Plan(work / "plan.parquet", work / "thumbnails.parquet")
    params = {"seed": str(seed), "n_buckets": n_buckets, "n_other": max(1, n_buckets // 16),
              "rows_per_file": THUMBS_PER_FILE}  # fmt: skip
    n_planned = sql.query(con, PLAN_SQL, params, catalog=joined, rendered=rendered, packs=packs,
                          score=score).copy_to(
        made.data, PLAN_PER_GROUP)  # fmt: skip
    sql.query(con, THUMBNAIL_SQL, params, plan=made.data).copy_to(made.thumbnails, PLAN_PER_GROUP)
    n_kept = sql.query(con, "select count(*) from catalog where keep", catalog=joined).scalar()
    if n_planned != n_kept:
        raise ValueError(
            f"the bytes of {n_kept - n_planned} kept pictures are gone; run the build again"
        )
    return made


def units(
    con: duckdb.DuckDBPyConnection,
    planned: Plan,
    folder: Path,
    release: str,
    *,
    packs: Path,
    rows_per_group: int,
    data: schema.Table = schema.DATA,
    blur: float = 1.0,
    quality: int = 90,
) -> list[Unit]:
    """The data files and the files of thumbnails to write."""
    text = "select distinct split, bucket from plan order by split, bucket"
    made = [
        Unit(plan=planned.data, split=split, bucket=bucket, packs=packs, rows_per_group=rows_per_group, table=data.name,
             blur=blur, quality=quality,
             target=folder / "data" / release / f"{bucket // 1000:03d}" / f"{split}-{bucket:06d}.parquet")
        for split, bucket in sql.query(con, text, plan=planned.data).rows()
    ]  # fmt: skip
    small = "select distinct bucket from plan order by bucket"
    made += [
        Unit(plan=planned.thumbnails, split=None, bucket=bucket, packs=packs, rows_per_group=THUMBS_PER_GROUP,
             table=schema.THUMBNAILS.name, blur=blur, quality=pixels.THUMB_QUALITY, target=folder / "metadata" / release / f"thumbnails-{bucket:06d}.parquet")
        for (bucket,) in sql.query(con, small, plan=planned.thumbnails).rows()
    ]  # fmt: skip
    return made


def shard(unit: Unit) -> int:
    """Write one file; return its rows. Raises ValueError when kept bytes have gone missing."""
    where = [("bucket", "=", unit.bucket)]
    rows = pq.read_table(
        unit.plan, filters=where if unit.split is None else [*where, ("split", "=", unit.split)]
    )
    unit.target.parent.mkdir(parents=True, exist_ok=True)
    table, column = schema.TABLES[unit.table], "thumbnail" if unit.split is None else "image"
    fields = table.schema.with_metadata(hub_metadata(table))
    unique = ("uuid", "image_md5", "caption")
    texts = [f.name for f in fields if pa.types.is_string(f.type) and f.name not in unique]
    codecs = {name: "zstd" for name in fields.names if name != column}
    unfinished = unit.target.with_name(f".tmp-{os.getpid()}-{unit.target.name}")
    with pq.ParquetWriter(
        unfinished, fields, use_dictionary=texts, write_page_index=True,
        compression={**codecs, f"{column}.bytes": "none", f"{column}.path": "zstd"},
    ) as writer:  # fmt: skip
        for start in range(0, rows.num_rows, unit.rows_per_group):
            chunk = rows.slice(start, unit.rows_per_group)
            images = _images(chunk, Packs(unit.packs), unit)
            if "image_md5" in fields.names:
                md5s = [
                    hashlib.md5(image["bytes"]).hexdigest() if boxes else md5
                    for image, boxes, md5 in zip(
                        images,
                        *(chunk.column(n).to_pylist() for n in ("face_boxes", "image_md5")),
                        strict=True,
                    )
                ]
                chunk = chunk.set_column(
                    chunk.schema.get_field_index("image_md5"),
                    "image_md5",
                    pa.array(md5s, pa.string()),
                )
            arrays = [
                pa.array(images, f.type) if f.name == column else chunk.column(f.name).cast(f.type)
                for f in fields
            ]
            writer.write_table(pa.table(arrays, schema=fields), row_group_size=chunk.num_rows)
    os.replace(unfinished, unit.target)  # whole, whoever else writes it
    return int(rows.num_rows)


def _images(rows: pa.Table, packs: Packs, unit: Unit) -> list[dict[str, Any]]:
    """The pictures of some planned rows, from where they lie; faces in them blurred where that was decided."""
    keys = [
        rows.column(n).to_pylist()
        for n in ("uuid", "pack", "offset", "n_bytes", "image_xxh3", "face_boxes")
    ]
    made = []
    for uuid, pack, offset, n_bytes, xxh3, boxes in zip(*keys, strict=True):
        try:
            data = packs.get(pack, offset, n_bytes, xxh3=xxh3)
        except FileNotFoundError as error:
            raise ValueError(
                f"the bytes of {uuid} are gone ({error}); run the build again"
            ) from error
        if boxes:
            data = faces.blurred(data, boxes, unit.blur, unit.quality)
        made.append({"bytes": data, "path": f"{uuid}.jpg"})
    return made
