"""A taxonomy of 7.7 million names loaded, and 1.36 million distinct lineages resolved against it.

Input: `_names_synthetic`. Peer: `names.parse` and a dictionary of canonical names in Python, which
checks nothing, over the same lineages. Limit: DuckDB's bare hash join of the canonical names. Every
size runs in a process of its own; memory is its largest resident size.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from catalog import sql
from curation.taxonomy import backbone, names, resolve
from curation.taxonomy.authority import Authority
from tests.benchmarks import _names_synthetic as synthetic
from tests.benchmarks.harness import Result, Row, peak_mb, target

ROOT = Path(__file__).parents[2]
N_NAMES, SIZES = 7_700_000, (100_000, 300_000, 1_360_000)
N_NAMES_QUICK, SIZES_QUICK = 150_000, (5_000, 10_000, 20_000)
MEMORY_LIMIT, MAX_RSS_MB, MAX_LOAD_S, MAX_RESOLVE_S = "4GB", 6_000, 180, 90


def run(*, quick: bool) -> Result:
    """Load once, resolve each size."""
    n_names, sizes = (N_NAMES_QUICK, SIZES_QUICK) if quick else (N_NAMES, SIZES)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        synthetic.taxonomy(work / "Taxon.tsv", n_names)
        load_s, load_mb, n_loaded = _part("load", work)
        rows.append(Row(f"load {n_loaded / 1e6:.2f} M names", "names/s", n_loaded / load_s))
        rows.append(Row("load: largest resident size", "MB", load_mb))
        found = []
        for n in sizes:
            synthetic.lineages(work / "taxon.parquet", work / "lineages.parquet", n)
            ours_s, mb, right, wrong, limit_s, peer_s = _part("resolve", work)
            found.append((n, ours_s, mb, right, wrong))
            rows.append(
                Row(
                    f"resolve {n / 1e6:g} M lineages",
                    "lineages/s",
                    n / ours_s,
                    n / peer_s,
                    n / limit_s,
                )
            )
            rows.append(Row(f"resolve {n / 1e6:g} M: largest resident size", "MB", mb))
        rows.append(
            Row("of the largest: resolved to the taxon meant", "share", found[-1][3] / found[-1][0])
        )
        rows.append(
            Row("of the largest: resolved to another", "share", found[-1][4] / found[-1][0])
        )
    (n0, s0, *_), (n1, s1, mb, *_) = found[0], found[-1]
    slope = math.log(s1 / s0) / math.log(n1 / n0)
    most = max(load_mb, *(f[2] for f in found))
    return Result(
        "names_speed", "Python: parse and a dictionary, nothing checked", "DuckDB's bare join of canonical names",
        tuple(rows),
        (
            target(f"the taxonomy loads in under {MAX_LOAD_S} s", load_s < MAX_LOAD_S, f"{load_s:.0f} s", judged=not quick),
            target(f"{sizes[-1]:,} lineages resolve in under {MAX_RESOLVE_S} s", s1 < MAX_RESOLVE_S, f"{s1:.0f} s",
                   judged=not quick),
            target(f"within {MAX_RSS_MB:,} MB", most < MAX_RSS_MB, f"{most:,.0f} MB", judged=not quick),
            target("cost grows at most linearly with the lineages (exponent at most 1.1)", slope <= 1.1, f"{slope:.2f}",
                   judged=not quick),
        ),
    )  # fmt: skip


def _part(what: str, work: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.names_speed", what, str(work)], cwd=ROOT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError(f"names_speed: {what} failed")
    return [float(v) for v in done.stdout.split()]


def _load(work: Path) -> list[float]:
    con = sql.connect(memory_limit=MEMORY_LIMIT, spill_dir=work / "spill")
    started = time.perf_counter()
    found = backbone.taxon(con, name="synthetic", path=work / "Taxon.tsv", work_dir=work / "load")
    n_names = found.names.copy_to(work / "taxon.parquet")
    found.problems.copy_to(work / "problem.parquet")
    return [time.perf_counter() - started, peak_mb(), n_names]


def _resolve(work: Path) -> list[float]:
    con = sql.connect(memory_limit=MEMORY_LIMIT, spill_dir=work / "spill")
    lineages, taxon = work / "lineages.parquet", work / "taxon.parquet"
    started = time.perf_counter()
    resolve.judged(con, lineages, [taxon], [Authority("synthetic")], work / "resolve").copy_to(
        work / "label.parquet"
    )
    ours_s, mb = time.perf_counter() - started, peak_mb()
    judged = """
    select count(*) filter (l.taxonID = s.expected),
      count(*) filter (l.taxonID <> s.expected and l.match_rule <> 'higher_rank' and s.kind < 87)
    from label l join lineage s using (lineage)
    """
    right, wrong = sql.query(con, judged, label=work / "label.parquet", lineage=lineages).rows()[0]
    started = time.perf_counter()
    bare = "select count(*) from lineage l join taxon t on t.canonicalName = l.text"
    sql.query(con, bare, lineage=lineages, taxon=taxon).scalar()
    limit_s = time.perf_counter() - started
    con.close()
    return [ours_s, mb, right, wrong, limit_s, _peer(lineages, taxon)]


def _peer(lineages: Path, taxon: Path) -> float:
    """Seconds for all lineages; the dictionary's making is not counted."""
    con = duckdb.connect()
    texts: list[Any] = [
        t for (t,) in con.execute(f"select text from '{lineages}' limit 100000").fetchall()
    ]
    (n,) = con.execute(f"select count(*) from '{lineages}'").fetchone() or (0,)
    wanted = {names.parse(t).canonical for t in texts}
    known = {
        c for (c,) in con.execute(f"select canonicalName from '{taxon}'").fetchall() if c in wanted
    }
    started = time.perf_counter()
    for text in texts:
        _ = names.parse(text).canonical in known
    return (time.perf_counter() - started) * n / max(1, len(texts))


if __name__ == "__main__":
    parts = {"load": _load, "resolve": _resolve}
    sys.stdout.write(" ".join(str(v) for v in parts[sys.argv[1]](Path(sys.argv[2]))) + "\n")
