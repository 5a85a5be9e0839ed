"""Find equal pictures, near pictures and held-out pictures; keep one of each, and say which.

In   picture   id (order of uuid), uuid, keys of records and bursts, contents, hashes, what ranks it
     held      benchmark, pixel_xxh3, phash, probes of held-out pictures
Out  schema.DEDUP: one row per picture

What is near a held-out picture is found whichever classes make duplicates.

The ladder: same address, same provider key, same bytes, same pixels; then hashes within
`near_max_bits`, all of them; then `wide` candidates, up to 31 bits apart, and candidates whose hash is
a probe of another (`crop`, `mirror`) or has the same probe (`border`), which count only once their
pixels have been looked at. Frames of a burst are not duplicates of each other, whatever their hashes
say; a copy of a frame elsewhere is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import near, sql
from catalog.phash import PROBES

EXACT_CLASSES = ("url", "provider_key", "md5", "pixels")
CONFIRMED_CLASSES = ("wide", "crop", "mirror", "border")
CLASSES = (*EXACT_CLASSES, "near", *CONFIRMED_CLASSES)
WIDE_BITS = 31
SCORE = pa.schema([("number", pa.int64()), ("score", pa.float64())])

PLACEHOLDER_SQL = """
select distinct pixel_xxh3 from picture where host <> ''
group by host, pixel_xxh3
having $placeholder_urls > 0 and count(distinct url) >= $placeholder_urls and count(distinct lineage) >= 3
order by pixel_xxh3
"""

SHOWN_SQL = "select p.* from picture p anti join placeholder q using (pixel_xxh3) order by id"

HASH_SQL = """
select row_number() over (order by phash) - 1 as id, phash, word_of(phash, 0) as w0, word_of(phash, 1) as w1,
  word_of(phash, 2) as w2, word_of(phash, 3) as w3, min(probes) as probes
from (select phash, probes from picture where phash is not null
      union all select phash, probes from held where phash is not null)
group by phash order by phash
"""

PROBE_SQL = """
with probe as (select id, substr(hex(probes), 64 * $number + 1, 64) as bits from hash)
select id, word_of(bits, 0) as w0, word_of(bits, 1) as w1, word_of(bits, 2) as w2, word_of(bits, 3) as w3
from probe where bits <> repeat('0', 64)    -- nothing left to hash
"""

CANDIDATE_SQL = """
with found as (
  select a, b, 'wide' as kind, distance from among where distance > $near_max_bits
  union all select a, b, kind, distance from probed
),
best as (               -- one way, and one crop, of those that led to a pair
  select f.*, regexp_replace(kind, '_[0-9]+$', '') as rule from found f
  where not exists (select 1 from among n where n.distance <= $near_max_bits
                    and n.a = least(f.a, f.b) and n.b = greatest(f.a, f.b))
  qualify row_number() over (partition by least(f.a, f.b), greatest(f.a, f.b), rule
                             order by distance, kind, f.a) = 1
)
select row_number() over (order by a, b, rule) - 1 as number, a, b, kind, rule, distance
from best order by number
"""

PAIR_SQL = """
select a, b, 'near' as rule, distance from among where distance <= $near_max_bits
union all
select c.a, c.b, c.rule, c.distance
from candidate c join score s using (number) where s.score >= $min_score
order by a, b, rule
"""

EXACT_SQL = """
with same as (
  select 'url' as rule, url || coalesce('#' || crop, '') as key, id from shown where url is not null
  union all select 'provider_key', provider_key || coalesce('#' || crop, ''), id from shown
  where provider_key is not null
  union all select 'md5', md5 || coalesce('#' || crop, ''), id from shown where md5 is not null
  union all select 'pixels', pixel_xxh3, id from shown where pixel_xxh3 is not null
),
first_of as (select rule, key, min(id) as head from same where list_contains($classes, rule)
             group by rule, key having count(*) > 1)
