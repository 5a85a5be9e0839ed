"""Find equal pictures, near pictures and held-out pictures; keep one of each, and say which.

In   picture    uuid, url, provider_key, md5, pixel_md5, phash, crop, organism and burst keys, rank
     benchmark  phash of held-out pictures
Out  schema.DEDUP: one row per picture that has a group, a better twin or a held-out neighbour

The ladder: same address, same provider key, same bytes, same pixels, then perceptual hashes within
`near_max_bits`. Near pairs are exact up to 15 bits: the 256 bits, permuted at random once, are cut
into eight bands of 32, and two hashes within 15 bits agree on some band but for at most one bit, so
probing each band as it is and with each single bit flipped finds them all.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from catalog import schema, sql

N_BITS, N_BANDS, BAND_BITS = 256, 8, 32
MAX_EXACT_BITS = 2 * N_BANDS - 1
_SEED = 20250523
_FLIPS = [0, *(1 << bit for bit in range(BAND_BITS))]

HASHES_SQL = "select distinct phash from picture where phash is not null order by phash"

NEAR_SQL = """
with band as (
  select id, unnest([0, 1, 2, 3, 4, 5, 6, 7]) as band_no,
    unnest([b0, b1, b2, b3, b4, b5, b6, b7]) as value
  from hash
),
probe as (select id, band_no, xor(value, f) as value from band, unnest($flips::uinteger[]) as u(f)),
candidate as (
  select distinct p.id as a, b.id as b
  from probe p join band b on p.band_no = b.band_no and p.value = b.value and p.id < b.id
)
select a, b, (bit_count(xor(x.w0, y.w0))::int + bit_count(xor(x.w1, y.w1))::int
  + bit_count(xor(x.w2, y.w2))::int + bit_count(xor(x.w3, y.w3))::int) as distance
from candidate c join hash x on x.id = c.a join hash y on y.id = c.b
where (bit_count(xor(x.w0, y.w0))::int + bit_count(xor(x.w1, y.w1))::int
  + bit_count(xor(x.w2, y.w2))::int + bit_count(xor(x.w3, y.w3))::int) <= $max_bits
order by a, b
"""

LINKS_SQL = """
with near_hash as (             -- pairs of different hashes; equal hashes meet through `same`
  select p.phash as left_hash, q.phash as right_hash, n.distance
  from near n join hash_id p on p.id = n.a join hash_id q on q.id = n.b
),
same as (
  select 'url' as rule, url || coalesce('#' || crop, '') as key, uuid from picture
  where url is not null
  union all select 'provider_key', provider_key || coalesce('#' || crop, ''), uuid from picture
  where provider_key is not null
  union all select 'md5', md5 || coalesce('#' || crop, ''), uuid from picture where md5 is not null
  union all select 'pixels', pixel_md5, uuid from picture where pixel_md5 is not null
  union all select 'near', phash, uuid from picture where phash is not null
),
first_of as (select rule, key, min(uuid) as head from same group by rule, key having count(*) > 1),
head_of_hash as (select phash, min(uuid) as head from picture where phash is not null group by phash)
select uuid as a, head as b, rule, case rule when 'near' then 0 end as distance
from same join first_of using (rule, key) where uuid <> head
union all
select l.head, r.head, 'near', distance from near_hash
join head_of_hash l on l.phash = left_hash join head_of_hash r on r.phash = right_hash
order by a, b, rule
"""

GROUP_LINKS_SQL = """
with key as (
  select 'organism' as kind, organismID as key, uuid from picture where organismID is not null
  union all select 'occurrence', source || ':' || record_key, uuid from picture where source <> 'eol'
  union all select 'catalogue', datasetKey || ':' || catalogNumber, uuid from picture
  where catalogNumber is not null and datasetKey is not null
  union all select 'picture', url, uuid from picture where url is not null
),
shot as (                       -- frames of one camera or observer, in time
  select uuid, try_cast(eventDate as timestamp) as taken,
    lag(uuid) over w as previous, lag(try_cast(eventDate as timestamp)) over w as previous_at
  from picture
  where coalesce(deploymentID, recordedBy) is not null and eventDate similar to '.*T.*:.*'
    and try_cast(eventDate as timestamp) is not null
  window w as (partition by coalesce(deploymentID, recordedBy)
               order by try_cast(eventDate as timestamp), uuid)
),
first_of as (select kind, key, min(uuid) as head from key group by kind, key having count(*) > 1)
select uuid as a, head as b from key join first_of using (kind, key) where uuid <> head
union all select uuid, previous from shot where taken - previous_at <= to_seconds($burst_s)
union all select a, b from link
"""

SQL = """
with grouped as (
  select p.*, coalesce(g.label, p.uuid) as group_id, d.label as twins
  from picture p left join organism g using (uuid) left join twin d using (uuid)
),
held_out as (
  select p.uuid, first(h.benchmark order by h.distance, h.benchmark) as benchmark,
    min(h.distance) as distance
  from picture p join held h using (phash) group by p.uuid
),
best as (     -- of equal pictures: not held out, best labelled, largest, freest, least compressed
  select twins, first(g.uuid order by h.uuid is not null, preference, coalesce(-n_pixels, 0), strictness,
      coalesce(-n_bytes, 0), g.uuid) as kept
  from grouped g left join held_out h using (uuid) where twins is not null group by twins
),
rule as (
  select uuid, first(rule order by case rule when 'url' then 0 when 'provider_key' then 1
      when 'md5' then 2 when 'pixels' then 3 else 4 end) as duplicate_rule,
    min(distance) as distance
  from (select a as uuid, rule, distance from link union all select b, rule, distance from link)
  group by uuid
)
select g.uuid, g.group_id,
  case when b.kept <> g.uuid then b.kept end as duplicate_of,
  case when b.kept <> g.uuid then r.duplicate_rule end as duplicate_rule,
  coalesce(h.distance, case when b.kept <> g.uuid then r.distance end)::integer as distance,
  h.benchmark
