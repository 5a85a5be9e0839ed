"""The whole picture path, from addresses to shards, against its slowest part alone; and two workers against one.

A table of one's own names pictures of 720 px on a loopback server (nginx), each of them another picture
(mosaics of four photographs). The path is a build from its `fetch` stage to its `shard` stage, tables
and duplicates included. Parts alone: the bytes; the looks at pictures that are there; writing the shards.
Peer: the slowest part alone. Limit: none (there is no bare form of this path).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from catalog import sql
from curation import build, recipe, shard
from curation.engine import WORKER_ENV, run_units
from curation.images import fetch, render
from tests.benchmarks import _server
from tests.benchmarks._alterations import jpeg_bytes
from tests.benchmarks._pictures import images
from tests.benchmarks.harness import Result, Row, Target, target

ROOT = Path(__file__).parents[2]
N, QUICK_N, WORKERS = 12_000, 600, 2
RECIPE = """
name = "path"
[[source]]
kind = "own"
name = "served"
path = "pictures.csv"
licence = "CC0"
[fetch]
n_connections = 32
per_host = 32
max_per_second = 0.0
private_hosts = ["127.0.0.1:{port}"]
[verdict]
min_rank = "any"
[shard]
n_buckets = 16
"""


def run(*, quick: bool) -> Result:
    """One server, every measurement in a process of its own."""
    if missing := _server.at_hand():
        return Result(
            "pictures",
            "the slowest part alone",
            "none",
            (),
            (Target("all of pictures", "unmeasured", missing),),
        )
    n = QUICK_N if quick else N
    with _server.serving(_mosaics(n)) as (port, _):
        most = _server.ceiling(port, n)
        done = subprocess.run([sys.executable, "-m", "tests.benchmarks.pictures", str(n), str(port)], cwd=ROOT,
                              env={**os.environ, **WORKER_ENV}, capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError("pictures failed")
    found = json.loads(done.stdout.splitlines()[-1])
    alone = {
        "bytes": n / found["fetch_s"],
        "looks": n / found["look_s"],
        "shards": n / found["shard_s"],
    }
    slowest = min(alone.values())
    gain = found["after_1_s"] / found["after_2_s"]
    rows = [Row("the whole path, addresses to shards", "pictures/s", n / found["path_s"], slowest)]
    rows += [Row(f"{name} alone", "pictures/s", rate) for name, rate in alone.items()]
    rows += [Row("steps after fetch, one worker", "pictures/s", n / found["after_1_s"]),
             Row("steps after fetch, two workers", "pictures/s", n / found["after_2_s"]),
             Row("the server's ceiling (wrk)", "pictures/s", most)]  # fmt: skip
    return Result(
        "pictures", "the slowest part alone", "none", tuple(rows),
        (
            target("the whole path at least 0.8 of its slowest part alone", n / found["path_s"] >= 0.8 * slowest,
                   f"{n / found['path_s'] / slowest:.2f}", judged=not quick),
            target("two workers at least 1.8 times one, after fetch", gain >= 1.8, f"{gain:.2f}", judged=not quick),
            target("every picture is in the shards or has a reason", found["kept"] + found["left"] == n,
                   f"{found['kept']:,} + {found['left']:,} of {n:,}"),
        ),
    )  # fmt: skip


def _mosaics(n: int) -> list[bytes]:
    """JPEGs of 720 × 540, four photographs each: no two alike."""
    rng = np.random.default_rng(0)
    tiles = [image.resize((360, 270), Image.Resampling.BICUBIC) for image in images(300)]
    made = []
    for _ in range(n):
        whole = Image.new("RGB", (720, 540))
        for place, k in enumerate(rng.integers(0, len(tiles), 4)):
            whole.paste(tiles[k], (360 * (place % 2), 270 * (place // 2)))
        made.append(jpeg_bytes(whole, 85))
    return made


def _measure(n: int, port: int) -> dict[str, float]:
    urls = [f"http://127.0.0.1:{port}/{k:06d}.jpg" for k in range(n)]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "pictures.csv").write_text(
            "identifier,scientificName,kingdom\n" + "".join(f"{u},,\n" for u in urls)
        )
        (work / "path.toml").write_text(RECIPE.format(port=port))
        chosen = recipe.read(str(work / "path.toml"))
        root = work / "root"
        build.build(chosen, root, only="eligible")
        path_s = _timed(lambda: build.build(chosen, root, workers=WORKERS))
        made = build.build(chosen, root)
        kept = int(made["shard"][0].counts["rows"])
        found = {"path_s": path_s, "kept": kept, "left": made["verdict"][0].counts["rows"] - kept}
        limits = fetch.Limits(32, 32, 5, 60, 10**8, 2, 1.0, private_hosts=(f"127.0.0.1:{port}",))
        fetcher = fetch.Fetcher(work / "fetched", limits, part_rows=render.batch_size(n, WORKERS))
        wanted = pa.table(
            {"url": urls, "address": urls, "local": pa.nulls(n, pa.string()), "host": ["h"] * n}
        )
        parts: list[pa.Table] = []
        found["fetch_s"] = _timed(lambda: parts.extend(fetcher.fetch(wanted)))
        contents = [
            render.Content("", None, r["pack"], r["offset"], r["n_bytes"])
            for p in parts
            for r in p.to_pylist()
        ]
        for workers in (1, 2):
            units = [render.Unit(batch, str(fetcher.folder), str(work / f"looked-{workers}"), render.Limits(10**9, 720, 90))
                     for batch in render.batches(contents, render.batch_size(n, 2))]  # fmt: skip
            looks = lambda units=units, workers=workers: list(  # noqa: E731
                run_units(render.render_unit, units, engine="process", workers=workers))  # fmt: skip
            look_s = _timed(looks)
            shard_s = _timed(
                lambda workers=workers: _shards(root, work / f"shards-{workers}", workers)
            )
            found[f"after_{workers}_s"] = look_s + shard_s
        return found | {"look_s": look_s, "shard_s": shard_s}


def _shards(root: Path, folder: Path, workers: int) -> None:
    """The files of the finished dataset, written again from the plan that its stage has left."""
    (packs,) = root.glob("store/rendered-*")
    plan = shard.Plan(root / "tmp/shard/plan.parquet", root / "tmp/shard/thumbnails.parquet")
    units = shard.units(sql.connect(), plan, folder, "v1", packs=packs, rows_per_group=256)
    list(run_units(shard.shard, units, engine="process", workers=workers))


def _timed(work: object) -> float:
    started = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
