"""Ingest, media and verdict over 0.5, 1, 2 and 5 million media rows under a 2 GB DuckDB limit.

The input is one Darwin Core Archive repeated with new ids and addresses: the tick archive of the
real data where it is at hand (same columns, same text), else the sample world's. Peer: plain
`read_csv` of the same files into parquet by DuckDB, which accounts for nothing. Limit: reading the
bytes. One size under another limit, printed as numbers alone: `python -m tests.benchmarks.ingest 20000000 10GB`.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from catalog import schema, sql
from curation import media, verdict
from curation.sources import gbif
from curation.taxonomy import resolve
from tests.benchmarks.harness import Result, Row, peak_mb, target

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TREEOFLIFE_REAL_DATA", ROOT.parent / "shared" / "data"))
SIZES = (500_000, 1_000_000, 2_000_000, 5_000_000)
QUICK_SIZES = (20_000, 40_000, 80_000)
MEMORY_LIMIT, MAX_RSS_MB = "2GB", 3_000


def run(*, quick: bool) -> Result:
    """Measure every size in a process of its own, so that memory is that size's."""
    found = []
    for n_rows in QUICK_SIZES if quick else SIZES:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.ingest", str(n_rows)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.stderr.write(done.stderr)  # the size that failed must say why
            raise RuntimeError(f"ingest of {n_rows:,} media rows failed")
        out = done.stdout
        found.append([float(v) for v in out.split()[-6:]])
    rows = []
    for n, ours_s, csv_s, read_s, rss_mb, _ in found:
        size = f"{n / 1e6:g} M media rows"
        rows.append(
            Row(f"{size}: ingest + media + verdict", "rows/s", n / ours_s, n / csv_s, n / read_s)
        )
        rows.append(Row(f"{size}: largest resident size", "MB", rss_mb))
    xs = [math.log(f[0]) for f in found]
    ys = [math.log(f[1]) for f in found]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mx) ** 2 for x in xs
    )
    most = max(f[4] for f in found)
    exact = all(f[5] == 1 for f in found)
    return Result(
        "ingest", "DuckDB read_csv to parquet, no accounting", "reading the bytes", tuple(rows),
        (
            target("cost grows linearly (exponent of rows at most 1.1)", slope <= 1.1, f"{slope:.2f}",
                   judged=not quick),
            target(f"resident size stays under {MAX_RSS_MB} MB with DuckDB at {MEMORY_LIMIT}",
                   most < MAX_RSS_MB, f"{most:,.0f} MB", judged=not quick),
            target("rows in are rows kept plus rows rejected at every size", exact, str(exact)),
        ),
    )  # fmt: skip


def _repeat(archive: Path, folder: Path, n_rows: int) -> None:
    """`archive` again and again with new gbifIDs and addresses, until `n_rows` media rows."""
    folder.mkdir()
    shutil.copy(archive / "meta.xml", folder)
    shutil.copy(archive / "verbatim.txt", folder)
    occurrence = (archive / "occurrence.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    multimedia = (archive / "multimedia.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    n_copies = -(-n_rows // (len(multimedia) - 1))
    with (folder / "occurrence.txt").open("w", encoding="utf-8") as out:
        out.write(occurrence[0])
        for copy in range(n_copies):
            out.writelines(f"{copy + 1}{line}" for line in occurrence[1:])
    left = n_rows
    with (folder / "multimedia.txt").open("w", encoding="utf-8") as out:
        out.write(multimedia[0])
        for copy in range(n_copies):
            lines = multimedia[1 : left + 1]
            out.writelines(
                f"{copy + 1}{line}".replace("/photos/", f"/photos/{copy + 1}0", 1) for line in lines
            )
            left -= len(lines)


def _measure(n_rows: int, memory_limit: str = MEMORY_LIMIT) -> str:
    """One size: seconds of ours, of the peer and of the bare read; memory; whether counts agree."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _repeat(_archive(work), work / "in", n_rows)
        read_s = _timed(
            lambda: [_drain(work / "in" / f) for f in ("occurrence.txt", "multimedia.txt")]
        )
        con = sql.connect(memory_limit=memory_limit, spill_dir=work / "spill")
        kept = [0, 0]

        def ours() -> None:
            gbif.gbif(con, archive="ticks", path=work / "in", work_dir=work / "w").copy_to(
                work / "s.parquet"
            )
            media.media(con, source=[work / "s.parquet"]).copy_to(work / "m.parquet")
            resolve.label(con, media=work / "m.parquet", taxon=[], authorities=[],
                          work_dir=work / "names").copy_to(work / "l.parquet")  # fmt: skip
            verdict.verdict(
                con, media=work / "m.parquet", label=work / "l.parquet", fetch=schema.FETCH.empty(),
                phash=schema.PHASH.empty(), dedup=schema.DEDUP.empty(), min_rank="family",
                min_side_px=1, allow_nc=True, removals=[]).copy_to(work / "v.parquet")  # fmt: skip
            counts = "select count(*), count(*) filter (keep), count(reject_reason) from v"
            kept[:] = [int(n) for n in sql.query(con, counts, v=work / "v.parquet").rows()[0]][:2]
            n, good, bad = sql.query(con, counts, v=work / "v.parquet").rows()[0]
            kept[:] = [n, int(good + bad == n == n_rows)]

        ours_s = _timed(ours)
        rss = peak_mb()
        csv_s = _timed(lambda: _read_csv(con, work))
        return f"{n_rows} {ours_s} {csv_s} {read_s} {rss} {kept[1]}"


def _archive(work: Path) -> Path:
    real = DATA / "gbif" / "dwca_ticks_multimedia"
    if real.is_dir():
        return real
    from curation import sample
    from curation.recipe import Sample

    sample.world(Sample(), work / "world")
    shutil.unpack_archive(work / "world" / "gbif.zip", work / "gbif")
    return work / "gbif"


def _read_csv(con: object, work: Path) -> None:
    for name in ("occurrence", "multimedia"):
        con.execute(  # type: ignore[attr-defined]
            f"copy (select * from read_csv('{sql.quoted(work / 'in' / name)}.txt', delim = '\t', quote = '', "
            "escape = '', header = true, all_varchar = true, strict_mode = false, null_padding = true)) "
            f"to '{sql.quoted(work / name)}.parquet' (format parquet)"
        )


def _drain(path: Path) -> int:
    n_bytes = 0
    with path.open("rb") as stream:
        while chunk := stream.read(2**22):
            n_bytes += len(chunk)
    return n_bytes


def _timed(work: object) -> float:
    started = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - started


if __name__ == "__main__":
    assert pa.__version__
    sys.stdout.write(_measure(int(sys.argv[1]), *sys.argv[2:]) + "\n")
