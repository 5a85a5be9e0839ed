"""How fast pictures are scored: shipped JPEGs in packs, to committed rows, against the model alone.

A ViT-B-32 without training on this machine's processors. Ours is the stage's own way: units through the engine's process pool,
each picture decoded once, the model's own preprocessing, classes, rows written. The bare limit is one forward loop over
squares that wait ready in memory, batch 32, torch's threads on all cores. The peer is the plain loop one writes first: decode,
preprocess and run in turn, in one process. The three take turns; each is told by its best. Memory is that of a process
which scores so many pictures, and four times as many.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import pixels
from curation.engine import run_with
from curation.images import embedding, museum, scoring
from curation.images.scoring import Content, Opening, Spec, Unit
from curation.store import Ledger, Pack, Packs
from tests.benchmarks.harness import Result, Row, target
from tests.drawings import photo

N_PICTURES, N_DRAWN, TURNS = 1024, 128, 3
MIN_SHARE = 0.9


def run(*, quick: bool) -> Result:
    """Ours, the plain loop, the bare loop; the scorers without weights; memory. About six minutes on two cores."""
    n, turns = (96, 1) if quick else (N_PICTURES, TURNS)
    n_cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = _packed(folder, n)
        spec = _clip(folder)
        encoder = embedding.opened("clip", folder / "clip")
        datas = [Packs(folder / "packs").get(c.pack, c.offset, c.n_bytes) for c in contents]
        ready = [[encoder.see(pixels.decode(d).image) for d in datas[i : i + 32]] for i in range(0, n, 32)]  # fmt: skip
        encoder.encode(ready[0])
        ours, bare, plain = [], [], []
        for turn in range(turns):
            ours.append(_ours(folder, contents, spec, n_cores, turn))
            bare.append(_seconds(lambda: [encoder.encode(part) for part in ready]))
            plain.append(_seconds(lambda: [encoder.encode([encoder.see(pixels.decode(d).image) for d in datas[i : i + 32]]) for i in range(0, n, 32)]))  # fmt: skip
        rates = {who: n / min(s) for who, s in (("ours", ours), ("bare", bare), ("plain", plain))}
        rows = [Row("museum, ViT-B-32 on shipped JPEGs", "pictures/s", rates["ours"], rates["plain"], rates["bare"])]  # fmt: skip
        for kind, model in (("quality", "plain"), ("faces", "haar")):
            alone = Spec(kind, model, options=json.dumps({"sha256": ""}), ledger=str(folder / kind))
            rows.append(Row(f"{kind}, {model}", "pictures/s", n / _ours(folder, contents, alone, n_cores, 0)))  # fmt: skip
        memory = [_memory(n // 4 * times) for times in (1, 4)]
    rows += [Row(f"memory of a worker, {n // 4 * times} pictures", "MB", mb) for times, mb in zip((1, 4), memory, strict=True)]  # fmt: skip
    share = rates["ours"] / rates["bare"]
    return Result("scoring", "one loop, one process", "the model alone", tuple(rows), (
        target(f"at least {MIN_SHARE} of the bare forward loop", share >= MIN_SHARE, f"{share:.3f}", judged=not quick),
        target("memory does not grow with the pictures: at most 5 % for four times as many", memory[1] <= 1.05 * memory[0],
               f"{memory[1] / memory[0]:.3f}", judged=not quick)))  # fmt: skip


def _packed(folder: Path, n: int) -> tuple[Content, ...]:
    """Photographs as shipped, 720 px, in a pack."""
    made, kept = list[Content](), list[bytes]()
    for k in range(min(n, N_DRAWN)):
        data, _, _ = pixels.shipped(pixels.Picture(photo(k, (960, 720)), b""), max_side_px=720, quality=90)  # fmt: skip
        kept.append(data)
    with Pack(folder / "packs") as pack:
        for k in range(n):
            data = kept[k % len(kept)]
            key = hashlib.md5(f"{k}".encode()).hexdigest()
            made.append(Content(key, None, "all", pack.add(data), len(data), "", (0,)))
        pack.close("all")
    return tuple(made)


def _clip(folder: Path) -> Spec:
    """A ViT-B-32 with random weights in a folder, and a support set of two classes."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = open_clip.create_model("ViT-B-32", pretrained=None)
    (folder / "clip").mkdir()
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {"size": 224}}
    (folder / "clip" / "open_clip_config.json").write_text(json.dumps(config))
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "clip" / "open_clip_model.safetensors")  # fmt: skip
    vectors = embedding.unit(np.random.default_rng(0).normal(size=(64, 512)))
    known = museum.support(vectors, ["a", "b"] * 32, "m")
    (folder / "support.npz").write_bytes(known.bytes())
    return Spec("museum", "clip", str(folder / "clip"), str(folder / "support.npz"), json.dumps({"model_name": "m"}), str(folder / "museum"))  # fmt: skip


def _ours(folder: Path, contents: tuple[Content, ...], spec: Spec, n_workers: int, turn: int) -> float:  # fmt: skip
    """Seconds of the stage's own way, from the first receipt after the workers are ready to the last row."""
    ledger = f"{spec.ledger}-{turn}"
    spec = spec._replace(ledger=ledger)
    size = max(32, len(contents) // (4 * n_workers) // 32 * 32)
    warm = [Unit(contents[i * 32 : (i + 1) * 32], (spec,), str(folder / "packs"), 1, str(folder / "gpu")) for i in range(n_workers)]  # fmt: skip
    units = [Unit(contents[i : i + size], (spec,), str(folder / "packs"), 1, str(folder / "gpu")) for i in range(0, len(contents), size)]  # fmt: skip
    started = 0.0

    def given() -> Any:
        nonlocal started
        yield from warm
        while not (Path(ledger).exists() and len(Ledger(Path(ledger), scoring.SCORED).parts) >= len(warm)):  # fmt: skip
            time.sleep(0.05)  # models are loaded once per worker; what is timed is the work
        started = time.perf_counter()
        yield from units

    n = sum(run_with(Opening((spec,), 1, str(folder / "gpu")), scoring.score_with, given(), workers=n_workers))  # fmt: skip
    seconds = time.perf_counter() - started
    assert n == len(contents) + sum(len(unit.contents) for unit in warm)
    rows = pa.concat_tables([pq.read_table(p) for p in Ledger(Path(ledger), scoring.SCORED).parts])  # fmt: skip
    assert rows["error"].null_count == rows.num_rows
    return seconds


MEMORY = """
import sys, tempfile
from pathlib import Path
from tests.benchmarks import scoring as bench
from tests.benchmarks.harness import peak_mb
from curation.images import scoring
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    contents, spec = bench._packed(folder, int(sys.argv[1])), bench._clip(folder)
    scorers = scoring.Opening((spec,), 1, str(folder / "gpu"))()
    scoring.score_with(scorers, scoring.Unit(contents[:64], (spec,), str(folder / "packs"), 1, str(folder / "gpu")))
    Path("/proc/self/clear_refs").write_text("5")   # from here on: what work takes, not what opening took
    for i in range(0, len(contents), 64):
        scoring.score_with(scorers, scoring.Unit(contents[i:i + 64], (spec,), str(folder / "packs"), 1, str(folder / "gpu")))
    print(peak_mb())
"""


def _memory(n: int) -> float:
    out = subprocess.run([sys.executable, "-c", MEMORY, str(n)], capture_output=True, text=True, check=True)  # fmt: skip
    return float(out.stdout.split()[-1])


def _seconds(what: Any) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started
