"""Pictures a second that reach the trainer: read from parquet, decoded, cut to 224 px, tokenised, in batches.

JPEGs of 720 px in a published dataset's layout, two workers, batches of 256. Peer: `datasets` streaming of the same
files with open_clip's own training transform, in torch's DataLoader with two workers. Limit: two processes that do
nothing but decode and resize bytes in memory, with our own decoder. Every measure is the best of a few.
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import pixels, schema
from catalog.load import hub_metadata
from tests.benchmarks._pictures import jpegs
from tests.benchmarks.harness import Result, Row, target

SIDE_PX, N, N_QUICK, TURNS, WORKERS = 720, 8_192, 2_048, 3, 2


def run(*, quick: bool) -> Result:
    """In turn: ours, the bare limit, and the peer."""
    os.environ.update(pixels.MALLOC_ENV)  # of the processes below
    n = N_QUICK if quick else N
    turns = 1 if quick else TURNS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = jpegs(300, SIDE_PX)
        _dataset(folder, pictures, n)
        best = {"ours": 0.0, "bare": 0.0, "peer": 0.0}
        for _ in range(turns):
            best["ours"] = max(best["ours"], _ours(folder, n))
            best["bare"] = max(best["bare"], _bare(pictures, n))
        best["peer"] = _peer(folder, n // 4)
    share = best["ours"] / best["bare"]
    return Result("loader", "datasets streaming + open_clip's transform", "bare decode + resize",
                  (Row("batches of 224 px", "pictures/s", best["ours"], best["peer"], best["bare"]),),
                  (target("at least 0.9 of bare decode and resize", share >= 0.9, f"{share:.3f}", judged=not quick),))  # fmt: skip


def _ours(folder: Path, n: int) -> float:
    """Steady: the clock starts when the workers do, at the first batch."""
    from training import data, labels, reading, text
    from training.order import Order
    from training.view import View

    place = reading.Published(str(folder))
    words = labels.Words(text.TYPES, "omit", "tiny-vit", 0)
    stream = data.Stream(
        place, Order(place.sizes, place.files), View(224), words, 256, workers=WORKERS
    )
    batches = stream.batches(0, 0)
    for _ in range(3):  # what was made while the workers started
        next(batches)
    started, seen = time.perf_counter(), 0
    while seen < n:
        seen += len(next(batches).uuids)
    seconds = time.perf_counter() - started
    batches.close()
    return seen / seconds


def _bare(pictures: list[bytes], n: int) -> float:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        WORKERS, context, initializer=_start, initargs=(pictures,)
    ) as pool:
        list(pool.map(_see, [64] * WORKERS))
        started = time.perf_counter()
        done = sum(pool.map(_see, [128] * (n // 128)))
        return done / (time.perf_counter() - started)


def _start(pictures: list[bytes]) -> None:
    import torch

    torch.set_num_threads(1)
    globals()["_held"] = pictures


def _see(n: int) -> int:
    from training.view import View

    view, held = View(224), globals()["_held"]
    for i in range(n):
        view.see(held[i % len(held)], random.Random(i))
    return n


def _peer(folder: Path, n: int) -> float:
    import datasets
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(size=224), is_train=True)
    stream = datasets.load_dataset(str(folder), split="train", streaming=True).select_columns(
        ["image"]
    )
    stream = stream.shuffle(seed=1, buffer_size=1, max_buffer_input_shards=1)
    loader = iter(
        torch.utils.data.DataLoader(
            stream.map(_Transform(transform)), batch_size=64, num_workers=WORKERS
        )
    )
    for _ in range(4):
        next(loader)
    started, seen = time.perf_counter(), 0
    while seen < n:
        seen += len(next(loader)["image"])
    return seen / (time.perf_counter() - started)


class _Transform:
    """A picture to a tensor, in a form that a worker can be given."""

    def __init__(self, transform: Any) -> None:
        self._transform = transform

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"image": self._transform(row["image"])}


def _dataset(folder: Path, pictures: list[bytes], n: int) -> None:
    """A folder with a published dataset's manifest and data files."""
    fields = schema.DATA.schema.with_metadata(hub_metadata(schema.DATA))
    listed, per_file = [], n // 4
    for k in range(4):
        name = f"data/v1/000/train-{k:06d}.parquet"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        images = [
            {"bytes": pictures[(k * per_file + i) % len(pictures)], "path": None}
            for i in range(per_file)
        ]
        plain = {"uuid": [f"{k}-{i}" for i in range(per_file)], "image": images, "kingdom": ["Animalia"] * per_file,
                 "species": [f"Aus bus{i % 97}" for i in range(per_file)], "genus": ["Aus"] * per_file}  # fmt: skip
        columns = [
            pa.array(plain[f.name], f.type) if f.name in plain else pa.nulls(per_file, f.type)
            for f in fields
        ]
        pq.write_table(
            pa.table(columns, schema=fields), folder / name, row_group_size=256, compression="none"
        )
        listed.append({"name": name, "rows": per_file})
    params = {"release": "v1", "name": "loader", "seed": 1, "n_buckets": 4, "rows_per_group": 256}
    manifest = {
        "stage": "shard",
        "schema_version": schema.VERSION,
        "address": "x",
        "params": params,
        "files": listed,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
