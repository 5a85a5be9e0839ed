"""Publishing to a Hub on loopback: stopped anywhere it ends the same, and readers see whole releases only.

Two releases of the sample world, the second without one picture. `n_points` times in each mode (LFS, Xet) the
second is published over the first, killed (SIGKILL) at a random moment of the upload and run again, while a
reader asks `main` all the time. Peer: `upload_folder` of the same files, which accounts for nothing and has
no last commit. Limit: none. The first picture is timed from the call of `load_dataset` to its pixels.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation import build, recipe
from tests.benchmarks.harness import Result, Row, target
from tests.hub import TOKEN, Hub

ROOT = Path(__file__).parents[2]
REPO, N_POINTS, N_PICTURES = "org/tree", 20, 2_000
FIRST = """
import sys, time
import datasets, PIL.Image
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0
times = []
for _ in range(2):
    started = time.perf_counter()
    row = next(iter(datasets.load_dataset("org/tree", split="train", streaming=True)))
    assert row["image"].size[0] > 0
    times.append(time.perf_counter() - started)
n = [datasets.load_dataset("org/tree", c, split="train").num_rows for c in ("catalog", "taxa", "rejects")]
print(min(times), times[-1], min(n))
"""
PEER = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[2], repo_type="dataset", exist_ok=True)
api.upload_folder(repo_id=sys.argv[2], repo_type="dataset", folder_path=sys.argv[1])
"""


