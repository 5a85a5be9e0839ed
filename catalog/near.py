"""All pairs of 256-bit hashes within some bits, by band joins; and what they connect.

In   hash    id, w0 w1 w2 w3 (the four 64-bit words of a hash), hashes distinct
     probe   the same, for altered pictures
Out  pairs a, b, distance (files of parquet)

A hash is cut into eight bands of 32 bits. Two hashes within 15 bits agree on some band but for at most
one bit (eight bands with two differences each would make 16), so a join of each band as it is and
with each single bit flipped finds them all; of pairs further apart it finds a share, which
`tests/benchmarks/near.py` prints. A band takes bits from all over the hash: neighbouring
coefficients of real pictures go together, and would crowd the buckets of a join.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import sql

N_BANDS, BAND_BITS = 8, 32
MAX_EXACT_BITS = 2 * N_BANDS - 1
MAX_AT_ONCE = 200_000  # hashes; of more, one band is joined at a time, for the sake of memory
_FLIPS = tuple(
    pa.table({"flip": pa.array(bits, pa.uint64())})
    for bits in (
        [1 << (8 * i + j) for i in range(8) for j in range(4)],
        [1 << i for i in range(BAND_BITS)],
    )
)
"""The bits of a band, in either arrangement."""

MACROS = """
create or replace macro word_of(hash, n) as ('0x' || substr(hash, 16 * n + 1, 16))::ubigint;

create or replace macro band_of(w0, w1, w2, w3, band, arrangement) as
  case when arrangement = 0 then          -- one bit of every byte
    ((w0 >> band) & 72340172838076673::ubigint)
    | (((w1 >> ((band + 3) % 8)) & 72340172838076673::ubigint) << 1)
    | (((w2 >> ((band + 6) % 8)) & 72340172838076673::ubigint) << 2)
    | (((w3 >> ((band + 1) % 8)) & 72340172838076673::ubigint) << 3)
  else                                    -- one byte of every word
    ((w0 >> (8 * band)) & 255::ubigint)
    | (((w1 >> (8 * ((band + 3) % 8))) & 255::ubigint) << 8)
    | (((w2 >> (8 * ((band + 6) % 8))) & 255::ubigint) << 16)
    | (((w3 >> (8 * ((band + 1) % 8))) & 255::ubigint) << 24)
  end;

create or replace macro bits_between(x, y) as
  bit_count(xor(x.w0, y.w0))::integer + bit_count(xor(x.w1, y.w1))::integer
  + bit_count(xor(x.w2, y.w2))::integer + bit_count(xor(x.w3, y.w3))::integer;
