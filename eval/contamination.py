"""Which pictures of a test set did training see, or something much like them?

Matched against the rows of a published catalogue that were trained on: by the md5 of the bytes as fetched, by perceptual
hash within some bits, and by what they were taken in: the same observer on the same day, the same deployment of a camera.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import near, place, sql
from eval.examples import Examples

MAX_BITS = 10  # of 256, as deduplication has it
PICTURE_RULES, CONTEXT_RULES = ("same_bytes", "near_hash"), ("same_observer_day", "same_deployment")

TRAINED_SQL = """
select uuid, md5, phash, recordedBy, substr(eventDate, 1, 10) as day, deploymentID
from catalog where keep and split = 'train' order by uuid
"""
HASHES_SQL = """
select id, word_of(phash, 0) as w0, word_of(phash, 1) as w1, word_of(phash, 2) as w2, word_of(phash, 3) as w3
from (select min($side || name) as id, phash from picture where phash is not null group by phash) order by id
"""
HITS_SQL = """
with asked as (select * from asked_raw),
told as (
  select example, uuid, 'same_bytes' as rule, 0 as distance from asked join trained using (md5)
  union all
  select a.example, t.uuid, 'near_hash', p.distance
  from pairs p join probe_of f on f.id = p.a join asked a on a.phash = f.phash
    join hash_of h on h.id = p.b join trained t on t.phash = h.phash
  union all
  select example, uuid, 'near_hash', 0 from asked join trained using (phash)
  union all
  select example, uuid, 'same_observer_day', null from asked join trained using (recordedBy, day)
  where length(day) = 10
  union all
  select example, uuid, 'same_deployment', null from asked join trained using (deploymentID)
)
select example, rule, first(uuid order by distance, uuid) as uuid, min(distance)::integer as distance
from told group by example, rule order by example, rule
"""


def hits(
    examples: Examples, pictures: pa.Table, against: str, max_bits: int = MAX_BITS
) -> pa.Table:
    """Per picture of a test set and rule the nearest that was trained on: example, rule, uuid, distance (bits).

    `pictures` are its hashes (`features.PICTURES`); `against` is the dataset that was trained on, a folder or ORG/NAME.
    Raises ValueError where there is none.
    """
    found = place.find(against, ("catalog",))
    files = found.tables(found.manifest["params"]["release"], "catalog")
    if not files:
        raise ValueError(f"{against} has no catalogue to compare with")
    with tempfile.TemporaryDirectory() as folder:
        con = sql.connect()
        con.execute(near.MACROS)
        trained = sql.query(con, TRAINED_SQL, catalog=files).table()
        asked = _asked(examples, pictures)
        probe, hash = (
            _hashes(con, asked, "asked:", "example"),
            _hashes(con, trained, "trained:", "uuid"),
        )
        pairs = near.between(con, probe[0], hash[0], max_bits, Path(folder) / "near")
        return sql.query(con, HITS_SQL, asked_raw=asked, trained=trained, pairs=pairs, probe_of=probe[1], hash_of=hash[1]).table()  # fmt: skip


def _asked(examples: Examples, pictures: pa.Table) -> pa.Table:
    days = [(value or "")[:10] for value in examples.column("eventDate")]
    columns = {name: pictures[name] for name in ("example", "md5", "phash")}
    columns |= {name: examples.table[name] for name in ("recordedBy", "deploymentID")}
    return pa.table({**columns, "day": pa.array(days, pa.string())})


def _hashes(
    con: duckdb.DuckDBPyConnection, table: pa.Table, side: str, name: str
) -> tuple[pa.Table, pa.Table]:
    """Distinct hashes as `near` takes them, and which hash each id stands for."""
    picture = pa.table({"name": table[name], "phash": table["phash"]})
    hashes = sql.query(con, HASHES_SQL, {"side": side}, picture=picture).table()
    texts = ["".join(f"{word:016x}" for word in words) for words in zip(*(hashes[w].to_pylist() for w in ("w0", "w1", "w2", "w3")), strict=True)]  # fmt: skip
    return hashes, pa.table({"id": hashes["id"], "phash": pa.array(texts, pa.string())})


def named(found: pa.Table, rules: Sequence[str]) -> set[str]:
    """The pictures that any of some rules hit."""
    return {row["example"] for row in found.to_pylist() if row["rule"] in rules}