def run(*, quick: bool) -> Result:
    """Both modes; every point on a copy of the same Hub."""
    n_points = 2 if quick else N_POINTS
    rows, equal, whole, n_seen = [], 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        old, new, gone = _releases(work / "root", 400 if quick else N_PICTURES)
        n_bytes = sum(p.stat().st_size for p in new.rglob("*") if p.is_file())
        for xet in (False, True):
            mode = "Xet" if xet else "LFS"
            with Hub(work / f"{mode}-base") as hub:
                _publish(hub, old, xet)
                first_bytes = _stored(hub)
                clean, seconds, n_requests = _clean(hub, new, xet)
                again = (_stored(hub) - first_bytes) / n_bytes
                rows += [Row(f"{mode}: publish over an earlier release", "MB/s", n_bytes / 1e6 / seconds,
                             n_bytes / 1e6 / _peer(hub, new, xet)),
                         Row(f"{mode}: share stored again where one picture left", "share", again)]  # fmt: skip
            rng = random.Random(17)
            for k in range(n_points):
                with Hub(work / f"{mode}-{k}") as hub:
                    _publish(hub, old, xet)
                    with _Reader(hub) as reader:
                        _killed(hub, new, xet, rng.uniform(0.02, 0.98) * n_requests)
                        _publish(hub, new, xet)
                    equal += _shown(hub) == clean
                    whole += reader.n_whole
                    n_seen += reader.n_seen
        with Hub(work / "load") as hub:
            _publish(hub, new, False)
            done = _client(hub, False, "-c", FIRST)
            _, warm_s, n_least = map(float, done.stdout.split())
        metadata = pq.ParquetFile(next(new.rglob("train-*.parquet"))).metadata
        most_rows = max(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    rows.append(Row("first picture by repository name, warm", "s", warm_s))
    return Result(
        "publish", "upload_folder", "none", tuple(rows),
        (
            target(f"stopped at {n_points} points in each mode, the result is that of a clean run",
                   equal == 2 * n_points, f"{equal} of {2 * n_points}"),
            target("a reader of main sees whole releases only", n_seen > 0 and whole == n_seen,
                   f"{whole:,} of {n_seen:,} looks"),
            target("the first picture within 2 s", warm_s <= 2, f"{warm_s:.2f} s"),
            target("every config opens", n_least > 0, "default, catalog, taxa, rejects"),
            target("row groups the viewer opens (256 rows at most)", most_rows <= 256, f"{most_rows} rows"),
            target("a takedown shows in the published difference", gone, "removed_on_request"),
        ),
    )  # fmt: skip


def _releases(root: Path, n_pictures: int) -> tuple[Path, Path, bool]:
    chosen = recipe.changed(recipe.read("sample"), "sample.n_pictures", n_pictures)
    made = build.build(chosen, root, view="v1")["shard"][0]
    gone = pq.read_table(next(made.dir.rglob("train-*.parquet")), columns=["uuid"])["uuid"][
        0
    ].as_py()
    second = recipe.changed(
        recipe.changed(chosen, "shard.release", "v2"), "verdict.remove_uuid", [gone]
    )
    build.build(second, root, view="v2")
    rejects = pq.read_table(
        next((root / "datasets/v2/metadata").rglob("rejects-*.parquet"))
    ).to_pylist()
    told = [r["reject_reason"] for r in rejects if r["uuid"] == gone] == ["removed_on_request"]
    return root / "datasets" / "v1", root / "datasets" / "v2", told


def _client(hub: Hub, xet: bool, *args: str) -> Any:
    done = subprocess.run([sys.executable, *args], cwd=ROOT, env=hub.env(xet), text=True, capture_output=True,
                          check=False)  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError("a client of the hub failed")
    return done


def _publish(hub: Hub, folder: Path, xet: bool) -> None:
    _client(hub, xet, "-m", "curation.publish", str(folder), "--repo", REPO)


def _clean(hub: Hub, folder: Path, xet: bool) -> tuple[dict[str, str], float, int]:
    n_before, started = len(hub.asked), time.perf_counter()
    _publish(hub, folder, xet)
    return _shown(hub), time.perf_counter() - started, len(hub.asked) - n_before


def _peer(hub: Hub, folder: Path, xet: bool) -> float:
    started = time.perf_counter()
    _client(hub, xet, "-c", PEER, str(folder), "org/peer")
    return time.perf_counter() - started


def _killed(hub: Hub, folder: Path, xet: bool, n_requests: float) -> None:
    """Publish, and end it hard once the hub has been asked so often."""
    before = len(hub.asked)
    running = subprocess.Popen([sys.executable, "-m", "curation.publish", str(folder), "--repo", REPO], cwd=ROOT,
                               env=hub.env(xet), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    while len(hub.asked) - before < n_requests and running.poll() is None:
        time.sleep(0.0005)
    running.send_signal(signal.SIGKILL)
    running.wait()


def _shown(hub: Hub) -> dict[str, str]:
    files = hub.repos[REPO].commit("main").files
    shown = {path: stored.sha256 for path, stored in files.items()}
    here = hub.bytes_of(files["croissant.json"]).replace(hub.url.encode(), b"")  # it names its hub
    return shown | {"croissant.json": hashlib.sha256(here).hexdigest()}


def _stored(hub: Hub) -> int:
    """Bytes that the hub has had to keep, objects and chunks."""
    kept = (*hub.objects.glob("*"), *(p for p in hub.chunks.rglob("*") if p.is_file()))
    return sum(path.stat().st_size for path in kept)


class _Reader:
    """Asks `main` again and again: are the files that its manifest and card name all there?"""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._over = hub, threading.Event()
        self.n_seen = self.n_whole = 0
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _get(self, path: str) -> Any:
        asked = urllib.request.Request(
            self._hub.url + path, headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked) as answer:
            return json.load(answer)

    def _look(self) -> None:
        while not self._over.wait(0.02):
            info = self._get(f"/api/datasets/{REPO}/revision/main")
            manifest = self._get(f"/datasets/{REPO}/resolve/{info['sha']}/manifest.json")
            sizes = {one["rfilename"]: one["size"] for one in info["siblings"]}
            named = {f["name"]: f["bytes"] for f in manifest["files"] if "/" in f["name"]}
            self.n_seen += 1
            self.n_whole += all(sizes.get(name) == n_bytes for name, n_bytes in named.items())