"""

AMONG_SQL = """
with value as (
  select id, w0, w1, w2, w3, number, band_of(w0, w1, w2, w3, number, $arrangement) as band
  from hash, unnest($bands) as bands(number)
),
probe as (          -- of two bands one bit apart, the one that has the bit finds the other
  select v.*, band as wanted, false as flipped from value v
  union all
  select v.*, xor(band, flip), true from value v, flips where (band & flip) <> 0
)
select least(p.id, v.id) as a, greatest(p.id, v.id) as b, bits_between(p, v) as distance
from probe p join value v on p.wanted = v.band and p.number = v.number and (p.flipped or p.id < v.id)
where bits_between(p, v) <= $max_bits
"""

BETWEEN_SQL = """
with value as (
  select id, w0, w1, w2, w3, number, band_of(w0, w1, w2, w3, number, $arrangement) as band
  from hash, unnest($bands) as bands(number)
),
other as (
  select id, w0, w1, w2, w3, number, band_of(w0, w1, w2, w3, number, $arrangement) as band
  from probe, unnest($bands) as bands(number)
),
wanted as (
  select o.*, band as wanted from other o
  union all select o.*, xor(band, flip) from other o, flips
)
select w.id as a, v.id as b, bits_between(w, v) as distance
from wanted w join value v on w.wanted = v.band and w.number = v.number
where w.id <> v.id and bits_between(w, v) <= $max_bits
"""

DISTINCT_SQL = "select distinct a, b, distance from pairs order by a, b"


def among(
    con: duckdb.DuckDBPyConnection,
    hash: sql.Input,
    max_bits: int,
    folder: Path,
    *,
    n_arrangements: int = 1,
) -> Path:
    """Pairs (a < b) of one set of hashes: every one within 15 bits, a share of those up to `max_bits`.

    With two arrangements of bits into bands the share is larger, and the time double.
    """
    return _by_bands(con, AMONG_SQL, max_bits, folder, n_arrangements, hash=hash)


def between(
    con: duckdb.DuckDBPyConnection, probe: sql.Input, hash: sql.Input, max_bits: int, folder: Path
) -> Path:
    """Pairs of a probe (a) and a hash (b) of another id, found as `among` finds them."""
    return _by_bands(con, BETWEEN_SQL, max_bits, folder, 1, probe=probe, hash=hash)


def _by_bands(
    con: duckdb.DuckDBPyConnection,
    text: str,
    max_bits: int,
    folder: Path,
    n_arrangements: int,
    **inputs: sql.Input,
) -> Path:
    con.execute(MACROS)
    folder.mkdir(parents=True)
    parts = []
    n_at_once = N_BANDS if _n_rows(inputs["hash"]) <= MAX_AT_ONCE else 1
    for arrangement in range(n_arrangements):
        for first in range(0, N_BANDS, n_at_once):
            parts.append(folder / f"bands-{arrangement}-{first}.parquet")
            params = {
                "bands": list(range(first, first + n_at_once)),
                "arrangement": arrangement,
                "max_bits": max_bits,
            }
            sql.query(con, text, params, flips=_FLIPS[arrangement], **inputs).copy_to(parts[-1])
    sql.query(con, DISTINCT_SQL, pairs=parts).copy_to(folder / "pairs.parquet")
    return folder / "pairs.parquet"


def _n_rows(hash: sql.Input) -> int:
    if isinstance(hash, pa.Table):
        return int(hash.num_rows)
    assert isinstance(hash, Path)
    return int(pq.read_metadata(hash).num_rows)


START_SQL = """
select id, id as label from (select a as id from edge union select b from edge)
"""
PARENT_SQL = """
select id, least(id, min(other)) as parent
from (select a as id, b as other from edge union all select b, a from edge) group by id
"""
JUMP_SQL = """
select p.id, q.parent, q.parent <> p.parent as moved from parent p join parent q on q.id = p.parent
"""
RELABEL_SQL = """
select l.id, coalesce(p.parent, l.label) as label from labelled l left join parent p on p.id = l.label
"""
CONTRACT_SQL = """
select distinct least(p.parent, q.parent) as a, greatest(p.parent, q.parent) as b
from edge e join parent p on p.id = e.a join parent q on q.id = e.b where p.parent <> q.parent
"""


def components(con: duckdb.DuckDBPyConnection, edge: sql.Input) -> pa.Table:
    """Connected components of edges (a, b): every id and the smallest id it is joined to (`label`).

    Every id points at its smallest neighbour, pointers are followed to their end, and the edges
    between what is left are looked at again: a number of rounds that grows with the logarithm.
    """
    labelled = sql.query(con, START_SQL, edge=edge).table()
    left: sql.Input = edge
    n_left = labelled.num_rows
    while n_left:
        parent = sql.query(con, PARENT_SQL, edge=left).table()
        moved = True
        while moved:
            jumped = sql.query(con, JUMP_SQL, parent=parent).table()
            moved = _any(con, jumped)
            parent = jumped.select(["id", "parent"])
        labelled = sql.query(con, RELABEL_SQL, labelled=labelled, parent=parent).table()
        left = sql.query(con, CONTRACT_SQL, edge=left, parent=parent).table()
        n_left = left.num_rows
    return labelled


def _any(con: duckdb.DuckDBPyConnection, jumped: pa.Table) -> bool:
    return bool(
        sql.query(con, "select coalesce(bool_or(moved), false) from jumped", jumped=jumped).scalar()
    )
