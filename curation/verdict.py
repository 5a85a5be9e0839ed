"""Keep or drop, with the reason: the only place that says no.

In   media, label, fetch, phash, score, dedup, removal (uuid, url or creator to take down)
Out  schema.VERDICT: one row per media row, none lost

The first reason in the order of the build counts: source, media, removal, label, licence, type, fetch,
pixels, museum, camera_trap, faces, quality, benchmark, dedup. Rows refused for their label, their licence, their kind or a
score stay in the catalogue (CATALOGUED), so that whoever reads it may draw other lines. A picture without a score is
dropped by none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import schema, sql
from catalog.licence import may_redistribute, needs_credit

MIN_RANKS = (*schema.RANKS, "any")
ON_FACE = ("drop", "blur", "keep")
CATALOGUED = ("label", "licence", "type", "museum", "camera_trap", "faces", "quality")

LICENCES_SQL = """
select distinct license, license_status, license_verbatim from media
order by license, license_status, license_verbatim
"""

SQL = """
with judged as (
  select m.uuid, m.archive, m.source_table, m.source_row, m.media_index, m.source, m.source_id,
    m.identifier, m.verbatimScientificName, m.license, m.license_status, m.license_verbatim,
    d.duplicate_of, d.distance, p.phash_quality,
    coalesce(l.allowed, false) and (not l.needs_credit
      or coalesce(m.creator, m.rightsHolder) is not null) as redistributable,
    -- what a published catalogue stated holds where nobody has looked again
    coalesce(c.museum_nearest, m.museum_nearest) as nearest,
    case when c.museum_nearest is null then m.museum_score else c.museum_score end as margin,
    coalesce(c.animal_score, m.animal_score) as animal, coalesce(c.face_score, m.face_score) as face,
    coalesce(c.sharpness, m.sharpness) as sharp, coalesce(c.subject_contrast, m.subject_contrast) as contrast,
    coalesce(c.clipped_share, m.clipped_share) as clipped,
    case
      when m.reject_reason in ('duplicate_row', 'no_record_id') then 'media'
      when m.reject_reason is not null then 'source'
      when r.uuid is not null then 'removal'
      when not ($min_rank = 'any' or case $min_rank
          when 'kingdom' then n.kingdom when 'phylum' then n.phylum when 'class' then n."class"
          when 'order' then n."order" when 'family' then n.family when 'genus' then n.genus
          when 'species' then n.species end is not null) then 'label'
      when not $private and not coalesce(l.allowed, false) then 'licence'
      when not $private and l.needs_credit and coalesce(m.creator, m.rightsHolder) is null then 'licence'
      when list_contains($drop_types, m.image_type) then 'type'
      when f.status is distinct from 'ok' or f.md5 <> m.published_md5 then 'fetch'
      when p.error is not null or p.md5 is null then 'pixels'
      when least(p.original_width, p.original_height) < $min_side_px then 'pixels'
      when d.placeholder then 'pixels'
      when list_contains($drop_museum, nearest) and margin >= $min_museum_score then 'museum'
      when m.image_type = 'camera_trap' and animal < $min_animal_score then 'camera_trap'
      when face >= $max_face_score and ($on_face = 'drop' or $on_face = 'blur' and c.face_boxes is null) then 'faces'
      when sharp < $min_sharpness or contrast < $min_subject_contrast or clipped > $max_clipped_share then 'quality'
      when d.benchmark is not null then 'benchmark'
      when d.duplicate_of is not null then 'dedup'
    end as reject_stage,
    m.reject_reason as said, n.match_rule, n.match_reason, f.error as fetch_error,
    f.status as fetch_status, p.error as pixel_error, d.benchmark, d.duplicate_rule, d.placeholder, l.allowed,
    least(p.original_width, p.original_height) as side, m.image_type
  from media m
  left join label n using (lineage)
  left join rights l on l.license is not distinct from m.license
    and l.license_status is not distinct from m.license_status
    and l.license_verbatim is not distinct from m.license_verbatim
  left join removed r on r.uuid = m.uuid
  left join "fetch" f on f.url = m.url
  left join phash p on p.md5 = f.md5 and p.crop is not distinct from m.crop
  left join score c on c.md5 = f.md5 and c.crop is not distinct from m.crop
  left join dedup d on d.uuid = m.uuid and m.reject_reason is null
)
select uuid, archive, source_table, source_row, media_index, source, source_id, identifier,
  verbatimScientificName, license, license_status, license_verbatim,
  reject_stage is null as keep, redistributable, reject_stage,
  case reject_stage
    when 'media' then said
    when 'source' then said
    when 'removal' then 'removed_on_request'
    when 'label' then case when match_rule is null then coalesce(match_reason, 'unresolved')
                           else 'above_min_rank' end
    when 'licence' then case when license_status = 'open' and not coalesce(allowed, false)
                               then 'licence_not_redistributable'
                             when not coalesce(allowed, false) then 'licence_' || license_status
                             else 'attribution_missing' end
    when 'type' then 'type_' || image_type
    when 'fetch' then coalesce(fetch_error, case when fetch_status = 'ok' then 'bytes_changed' end, 'not_fetched')
    when 'pixels' then coalesce(pixel_error, case when side is null then 'not_hashed' when side < $min_side_px
                                  then 'too_small' when placeholder then 'placeholder' end)
    when 'museum' then 'museum_' || nearest
    when 'camera_trap' then 'empty_frame'
    when 'faces' then 'face'
    when 'quality' then case when sharp < $min_sharpness then 'blurred'
                             when contrast < $min_subject_contrast then 'no_subject' else 'clipped' end
    when 'benchmark' then 'near_' || benchmark
    when 'dedup' then 'duplicate_' || duplicate_rule
  end as reject_reason,
  case reject_stage
    when 'pixels' then case when not coalesce(placeholder, false) then side::double end
    when 'museum' then margin
    when 'camera_trap' then animal
    when 'faces' then face
    when 'quality' then case when sharp < $min_sharpness then sharp
                             when contrast < $min_subject_contrast then contrast else clipped end
    when 'benchmark' then distance::double
    when 'dedup' then distance::double
  end as reject_score,
  case when reject_stage = 'dedup' then duplicate_of end as duplicate_of
