"""Features of pictures: how much of the model's own speed is left when pictures come from files?

ViT-B-32 without training on this machine's processors, fp32. Ours is the whole way of `eval.run`: files read, md5,
decoded, hashed, resized, features written as an artifact; for as few pictures as here without workers, whose start takes
seconds. The peer is the plain loop that one writes first:
open_clip's own preprocessing and the model in turn, in one process. The bare limit is the model alone on pictures that
wait ready in memory. Photographs of real organisms where they are at hand, else drawings; the three take turns,
and each is told by its best one.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from eval import examples as sets
from eval import model as models
from eval.features import features
from tests.benchmarks._pictures import DATA
from tests.benchmarks.harness import Result, Row, target
from tests.drawings import photo

N_PICTURES, BATCH, TURNS = 768, 64, 3
ARCHITECTURE = "ViT-B-32:random"


def run(*, quick: bool) -> Result:
    """Ours, the plain loop, the model alone; about four minutes on two cores."""
    n, turns = (96, 1) if quick else (N_PICTURES, TURNS)
    model = models.opened(ARCHITECTURE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _pictures(folder / "set", n)
        examples = sets.found(str(folder / "set"))
        files = [folder / "set" / example for example in examples.column("example")]
        ready = [torch.stack([torch.from_numpy(model.seeing.see(Image.open(f).convert("RGB")).copy()) for f in files[i : i + BATCH]])
                 for i in range(0, n, BATCH)]  # fmt: skip
        model.image_features(ready[0])  # warm
        ours, bare, plain = [], [], []
        for turn in range(turns):
            ours.append(
                _seconds(
                    lambda turn=turn: features(model, examples, folder / f"out-{turn}", batch=BATCH)
                )
            )  # type: ignore[misc]
            plain.append(_seconds(lambda: [_plainly(model, files[i : i + BATCH]) for i in range(0, n, BATCH)]))  # fmt: skip
            bare.append(_seconds(lambda: [model.image_features(part) for part in ready]))
    rates = {who: n / min(s) for who, s in (("ours", ours), ("bare", bare), ("plain", plain))}
    return Result("features", "one loop, one process", "the model alone", (
        Row(f"{ARCHITECTURE} on files", "pictures/s", rates["ours"], rates["plain"], rates["bare"]),), (
        target("at least 0.95 of the model alone", rates["ours"] >= 0.95 * rates["bare"], f"{rates['ours'] / rates['bare']:.3f}", judged=not quick),))  # fmt: skip


def _pictures(folder: Path, n: int) -> None:
    """`n` pictures as people have them, in one folder per class."""
    real = sorted((DATA / "images").rglob("*.jpg")) if (DATA / "images").is_dir() else []
    for k in range(n):
        path = folder / f"class {k % 8}" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if real:
            path.write_bytes(real[k * len(real) // n].read_bytes())
        else:
            photo(k).save(path, quality=90)


def _plainly(model: Any, files: list[Path]) -> Any:
    squares = torch.stack([torch.from_numpy(model.seeing.see(Image.open(f).convert("RGB")).copy()) for f in files])  # fmt: skip
    return model.image_features(squares)


def _seconds(what: Any) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started
