"""Which pictures of a test set did training see, or something much like them?

Matched against the rows of a published catalogue that were trained on: by the md5 of the bytes as fetched, by perceptual
hash within some bits, and by what they were taken in: the same observer on the same day, the same deployment of a camera.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import near, place, sql
from eval.examples import Examples

MAX_BITS = 10  # of 256, as deduplication has it
PICTURE_RULES, CONTEXT_RULES = ("same_bytes", "near_hash"), ("same_observer_day", "same_deployment")

TRAINED_SQL = """
select uuid, md5, phash, recordedBy, substr(eventDate, 1, 10) as day, deploymentID
from catalog where keep and split = 'train'
"""
HASHES_SQL = """
select concat($side, phash) as id, phash,
  word_of(phash, 0) as w0, word_of(phash, 1) as w1, word_of(phash, 2) as w2, word_of(phash, 3) as w3
from (select distinct phash from picture where phash is not null) order by phash
"""
HITS_SQL = """
with told as (
  select example, uuid, 'same_bytes' as rule, 0 as distance from asked join trained using (md5)
  union all
  select a.example, t.uuid, 'near_hash', p.distance
  from pairs p join probe f on f.id = p.a join asked a on a.phash = f.phash
    join hash h on h.id = p.b join trained t on t.phash = h.phash
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


@dataclass(frozen=True)
class Trained:
    """What a dataset's catalogue says of the pictures that were trained on, as files."""

    folder: Path
    con: duckdb.DuckDBPyConnection
    rows: Path  # uuid, md5, phash, recordedBy, day, deploymentID
    hashes: Path  # as `near` takes them


@contextmanager
def trained(against: str) -> Iterator[Trained]:
    """The rows of a dataset, a folder or ORG/NAME, that were trained on. Raises ValueError where there is none."""
    found = place.find(against, ("catalog",))
    files = found.tables(found.manifest["params"]["release"], "catalog")
    if not files:
        raise ValueError(f"{against} has no catalogue to compare with")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        con = sql.connect(spill_dir=folder)
        con.execute(near.MACROS)
        sql.query(con, TRAINED_SQL, catalog=files).copy_to(folder / "trained.parquet")
        yield Trained(folder, con, folder / "trained.parquet", _hashes(con, "trained:", folder / "trained.parquet", folder / "hashes.parquet"))  # fmt: skip


@contextmanager
def nothing() -> Iterator[None]:
    """Where nothing is known of what was trained on."""
    yield None


def hits(examples: Examples, pictures: pa.Table, trained: Trained, max_bits: int = MAX_BITS) -> pa.Table:  # fmt: skip
    """Per picture of a test set and rule the nearest that was trained on: example, rule, uuid, distance (bits).

    `pictures` are its hashes (`features.PICTURES`).
    """
    with tempfile.TemporaryDirectory(dir=trained.folder) as name:
        asked = Path(name) / "asked.parquet"
        pq.write_table(_asked(examples, pictures), asked)
        probe = _hashes(trained.con, "asked:", asked, Path(name) / "probe.parquet")
        pairs = near.between(trained.con, probe, trained.hashes, max_bits, Path(name) / "near")
        return sql.query(trained.con, HITS_SQL, asked=asked, trained=trained.rows, pairs=pairs, probe=probe, hash=trained.hashes).table()  # fmt: skip


def _asked(examples: Examples, pictures: pa.Table) -> pa.Table:
    days = [(value or "")[:10] for value in examples.column("eventDate")]
    columns = {name: pictures[name] for name in ("example", "md5", "phash")}
    columns |= {name: examples.table[name] for name in ("recordedBy", "deploymentID")}
    return pa.table({**columns, "day": pa.array(days, pa.string())})


def _hashes(con: duckdb.DuckDBPyConnection, side: str, rows: Path, out: Path) -> Path:
    """Distinct hashes of pictures with ids of their own, in the form that `near` takes."""
    sql.query(con, HASHES_SQL, {"side": side}, picture=rows).copy_to(out)
    return out


def named(found: pa.Table, rules: Sequence[str]) -> set[str]:
    """The pictures that any of some rules hit."""
    return {row["example"] for row in found.to_pylist() if row["rule"] in rules}