select id as a, head as b, rule from same join first_of using (rule, key) where id <> head
order by a, b, rule
"""

NEAR_SQL = """
with head_of as (select phash, min(id) as head from shown where phash is not null group by phash)
select p.id as a, h.head as b, 'near' as rule, 0 as distance
from shown p join head_of h using (phash) where p.id <> h.head and list_contains($classes, 'near')
union all
select x.head, y.head, rule, distance from pair
join hash p on p.id = pair.a join head_of x on x.phash = p.phash
join hash q on q.id = pair.b join head_of y on y.phash = q.phash
where list_contains($classes, rule)
order by a, b, rule
"""

BURST_SQL = """
with record as (select source || ':' || record_key as key, id from picture where source <> 'eol'),
first_of as (select key, min(id) as head from record group by key having count(*) > 1),
shot as (                       -- frames of one camera or observer, in time
  select id, taken, lag(id) over w as previous, lag(taken) over w as previous_at
  from (select id, coalesce(deploymentID, coalesce(datasetKey, '') || ' ' || recordedBy) as eye, try_cast(eventDate as timestamp) as taken
        from picture where eventDate similar to '.*T.*:.*')
  where eye is not null and taken is not null and taken <> date_trunc('day', taken)  -- midnight: no time
  window w as (partition by eye order by taken, id)
)
select id as a, head as b from record join first_of using (key) where id <> head
union all
select id, previous from shot where taken - previous_at <= to_seconds($burst_s)
"""

GROUP_SQL = """
with key as (
  select 'organism' as kind, organismID as key, id from picture where organismID is not null
  union all select 'catalogue', datasetKey || ':' || catalogNumber, id from picture
  where catalogNumber is not null and datasetKey is not null
  union all select 'picture', url, id from picture where url is not null
),
first_of as (select kind, key, min(id) as head from key group by kind, key having count(*) > 1)
select id as a, head as b from key join first_of using (kind, key) where id <> head
union all select a, b from burst_edge
union all select a, b from exact
union all select a, b from near_edge
"""

HELD_SQL = """
with same as (            -- flat pictures have no hash, but pixels
  select p.id, h.benchmark from picture p join held h using (pixel_xxh3)
),
id_of as (select h.id, b.benchmark from held b join hash h using (phash)),
touched as (
  select id, benchmark, 0 as distance from id_of
  union all select pair.a, benchmark, distance from pair join id_of o on o.id = pair.b
  union all select pair.b, benchmark, distance from pair join id_of o on o.id = pair.a
),
found as (
  select p.id, benchmark, distance from touched t join hash h on h.id = t.id join picture p using (phash)
  union all select id, benchmark, 0 from same
)
select id, benchmark, min(distance)::integer as distance from found
group by id, benchmark order by id, benchmark
"""

SQL = """
with held_out as (
  select id, first(benchmark order by distance, benchmark) as benchmark, min(distance) as distance
  from held_near group by id
),
linked as (             -- of equal pictures: not held out, best label, largest, freest, by source, most known
  select p.id, coalesce(e.label, p.id) as exact, t.label as twins, b.label as burst,
    original_width, original_height,
    row_number() over (order by h.id is not null, preference, coalesce(-n_pixels, 0), strictness,
      source_order, -n_known, coalesce(-n_bytes, 0), p.id) as place
  from twin t join picture p using (id) left join exact_twin e using (id) left join burst b using (id)
  left join held_out h using (id)
),
first_of_exact as (select exact, arg_min(id, place) as first_id from linked group by exact),
first_of_twins as (select twins, arg_min(id, place) as best_id from linked group by twins),
judged as (
  select l.id, f.first_id, t.best_id,
    f.first_id = t.best_id or coalesce(x.burst = y.burst and x.original_width = y.original_width
      and x.original_height = y.original_height, false) as first_stays
  from linked l join first_of_exact f using (exact) join first_of_twins t using (twins)
  join linked x on x.id = f.first_id join linked y on y.id = t.best_id
),
fate as (
  select id, case when id = first_id and first_stays then null
                  when first_stays then first_id else best_id end as kept,
    id <> first_id as by_exact
  from judged
),
exact_rule as (
  select id, first(rule order by list_position($classes, rule)) as rule
  from (select a as id, rule from exact union all select b, rule from exact) group by id
),
near_rule as (          -- of the hash: every picture that has it
  select p.id, first(rule order by list_position($classes, rule), distance) as rule,
    first(distance order by list_position($classes, rule), distance) as distance
  from (select h.phash, rule, distance from pair join hash h on h.id = pair.a
        union all select h.phash, rule, distance from pair join hash h on h.id = pair.b
        union all select phash, 'near', 0 from shown where phash is not null
        group by phash having count(*) > 1) r
  join picture p using (phash) where list_contains($classes, rule) group by p.id
)
select p.uuid, g.uuid as group_id, k.uuid as duplicate_of,
  case when k.uuid is not null then case when f.by_exact then e.rule else n.rule end end as duplicate_rule,
  coalesce(h.distance, case when k.uuid is not null and not f.by_exact then n.distance end)::integer
    as distance,
  h.benchmark, q.pixel_xxh3 is not null as placeholder