from grouped g
left join best b using (twins) left join rule r using (uuid) left join held_out h using (uuid)
order by g.uuid
"""


def dedup(
    con: duckdb.DuckDBPyConnection, *, picture: pa.Table | Path, benchmark: pa.Table, near_max_bits: int,
    burst_s: float,
) -> sql.Query:  # fmt: skip
    """One row of schema.DEDUP per picture.

    `benchmark` has columns benchmark, phash; frames of one camera or observer at most `burst_s`
    seconds apart are one group. Raises ValueError when `near_max_bits` is more than the
    search is exact for.
    """
    if not 0 <= near_max_bits <= MAX_EXACT_BITS:
        raise ValueError(f"near_max_bits is {near_max_bits}; the search is exact from 0 to 15")
    ours = sql.query(con, HASHES_SQL, picture=picture).table().column(0).to_pylist()
    theirs = benchmark.column("phash").drop_null().unique().to_pylist()
    texts = sorted({*ours, *theirs})
    near = near_pairs(con, texts, near_max_bits)
    hash_id = pa.table(
        {"id": pa.array(range(len(texts)), pa.int64()), "phash": pa.array(texts, pa.string())}
    )
    links = sql.query(con, LINKS_SQL, picture=picture, near=near, hash_id=hash_id).table()
    twin = components(con, links)
    group_links = sql.query(con, GROUP_LINKS_SQL, {"burst_s": burst_s}, picture=picture,
                            link=links).table()  # fmt: skip
    held = sql.query(con, HELD_SQL, near=near, hash_id=hash_id, benchmark=benchmark).table()
    return sql.query(con, SQL, picture=picture, twin=twin, organism=components(con, group_links),
                     link=links, held=held)  # fmt: skip


HELD_SQL = """
with pair as (
  select p.phash as one, q.phash as other, distance from near n
  join hash_id p on p.id = n.a join hash_id q on q.id = n.b
)
select phash, benchmark, min(distance)::integer as distance from (
  select b.phash, b.benchmark, 0 as distance from benchmark b where b.phash is not null
  union all select one, benchmark, distance from pair join benchmark b on b.phash = other
  union all select other, benchmark, distance from pair join benchmark b on b.phash = one)
group by phash, benchmark order by phash, benchmark
"""


def near_pairs(con: duckdb.DuckDBPyConnection, texts: list[str], max_bits: int) -> pa.Table:
    """All pairs (a < b, positions in `texts`) of hex hashes within `max_bits` (at most 15) bits."""
    if not texts:
        return pa.table({n: pa.array([], pa.int64()) for n in ("a", "b", "distance")})
    packed = np.frombuffer(bytes.fromhex("".join(texts)), dtype=np.uint8).reshape(
        len(texts), N_BITS // 8
    )
    order = np.random.default_rng(_SEED).permutation(N_BITS)
    mixed = np.ascontiguousarray(np.packbits(np.unpackbits(packed, axis=1)[:, order], axis=1))
    words, bands = mixed.view(np.uint64), mixed.view(np.uint32)
    columns = {"id": pa.array(np.arange(len(texts)))}
    columns |= {f"w{i}": pa.array(words[:, i].copy()) for i in range(words.shape[1])}
    columns |= {f"b{i}": pa.array(bands[:, i].copy()) for i in range(N_BANDS)}
    params = {"flips": _FLIPS, "max_bits": max_bits}
    return sql.query(con, NEAR_SQL, params, hash=pa.table(columns)).table()


STEP_SQL = """
with edge as (select a, b from link union all select b, a from link),
near_label as (select e.a as uuid, min(l.label) as label
               from edge e join labelled l on l.uuid = e.b group by e.a)
select l.uuid, least(l.label, n.label) as label, n.label < l.label as changed
from labelled l join near_label n using (uuid)
"""
START_SQL = """
select uuid, uuid as label, true as changed
from (select a as uuid from link union select b from link)
"""


def components(con: duckdb.DuckDBPyConnection, link: pa.Table) -> pa.Table:
    """Connected components of an edge table (a, b): uuid and the smallest uuid it is joined to."""
    labelled = sql.query(con, START_SQL, link=link).table()
    while labelled.num_rows and any(labelled.column("changed").to_pylist()):
        labelled = sql.query(con, STEP_SQL, link=link, labelled=labelled).table()
    return labelled.drop_columns(["changed"]) if labelled.num_rows else pa.table(
        {"uuid": pa.array([], schema.STR), "label": pa.array([], schema.STR)})  # fmt: skip
