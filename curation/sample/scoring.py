"""How well a finished build recovered what was planted in the sample world.

In   truth     truth.parquet of the world
     catalog   rows of schema.CATALOG (kept, and refused for label, licence, kind or score)
     rejects   rows of schema.REJECTS
Out  one Score each of resolution, duplicates, leaks, faults, licences and filters

Rows meet by source, id of the record and address. A score is null where nothing was there to
decide. Scores are regression guards: the planted strengths reach beyond what any threshold can
tell, so 1.000 everywhere would mean that the world is too easy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from catalog import sql
from curation.sample.naming import ALL_SPECIES
from curation.sample.taxa import RANKS

_KNOWN = """
with known as (
  select uuid, source, source_id, identifier, null as reject_stage, null as reject_reason,
    null as duplicate_of, phash is not null as hashed
  from catalog where not exists (select 1 from rejects r where r.uuid = catalog.uuid and r.reject_stage in
    ('type', 'museum', 'camera_trap', 'faces', 'quality'))
  union all
  select uuid, source, source_id, identifier, reject_stage, reject_reason, duplicate_of,
    reject_stage = 'dedup'
  from rejects where reject_stage is null or reject_stage not in ('label', 'licence')
),
row_of as (
  select t.*, k.uuid, k.reject_stage, k.reject_reason, k.duplicate_of, k.hashed
  from truth t join known k on k.source = t.source and k.source_id = t.source_id
    and k.identifier is not distinct from t.identifier
)
"""

RESOLUTION_SQL = """
with labelled as (
  select t.resolvable, t.true_rank, c.kingdom is not null as resolved,
    coalesce(c.kingdom = s.kingdom, true) and coalesce(c.phylum = s.phylum, true)
      and coalesce(c."class" = s."class", true) and coalesce(c."order" = s."order", true)
      and coalesce(c.family = s.family, true) and coalesce(c.genus = s.genus, true)
      and coalesce(c.species = s.species, true) as agrees,
    case t.true_rank when 'species' then c.species when 'genus' then c.genus
      when 'family' then c.family when 'order' then c."order" when 'class' then c."class"
      when 'phylum' then c.phylum when 'kingdom' then c.kingdom end is not null as deep_enough
  from truth t join species s on s.species = t.species
  join catalog c on c.source = t.source and c.source_id = t.source_id
    and c.identifier is not distinct from t.identifier
)
select count(*) filter (resolved and agrees), count(*) filter (resolved),
  count(*) filter (resolvable and resolved and agrees and deep_enough),
  count(*) filter (resolvable)
from labelled
"""

DUPLICATES_SQL = (
    _KNOWN
    + """,
dropped as (
  select r.*, r.duplicate_cluster is not null
    and (r.duplicate_of is null or k.duplicate_cluster is not distinct from r.duplicate_cluster) as good
  from row_of r left join row_of k on k.uuid = r.duplicate_of and k.reject_stage is null
  where r.reject_stage = 'dedup' or r.reject_reason = 'duplicate_row'
),
cluster as (                    -- members that came as far as the comparison; one of them stays
  select r.duplicate_cluster, greatest(count(*) filter (r.detectable or not $detectable_only) - 1, 0)
      as n_expected
  from row_of r
  where r.duplicate_cluster is not null
    and (r.hashed or r.reject_stage = 'dedup' or r.reject_reason = 'duplicate_row')
  group by r.duplicate_cluster
),
found as (
  select duplicate_cluster, count(*) filter (good) as n_good from dropped group by duplicate_cluster
)
select (select count(*) filter (good) from dropped), (select count(*) from dropped),
  coalesce(sum(least(coalesce(n_good, 0), n_expected)), 0)::bigint,
  coalesce(sum(n_expected), 0)::bigint
from cluster left join found using (duplicate_cluster)
"""
)

LEAKS_SQL = (
    _KNOWN
    + """
select count(*) filter (reject_stage = 'benchmark' and leak),
  count(*) filter (reject_stage = 'benchmark'),
  count(*) filter (reject_stage = 'benchmark' and leak), count(*) filter (leak)
from row_of
"""
)

FAULTS_SQL = (
    _KNOWN
    + """
select count(*) filter (refused and fault is not null), count(*) filter (refused),
  count(*) filter (refused and fault is not null), count(*) filter (fault is not null)
from (select *, coalesce(reject_stage in ('fetch', 'pixels'), false) as refused from row_of
      where record_fault is null and licence_kind = 'open' and resolvable)
"""
)

LICENCES_SQL = """
with judged as (
  select t.licence_kind <> 'open' as closed, coalesce(r.reject_stage = 'licence', false) as refused
  from truth t
  join (select distinct source, source_id, identifier from catalog) c
    on c.source = t.source and c.source_id = t.source_id
    and c.identifier is not distinct from t.identifier
  left join rejects r on r.source = t.source and r.source_id = t.source_id
    and r.identifier is not distinct from t.identifier
  where r.reject_stage is null or r.reject_stage = 'licence'
)
select count(*) filter (refused and closed), count(*) filter (refused),
  count(*) filter (refused and closed), count(*) filter (closed)
from judged
"""


FILTER_SQL = (
    _KNOWN
    + """
select count(*) filter (refused and planted), count(*) filter (refused), count(*) filter (refused and planted),
  count(*) filter (planted)
from (select image_kind = $kind as planted, coalesce(list_contains($stages, reject_stage), false) as refused from row_of
      where reject_stage is null or list_contains($stages, reject_stage) or reject_stage in ('benchmark', 'dedup'))
"""
)


@dataclass(frozen=True)
class Score:
    """One score: the share of what was decided that is right, and of what was planted and found.

    `n` is how many planted rows the recall is taken over.
    """

    name: str
    precision: float | None
    recall: float | None
    n: int


def score(
    con: duckdb.DuckDBPyConnection,
    *,
    truth: Path,
    catalog: Sequence[Path],
    rejects: Sequence[Path],
) -> list[Score]:
    """Return the scores of a build of the sample world."""
    lineages = [dict(zip(RANKS, one.lineage, strict=True)) for one in ALL_SPECIES]
    inputs: dict[str, sql.Input] = {
        "truth": truth,
        "catalog": list(catalog),
        "rejects": list(rejects),
        "species": pa.Table.from_pylist(lineages),
    }
    wanted: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("resolution", RESOLUTION_SQL, {}),
        ("duplicates, detectable", DUPLICATES_SQL, {"detectable_only": True}),
        ("duplicates, all", DUPLICATES_SQL, {"detectable_only": False}),
        ("benchmark leaks", LEAKS_SQL, {}),
        ("faulty pictures", FAULTS_SQL, {}),
        ("closed licences", LICENCES_SQL, {}),
        ("labels of specimens", FILTER_SQL, {"kind": "museum_label", "stages": ["type", "museum"]}),
        (
            "empty camera-trap frames",
            FILTER_SQL,
            {"kind": "empty_frame", "stages": ["camera_trap"]},
        ),
        ("faces", FILTER_SQL, {"kind": "face", "stages": ["faces"]}),
    )
    return [_score(name, sql.query(con, text, params, **inputs)) for name, text, params in wanted]


def _score(name: str, query: sql.Query) -> Score:
    ((right, decided, found, planted),) = query.rows()
    precision = right / decided if decided else None
    return Score(name, precision, found / planted if planted else None, int(planted))
