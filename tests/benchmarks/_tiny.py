"""Tiny models trained on small datasets, and what they make of pictures and captions; for benchmarks of learning."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from tests.trainer import ROOT, command, sets
from training import checkpoint, config, create, data, labels, reading, text
from training import model as models
from training.view import View

SIDE_PX, BATCH = 48, 256
Floats = NDArray[np.float64]


def train(
    dataset: Path, out: Path, *, seed: int, steps: int, replay: Path | None = None, **fields: Any
) -> Trained:
    """`python -m training.train sample` with these fields (`a__b` is a.b), from a dataset; what came of it."""
    how = {"seed": seed, "image__side_px": SIDE_PX, "data__batch": BATCH, "data__workers": 1, "optimizer__steps": steps,
           "optimizer__lr": 2e-3, "checkpoint__every_steps": steps, "validation__every_steps": 0, **fields}  # fmt: skip
    more = ["--replay", str(replay)] if replay else []
    args = command(dataset, out, *more, *sets(**how))
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(args, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    return Trained(out, dataset)


@dataclass(frozen=True)
class Trained:
    """A run that has ended, and its dataset; with `weights`, a model of another trainer in its place, and how it sees."""

    out: Path
    dataset: Path
    weights: Path | None = None
    resize: str = ""

    def model(self) -> tuple[models.TwoHeads, config.Run]:
        """Its model, ready to be asked, and the run."""
        found = checkpoint.newest(self.out / "checkpoints")
        assert found is not None
        run = config.from_dict(found.state["run"], str(self.out))
        if self.weights:
            return create.model(
                run.model.architecture, str(self.weights), side_px=run.image.side_px
            ).eval(), run
        weights = found.tensors("ema") or found.tensors("weights")
        net = create.model(run.model.architecture, "", "copy" if "replay_proj" in weights else "none", side_px=run.image.side_px)  # fmt: skip
        if "classes" in weights:
            net.add_classifier(reading.Published(str(self.dataset)).taxa())
        net.load_state_dict(weights)
        return net.eval(), run

    def pictures(self, split: str) -> tuple[torch.Tensor, list[dict[str, Any]]]:
        """Unit vectors of a split's pictures (n, D), and their rows."""
        net, run = self.model()
        view = View(net.side_px, self.resize or run.image.resize)
        words = labels.Words(run.text.types, run.text.absent, run.model.architecture, 0)
        found, uuids = [], []
        with torch.no_grad():
            for batch in data.pictures(reading.Published(str(self.dataset), split), view, words, "sci", batch=256):  # fmt: skip
                images = models.normalised(batch.images, run.image.mean, run.image.std)
                found.append(net.encode_image(images, normalize=True)[batch.valid])
                uuids += [u for u, good in zip(batch.uuids, batch.valid.tolist(), strict=True) if good]  # fmt: skip
        by_uuid = rows(self.dataset, split)
        return torch.cat(found), [by_uuid[uuid] for uuid in uuids]

    def captions(self, captions: Sequence[str]) -> torch.Tensor:
        """Unit vectors of captions (n, D)."""
        net, run = self.model()
        tokens = open_clip.get_tokenizer(run.model.architecture)(list(captions))
        with torch.no_grad():
            return net.encode_text(tokens, normalize=True)

    def named(
        self, split: str, taxa: Sequence[Mapping[str, Any]], kind: str
    ) -> tuple[list[int], list[dict[str, Any]]]:
        """For each picture of a split the taxon, of those given, whose caption it is nearest to; and the pictures' rows."""
        image, found = self.pictures(split)
        words = self.captions([text.caption(row, kind) for row in taxa])
        return (image @ words.T).argmax(1).tolist(), found

    def classified(
        self, split: str, taxa: Sequence[Mapping[str, Any]]
    ) -> tuple[list[int], list[dict[str, Any]]]:
        """The same by the classifier of a run of cross-entropy."""
        net, _ = self.model()
        assert net.classifier is not None and net.classes is not None
        image, found = self.pictures(split)
        keys = [[node for node in models.node_ids(row) if node][-1] for row in taxa]
        places = torch.searchsorted(net.classes, torch.tensor(keys))
        return (image @ F.normalize(net.classifier, dim=-1)[places].T).argmax(1).tolist(), found


def rows(dataset: Path, split: str) -> dict[str, dict[str, Any]]:
    """The rows of a split by uuid, without pixels."""
    columns = ["uuid", "taxonRank", *text.COLUMNS]
    files = sorted(dataset.glob(f"data/*/*/{split}-*.parquet"))
    return {
        row["uuid"]: row
        for file in files
        for row in pq.read_table(file, columns=columns).to_pylist()
    }


def species(dataset: Path, split: str = "train") -> list[dict[str, Any]]:
    """One row per species of a split, by name."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows(dataset, split).values():
        if row["species"] and row["genus"] and row["family"]:
            plain = {**row, "canonicalName": row["species"], "infraspecificEpithet": None}
            if row["canonicalName"] == row["species"] or row["species"] not in found:
                found[row["species"]] = plain
    return [found[name] for name in sorted(found)]


def species_of(dataset: Path) -> list[str]:
    """Every scientific name of the training pictures."""
    return sorted(
        {text.scientific(row) for row in rows(dataset, "train").values() if text.scientific(row)}
    )


def interval(values: Floats, clusters: Sequence[str], n_draws: int = 2000) -> tuple[float, float]:
    """The middle 95 % of the mean of values under resampling of whole clusters (percentile bootstrap)."""
    names, at = np.unique(np.array(clusters), return_inverse=True)
    sums = np.bincount(at, weights=values, minlength=len(names))
    counts = np.bincount(at, minlength=len(names))
    draw = np.random.default_rng(0).integers(0, len(names), (n_draws, len(names)))
    means = sums[draw].sum(1) / counts[draw].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def simple_shot(image: torch.Tensor, labels: Sequence[str], shots: int, folds: int = 5) -> float:
    """Few-shot accuracy of frozen vectors: nearest centroid after centring and normalising (SimpleShot, arXiv 1911.04623).

    Per fold every label with more pictures than `shots` gives that many to learn from; the rest are asked. The mean.
    """
    names = np.array(labels)
    vectors = image.numpy().astype(np.float64)
    kept = [name for name in np.unique(names) if (names == name).sum() > shots]
    found = []
    for fold in range(folds if kept else 0):
        draw = np.random.default_rng(fold)
        support = {name: draw.permutation(np.flatnonzero(names == name)) for name in kept}
        taught = np.concatenate([support[name][:shots] for name in kept])
        asked = np.concatenate([support[name][shots:] for name in kept])
        mean = vectors[taught].mean(0)
        unit = vectors - mean
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        centres = np.stack([unit[support[name][:shots]].mean(0) for name in kept])
        nearest = ((unit[asked, None] - centres[None]) ** 2).sum(-1).argmin(1)
        found.append(float((np.array(kept)[nearest] == names[asked]).mean()))
    return float(np.mean(found)) if found else math.nan
