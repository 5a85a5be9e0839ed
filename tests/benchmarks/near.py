"""All near pairs of 256-bit hashes and the groups they make, from half a million to 20 million.

Random hashes with planted copies (a tenth of them, at every distance from 0 to the limit); then the same
with the skew of real collections: pictures with equal hashes by the thousand, bursts of dozens within a
few bits, and one time-lapse of a few thousand. Peer: all pairs by brute force (numpy), as the original
compared them; measured at 50,000, where it is also the proof of completeness. Limit: sorting the
eight 32-bit bands, which any method of bands must do or better. Every size runs in a process of its
own with DuckDB limited to 3 GB.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import near, sql
from tests.benchmarks.harness import Result, Row, peak_mb, target

ROOT = Path(__file__).parents[2]
SIZES = (500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000)
QUICK_SIZES = (50_000, 100_000, 200_000)
JUDGED, MAX_S, MAX_MB, MAX_BITS = 5_000_000, 60.0, 4_000, 10
BRUTE = 50_000
FULL = 214_000_000
MEMORY_LIMIT = "3GB"

HASH_SQL = """
select row_number() over (order by phash) - 1 as id, phash, word_of(phash, 0) as w0, word_of(phash, 1) as w1,
  word_of(phash, 2) as w2, word_of(phash, 3) as w3
from picture group by phash order by phash
"""
FOUND_SQL = """
select count(*) filter (n.a is not null), count(*) from planted t
join hash p on p.phash = t.one join hash q on q.phash = t.other
left join near n on n.a = least(p.id, q.id) and n.b = greatest(p.id, q.id) where p.id <> q.id
"""
SHARE_SQL = """
select t.distance, avg((n.a is not null)::integer) from planted t
join hash p on p.phash = t.one join hash q on q.phash = t.other
left join near n on n.a = least(p.id, q.id) and n.b = greatest(p.id, q.id)
where t.distance > 15 group by t.distance order by t.distance
"""


def run(*, quick: bool) -> Result:
    """Measure."""
    sizes = QUICK_SIZES if quick else SIZES
    plain = [_child("plain", n) for n in sizes]
    skewed = _child("skew", sizes[-1] if quick else JUDGED)
    brute = _child("brute", 5_000 if quick else BRUTE)
    share = dict(_child("share", 50_000 if quick else 200_000)["share"])
    rows = [Row(f"{n / 1e6:g} M hashes: pairs within {MAX_BITS} bits, and groups", "hashes/s", n / f["seconds"], None,
                n / f["sort_s"]) for n, f in zip(sizes, plain, strict=True)]  # fmt: skip
    rows += [
        Row(f"{n / 1e6:g} M hashes: largest resident size", "MB", f["mb"])
        for n, f in zip(sizes, plain, strict=True)
    ]
    rows.append(Row(f"{skewed['n'] / 1e6:g} M pictures with skew ({skewed['pairs']:,} pairs)", "pictures/s",
                    skewed["n"] / skewed["seconds"]))  # fmt: skip
    rows.append(Row(f"{brute['n']:,} hashes against brute force", "hashes/s", brute["n"] / brute["seconds"],
                    brute["n"] / brute["brute_s"]))  # fmt: skip
    rows += [Row(f"share found of pairs {d} bits apart, beyond what is complete", "share", share[d])
             for d in (16, 20, 24, 28, 31)]  # fmt: skip
    judged = next((f for n, f in zip(sizes, plain, strict=True) if n == JUDGED), plain[-1])
    slope = _slope([f["n"] for f in plain], [f["seconds"] for f in plain])
    at_full = plain[-1]["seconds"] * (FULL / plain[-1]["n"]) ** slope
    rows.append(
        Row(
            f"hours at {FULL / 1e6:g} M on these 2 cores, by the slope {slope:.2f}",
            "h",
            at_full / 3600,
        )
    )
    most = max(judged["mb"], skewed["mb"])
    return Result(
        "near", "all pairs by brute force", "sorting eight bands", tuple(rows),
        (
            target(f"5 M hashes within {MAX_S:.0f} s, groups included", judged["seconds"] <= MAX_S,
                   f"{judged['seconds']:.1f} s", judged=not quick),
            target(f"the same with skew within {MAX_S:.0f} s", skewed["seconds"] <= MAX_S,
                   f"{skewed['seconds']:.1f} s", judged=not quick),
            target(f"within {MAX_MB:,} MB", most <= MAX_MB, f"{most:,.0f} MB", judged=not quick),
            target("complete at 50,000 by brute force", brute["equal"], f"{brute['pairs']:,} pairs, the same ones",
                   judged=not quick),
            target("every planted pair is found at 5 M, plain and with skew",
                   judged["found"] == judged["planted"] and skewed["found"] == skewed["planted"],
                   f"{judged['found']:,} of {judged['planted']:,}, {skewed['found']:,} of {skewed['planted']:,}"),
        ),
    )  # fmt: skip


def _child(what: str, n: int) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.near", what, str(n)], cwd=ROOT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError(f"near: {what} at {n:,} failed")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _slope(sizes: list[int], seconds: list[float]) -> float:
    """Exponent of the size in the time, from the larger half of the sizes."""
    half = len(sizes) // 2
    return float(
        np.polyfit([math.log(n) for n in sizes[half:]], [math.log(s) for s in seconds[half:]], 1)[0]
    )


def _random(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 256, (n, 32), dtype=np.uint8)


def _copies(rng: np.random.Generator, originals: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Each hash with so many different bits turned."""
    made = originals.copy()
    for at in np.unique(distance):
        mine = np.flatnonzero(distance == at)
        places = rng.random((len(mine), 256)).argpartition(max(at, 1), axis=1)[:, :at]
        for column in range(at):
            bit = places[:, column]
            made[mine, bit >> 3] ^= (1 << (bit & 7)).astype(np.uint8)
    return made