from picture p
left join grouped o on o.id = p.id
left join picture g on g.id = coalesce(o.label, p.id)
left join fate f on f.id = p.id
left join picture k on k.id = f.kept
left join exact_rule e on e.id = p.id
left join near_rule n on n.id = p.id
left join held_out h on h.id = p.id
left join placeholder q on q.pixel_xxh3 = p.pixel_xxh3
order by p.uuid
"""


def dedup(
    con: duckdb.DuckDBPyConnection, *, picture: sql.Input, held: sql.Input, folder: Path,
    confirm: Callable[[Path, Path], Iterable[pa.Table]], classes: tuple[str, ...], near_max_bits: int,
    burst_s: float, placeholder_urls: int, min_score: float,
) -> sql.Query:  # fmt: skip
    """One row of schema.DEDUP per picture; what was found on the way stays in `folder`.

    `confirm(candidate, hash)` gives tables of (number, score) for candidate pairs; a score of `min_score` or
    more makes a pair count. Frames of one camera or observer at most `burst_s` seconds apart, and
    those of one record, are a burst. Raises ValueError when `near_max_bits` is more than the search is
    exact for.
    """
    if not 0 <= near_max_bits <= near.MAX_EXACT_BITS:
        raise ValueError(f"near_max_bits is {near_max_bits}; the search is exact from 0 to 15")
    con.execute(near.MACROS)
    params: dict[str, Any] = {
        "classes": list(classes), "near_max_bits": near_max_bits, "burst_s": burst_s,
        "placeholder_urls": placeholder_urls, "min_score": min_score}  # fmt: skip

    def made(name: str, text: str, **inputs: sql.Input) -> Path:
        sql.query(con, text, params, **inputs).copy_to(folder / f"{name}.parquet")
        return folder / f"{name}.parquet"

    placeholder = made("placeholder", PLACEHOLDER_SQL, picture=picture)
    shown = made("shown", SHOWN_SQL, picture=picture, placeholder=placeholder)
    hash_ = made("hash", HASH_SQL, picture=shown, held=held)
    reach = WIDE_BITS if "wide" in classes else near_max_bits
    n_arrangements = 2 if "wide" in classes else 1
    among = near.among(con, hash_, reach, folder / "among", n_arrangements=n_arrangements)
    probed = _probed(con, hash_, classes, folder)
    candidate = made("candidate", CANDIDATE_SQL, among=among, probed=probed)
    score = folder / "score.parquet"
    with sql.parquet_writer(score, SCORE) as out:
        for scores in confirm(candidate, hash_):
            out.write_table(scores)
    n_scores, n_candidates = (pq.read_metadata(path).num_rows for path in (score, candidate))
    assert n_scores == n_candidates, f"{n_scores} of {n_candidates} candidates were looked at"
    pair = made("pair", PAIR_SQL, among=among, candidate=candidate, score=score)
    exact = made("exact", EXACT_SQL, shown=shown)
    near_edge = made("near_edge", NEAR_SQL, shown=shown, pair=pair, hash=hash_)
    both = made(
        "both",
        "select a, b from exact union all select a, b from near_edge",
        exact=exact,
        near_edge=near_edge,
    )
    burst_edge = made("burst_edge", BURST_SQL, picture=shown)
    group = made(
        "group", GROUP_SQL, picture=picture, burst_edge=burst_edge, exact=exact, near_edge=near_edge
    )
    held_near = made("held_near", HELD_SQL, held=held, hash=hash_, pair=pair, picture=picture)
    labels = {
        name: near.components(con, edge)
        for name, edge in {
            "twin": both,
            "exact_twin": exact,
            "burst": burst_edge,
            "grouped": group,
        }.items()
    }
    return sql.query(con, SQL, params, picture=picture, shown=shown, hash=hash_, pair=pair, exact=exact,
                     held_near=held_near, placeholder=placeholder, **labels)  # fmt: skip


def _probed(
    con: duckdb.DuckDBPyConnection, hash_: Path, classes: tuple[str, ...], folder: Path
) -> sql.Input:
    """Candidates by probes: pairs a, b, kind, distance; for a crop or a mirror a is the original."""
    found = []
    for number, kind in enumerate(PROBES):
        if kind.partition("_")[0] not in classes:
            continue
        probe = folder / f"probe-{kind}.parquet"
        sql.query(con, PROBE_SQL, {"number": number}, hash=hash_).copy_to(probe)
        place = folder / f"by-{kind}"
        pairs = (near.among(con, probe, WIDE_BITS, place) if kind == "border"
                 else near.between(con, probe, hash_, WIDE_BITS, place))  # fmt: skip
        found.append(folder / f"probed-{kind}.parquet")
        sql.query(con, "select *, $kind as kind from pairs order by a, b", {"kind": kind},
                  pairs=pairs).copy_to(found[-1])  # fmt: skip
    empty = pa.schema(
        [("a", pa.int64()), ("b", pa.int64()), ("distance", pa.int32()), ("kind", pa.string())]
    )
    return found or empty.empty_table()