from judged
order by archive, source_table, source_row, media_index
"""

ELIGIBLE_SQL = """
select uuid from verdict where reject_stage = 'fetch' order by uuid  -- judged before any fetch
"""

REMOVED_SQL = """
select distinct m.uuid from media m join removal r
  on (r.kind = 'uuid' and m.uuid = lower(word(r.value)))
  or (r.kind = 'url' and m.url = canonical_url(r.value))
  or (r.kind = 'creator' and lower(word(r.value)) in (lower(m.creator), lower(m.rightsHolder)))
where m.uuid is not null order by m.uuid
"""


@dataclass(frozen=True)
class Limits:
    """The thresholds of the ladder; the recipe's fields of the same names say what they mean."""

    min_rank: str = "family"
    min_side_px: int = 224
    drop_types: tuple[str, ...] = ()
    drop_museum: tuple[str, ...] = ()
    min_museum_score: float = 0.0
    min_animal_score: float = 0.0
    max_face_score: float = 1.0
    on_face: str = "keep"
    min_sharpness: float = 0.0
    min_subject_contrast: float = 0.0
    max_clipped_share: float = 1.0


def verdict(
    con: duckdb.DuckDBPyConnection,
    *,
    media: Path,
    label: Path,
    fetch: pa.Table | Path,
    phash: pa.Table | Path,
    score: pa.Table | Path,
    dedup: pa.Table | Path,
    limits: Limits,
    allow_nc: bool,
    removals: Sequence[tuple[str, str]],
    private: bool = False,
) -> sql.Query:
    """One row of schema.VERDICT per media row.

    A `private` set is for training on its owner's machines and is never published: there, and only
    there, a licence refuses nothing (`redistributable` still tells what might be published).
    `removals` are (kind, value) with kind uuid, url or creator. Raises ValueError for an unknown
    rank or kind.
    """
    if limits.min_rank not in MIN_RANKS:
        raise ValueError(f"min_rank {limits.min_rank!r} is no rank; choose one of {', '.join(MIN_RANKS)}")  # fmt: skip
    if unknown := [kind for kind, _ in removals if kind not in ("uuid", "url", "creator")]:
        raise ValueError(f"a removal names {unknown[0]!r}; choose uuid, url or creator")
    params = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(limits).items()}  # fmt: skip
    query = sql.query(con, SQL, params | {"private": private}, media=media, label=label, fetch=fetch, phash=phash,
                      score=score, dedup=dedup, rights=rights(con, media, allow_nc),
                      removed=_removed(con, media, removals))  # fmt: skip
    return dataclasses.replace(query, as_written=True)


def rights(con: duckdb.DuckDBPyConnection, media: Path, allow_nc: bool) -> pa.Table:
    """Which licences allow redistribution, and which ask for credit."""
    rows = sql.query(con, LICENCES_SQL, media=media).table().to_pylist()
    for row in rows:
        spdx, status, said = row["license"], row["license_status"], row["license_verbatim"]
        row["allowed"] = may_redistribute(spdx, status, said, allow_nc)
        row["needs_credit"] = needs_credit(spdx, said)
    fields = [(n, schema.STR) for n in ("license", "license_status", "license_verbatim")]
    flags = [("allowed", schema.BOOL), ("needs_credit", schema.BOOL)]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields + flags))


def _removed(
    con: duckdb.DuckDBPyConnection, media: Path, removals: Sequence[tuple[str, str]]
) -> pa.Table:
    table = pa.table({"kind": pa.array([kind for kind, _ in removals], schema.STR),
                      "value": pa.array([value for _, value in removals], schema.STR)})  # fmt: skip
    return sql.query(con, REMOVED_SQL, media=media, removal=table).table()