def _world(what: str, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hashes of n pictures; planted pairs (one, other) and their distances."""
    rng = np.random.default_rng(n)
    most = 31 if what == "share" else MAX_BITS
    n_copies = n // 10
    base = _random(rng, n - n_copies)
    parts = [base]
    one = base[:n_copies]
    distance = rng.integers(16 if what == "share" else 1, most + 1, n_copies)
    other = np.concatenate([_copies(rng, one[i : i + 100_000], distance[i : i + 100_000])
                            for i in range(0, n_copies, 100_000)])  # fmt: skip
    parts.append(other)
    if what == "skew":  # in place of other random ones
        equal = np.repeat(_random(rng, 40), n // 1000, axis=0)
        seeds = _random(rng, n // 200)
        bursts = np.repeat(seeds, 12, axis=0)
        bursts = np.concatenate([_copies(rng, bursts[i : i + 100_000], rng.integers(1, 6, len(bursts[i : i + 100_000])))
                                 for i in range(0, len(bursts), 100_000)])  # fmt: skip
        lapse = _copies(rng, np.repeat(_random(rng, 1), 3000, axis=0), rng.integers(1, 5, 3000))
        extra = np.concatenate([equal, seeds, bursts, lapse])
        parts = [base[: len(base) - len(extra)], other, extra]
    return np.concatenate(parts), one, other, distance


def _hex(hashes: np.ndarray) -> pa.Array:
    text = hashes.tobytes().hex()
    offsets = pa.py_buffer(np.arange(0, 64 * len(hashes) + 1, 64, dtype=np.int64).tobytes())
    return pa.Array.from_buffers(
        pa.large_string(), len(hashes), [None, offsets, pa.py_buffer(text.encode())]
    )


def _measure(what: str, n: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if (done := subprocess.run([sys.executable, "-m", "tests.benchmarks.near", f"make:{what}", str(n), name],
                                   cwd=ROOT, check=False)).returncode:  # fmt: skip
            raise RuntimeError(f"making {n} failed: {done.returncode}")
        con = sql.connect(memory_limit=MEMORY_LIMIT, spill_dir=work / "spill")
        con.execute(near.MACROS)
        started = time.perf_counter()
        sql.query(con, HASH_SQL, picture=work / "picture.parquet").copy_to(work / "hash.parquet")
        pairs = near.among(
            con, work / "hash.parquet", 31 if what == "share" else MAX_BITS, work / "near"
        )
        groups = near.components(con, pairs)
        seconds = time.perf_counter() - started
        mb = peak_mb()
        inputs = {"planted": work / "planted.parquet", "hash": work / "hash.parquet", "near": pairs}
        if what == "share":
            return {"share": sql.query(con, SHARE_SQL, **inputs).rows()}
        found, planted = sql.query(con, FOUND_SQL, **inputs).rows()[0]
        result = {"n": n, "seconds": seconds, "mb": mb, "found": found, "planted": planted,
                  "pairs": pq.read_metadata(pairs).num_rows, "grouped": groups.num_rows}  # fmt: skip
        if what == "brute":
            result |= _brute(work, pairs)
        result["sort_s"] = float((work / "sort").read_text())
        return result


def _make(what: str, n: int, work: Path) -> None:
    """Write the pictures, in a process that ends, so that its memory is not counted."""
    hashes, one, other, distance = _world(what, n)
    started = time.perf_counter()
    bands = np.ascontiguousarray(hashes).view(np.uint32)
    for band in range(bands.shape[1]):
        np.sort(bands[:, band])
    (work / "sort").write_text(str(time.perf_counter() - started))
    pq.write_table(pa.table({"phash": _hex(hashes)}), work / "picture.parquet")
    pq.write_table(pa.table({"one": _hex(one), "other": _hex(other), "distance": pa.array(distance.astype(np.int32))}),
                   work / "planted.parquet")  # fmt: skip


def _brute(work: Path, pairs: Path) -> dict[str, object]:
    """All pairs, one row against all later ones, and whether they are ours."""
    table = pq.read_table(work / "hash.parquet", columns=["w0", "w1", "w2", "w3"])
    words = np.stack([table.column(f"w{k}").to_numpy() for k in range(4)], axis=1)
    started, found = time.perf_counter(), set()
    for a in range(len(words)):
        bits = np.bitwise_count(words[a + 1 :] ^ words[a]).sum(axis=1, dtype=np.int64)
        found |= {(a, int(a + 1 + b), int(bits[b])) for b in np.flatnonzero(bits <= MAX_BITS)}
    seconds = time.perf_counter() - started
    ours = {
        tuple(row.values())
        for row in pq.read_table(pairs, columns=["a", "b", "distance"]).to_pylist()
    }
    return {"brute_s": seconds, "equal": ours == found}


if __name__ == "__main__":
    kind, count = sys.argv[1], int(sys.argv[2])
    if kind.startswith("make:"):
        _make(kind.removeprefix("make:"), count, Path(sys.argv[3]))
    else:
        sys.stdout.write(json.dumps(_measure(kind, count)) + "\n")
