"""Pairs a second of the trainer on this machine's processor, beside open_clip's own trainer, and what trimming gains.

The same model, batch, precision (fp32), pictures and captions; ours from the published dataset, theirs from a tar of
the same pictures. A step counts whole, waiting for data included; medians of the steps after two, the better of two turns for each. Ours runs with all 77
tokens to compare, and then with captions trimmed to the longest in the batch: its gain is held against what the count of
operations predicts. Limit: the machine's fp32 matrix rate divided by the operations of a pair. On a GPU: `train_gpu`.
"""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import torch

from tests.benchmarks import _open_clip_train, _tiny, _worlds
from tests.benchmarks.harness import Result, Row, Target, target
from training import create, flops, text

N_PICTURES, SKIP, TURNS = 20_000, 2, 2
WAYS = (("ViT-B-32", 32, 6), ("ViT-L-14", 4, 5))
QUICK = (("tiny-vit", 64, 4),)
Step = tuple[float, float, float]  # pairs a second, tokens, share of waiting


def run(*, quick: bool) -> Result:
    """Each model three times: theirs, ours with all tokens, ours trimmed."""
    place = _worlds.dataset(1_000 if quick else N_PICTURES)
    overlay = None if quick else _open_clip_train.overlay()
    rows: list[Row] = []
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _open_clip_train.tar(work / "a.tar", list(itertools.islice(_pairs(place), 600)))
        for model, batch, steps in QUICK if quick else WAYS:
            net = create.model(model)
            picture, caption = flops.forward_flops(net, net.side_px, 77)
            limit = flops.matrix_rate(torch.device("cpu"), torch.float32) / (
                3 * (picture + caption)
            )
            full, short, theirs = list[Step](), list[Step](), list[float]()
            for turn in range(1 if quick else TURNS):
                full.append(
                    _ours(place, work / f"{model}-full-{turn}", model, batch, steps, trim=False)
                )
                short.append(
                    _ours(place, work / f"{model}-trim-{turn}", model, batch, steps, trim=True)
                )
                if overlay:
                    theirs.append(
                        _open_clip_train.pairs_per_s(
                            overlay, work / "a.tar", model, batch, steps, SKIP
                        )
                    )
            (plain, _, _), (trimmed, length, _), peer = (
                max(full),
                max(short),
                max(theirs, default=None),
            )
            waited = max(wait for _, _, wait in (*full, *short))
            predicted = (picture + caption) / (picture + caption * length / 77)
            rows += [Row(f"{model}, batch {batch}, 77 tokens", "pairs/s", plain, peer, limit),
                     Row(f"{model}, batch {batch}, {length:.0f} tokens", "pairs/s", trimmed, peer, limit * predicted)]  # fmt: skip
            targets += [
                target(f"{model}: at least as fast as open_clip's trainer at equal settings", plain >= peer if peer else None,
                       f"{plain / peer:.3f}" if peer else "no peer", judged=not quick),
                target(f"{model}: trimming gains at least 0.95 of what operations predict", trimmed / plain >= 0.95 * predicted,
                       f"{trimmed / plain:.3f} times, predicted {predicted:.3f}", judged=not quick),
                target(f"{model}: waits for data at most 3 % of a step", waited <= 0.03,
                       f"{100 * waited:.2f} %", judged=not quick),
            ]  # fmt: skip
    return Result(
        "train_speed", "open_clip_train", "matrix rate / operations", tuple(rows), tuple(targets)
    )


def _ours(place: Path, out: Path, model: str, batch: int, steps: int, *, trim: bool) -> Step:
    """Pairs a second, tokens, and the share of a step spent waiting: medians."""
    _tiny.train(place, out, seed=1, steps=steps + SKIP, model__architecture=model, image__side_px=0, data__batch=batch,
                text__types=["taxon"], compute__trim=trim, optimizer__lr=1e-4, optimizer__clip_norm=0, loss__one_hot=True)  # fmt: skip
    steps_ = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()][SKIP:]
    return tuple(statistics.median(step[key] for step in steps_) for key in ("samples_per_s", "text_length", "wait_share"))  # type: ignore[return-value]  # fmt: skip


def _pairs(place: Path):  # type: ignore[no-untyped-def]
    for file in sorted(place.glob("data/*/*/train-*.parquet")):
        for group in pq.ParquetFile(file).iter_batches(
            128, columns=["uuid", "image", *text.COLUMNS]
        ):
            for row in group.to_pylist():
                yield row["uuid"], row["image"]["bytes"], text.caption(row, "taxon")
