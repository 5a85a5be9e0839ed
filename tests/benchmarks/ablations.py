"""The paper's ablations on a sample world, each against the full recipe: what does every part do here?

A tiny model, one seed, equal steps. Full: mixed captions, replay through its own head, soft targets. Without replay; one
head for both streams; a classifier over taxa (cross-entropy); flat labels (one made-up word per taxon); taxonomic
captions alone; one-hot targets as in the original. Printed: held-out individuals named right among all species (a
classifier by its own scores), 1-shot accuracy of the pictures' vectors, unseen genera put into the right family by the
name they are given, and drawn shapes found by their own captions through the replay stream's head (peer: chance). Then
accuracy by how many pictures training had of a species (thirds of the species: head, middle, tail), as they are and with
square-root sampling. What a run of one seed shows is a hint, not a proof: nothing is judged.
"""

from __future__ import annotations

import collections
import io
import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from tests.benchmarks import _open_clip_train, _tiny, _worlds
from tests.benchmarks.harness import Result, Row
from training import model as models
from training.view import View

N_PICTURES, STEPS, N_REPLAY = 20_000, 200, 1_200
REPLAY = {"replay__batch": 64, "data__batch": 192}
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {}, "no replay": {"replay__batch": 0}, "one head": {"model__replay_head": "none"},
    "cross-entropy": {"loss__kind": "cross_entropy"}, "flat labels": {"text__types": ["flat"]},
    "taxonomic captions alone": {"text__types": ["taxon"]}, "one-hot targets": {"loss__one_hot": True},
}  # fmt: skip
COLOURS, SHAPES = (
    ("red", "green", "blue", "yellow", "black", "white"),
    ("circle", "square", "triangle", "bar"),
)


def run(*, quick: bool) -> Result:
    """Every variant in turn; about half an hour on two cores."""
    n, steps = (1_000, 6) if quick else (N_PICTURES, STEPS)
    place = _worlds.dataset(n)
    chosen = list(VARIANTS)[:2] if quick else list(VARIANTS)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "replay").mkdir()
        _open_clip_train.tar(work / "replay" / "00000.tar", [_shape(k) for k in range(N_REPLAY)])
        full: dict[str, float] = {}
        for variant in chosen:
            fields = {**REPLAY, **VARIANTS[variant]}
            replay = work / "replay" if fields["replay__batch"] else None
            made = _tiny.train(place, work / variant, seed=1, steps=steps, replay=replay, **fields)
            found = _measures(made, variant)
            full = full or found
            rows += [Row(f"{variant}: {what}", "share", value, full.get(what) if variant != "full" else None)
                     for what, value in found.items()]  # fmt: skip
        if not quick:
            rows += _tail(place, work, steps)
    return Result("ablations", "the full recipe (of sampling: none)", "-", tuple(rows), ())


def _tail(place: Path, work: Path, steps: int) -> list[Row]:
    """Accuracy by number of training pictures, with square-root sampling against none."""
    as_they_are = _by_count(_tiny.train(place, work / "as-they-are", seed=1, steps=steps))
    by_root = _by_count(
        _tiny.train(place, work / "by-root", seed=1, steps=steps, data__temperature=0.5)
    )
    rows = [
        Row(f"species of the {part}, sampled as they are", "share", value)
        for part, value in as_they_are.items()
    ]
    return rows + [Row(f"species of the {part}, square-root sampling", "share", value, as_they_are[part])
                   for part, value in by_root.items()]  # fmt: skip


def _measures(made: _tiny.Trained, variant: str) -> dict[str, float]:
    taxa = _tiny.species(made.dataset)
    known = {taxon["species"] for taxon in taxa}
    net, run = made.model()
    kind = (
        "flat" if variant == "flat labels" else "taxon" if "taxonomic" in variant else "taxon_com"
    )
    ask = (
        made.classified
        if net.classifier is not None
        else lambda split, taxa: made.named(split, taxa, kind)
    )
    named, rows = ask("test", taxa)
    found = {"held-out individuals, right species": float(np.mean(
        [taxa[a]["species"] == row["species"] for a, row in zip(named, rows, strict=True) if row["species"] in known]))}  # fmt: skip
    image, rows = made.pictures("test")
    found["held-out individuals, 1-shot"] = _tiny.simple_shot(
        image, [str(row["species"]) for row in rows], 1
    )
    named, rows = ask("unseen", taxa)
    families = {taxon["family"] for taxon in taxa}
    found["unseen genera, right family"] = float(np.mean(
        [taxa[a]["family"] == row["family"] for a, row in zip(named, rows, strict=True) if row["family"] in families]))  # fmt: skip
    found["drawn shapes, right caption"] = _shapes(net, run, made)
    return found


def _shapes(net: models.TwoHeads, run: Any, made: _tiny.Trained) -> float:
    """Shapes that training never saw, found among all captions by the head of the replay stream."""
    captions = [f"a {colour} {shape} on {ground}" for colour, shape, ground in _kinds()]
    words = made.captions(captions)
    view, right = View(net.side_px), 0
    with torch.no_grad():
        for k in range(N_REPLAY, N_REPLAY + 300):
            _, picture, caption = _shape(k)
            seen = models.normalised(view.see(picture)[None], run.image.mean, run.image.std)
            right += (
                captions[
                    int(
                        (
                            net(seen, 1, torch.zeros(1, 77, dtype=torch.long)).replay @ words.T
                        ).argmax()
                    )
                ]
                == caption
            )
    return right / 300


def _by_count(made: _tiny.Trained) -> dict[str, float]:
    """Accuracy over species by thirds of their number of training pictures."""
    taxa = _tiny.species(made.dataset)
    n_of = collections.Counter(row["species"] for row in _tiny.rows(made.dataset, "train").values())
    ranked = sorted((taxon["species"] for taxon in taxa), key=lambda name: -n_of[name])
    third = -(-len(ranked) // 3)
    part = {name: ("head", "middle", "tail")[i // third] for i, name in enumerate(ranked)}
    hits: dict[str, list[bool]] = collections.defaultdict(list)
    for split in ("test", "validation"):
        named, rows = made.named(split, taxa, "taxon_com")
        for a, row in zip(named, rows, strict=True):
            if row["species"] in part:
                hits[row["species"]].append(taxa[a]["species"] == row["species"])
    return {
        name: float(np.mean([np.mean(hits[s]) for s in hits if part[s] == name]))
        for name in ("head", "middle", "tail")
    }


def _kinds() -> list[tuple[str, str, str]]:
    return [(c, s, g) for c, s, g in itertools.product(COLOURS, SHAPES, COLOURS) if c != g]


def _shape(k: int) -> tuple[str, bytes, str]:
    """A coloured shape somewhere on a coloured ground, and its caption."""
    draw = random.Random(k)
    colour, shape, ground = draw.choice(_kinds())
    picture = Image.new("RGB", (96, 96), ground)
    pen, r = ImageDraw.Draw(picture), draw.randint(14, 34)
    x, y = draw.randint(r, 96 - r), draw.randint(r, 96 - r)
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), colour)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), colour)
    elif shape == "triangle":
        pen.polygon(((x, y - r), (x - r, y + r), (x + r, y + r)), colour)
    else:
        pen.rectangle((x - r, y - r // 4, x + r, y + r // 4), colour)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return f"{k:06d}", out.getvalue(), f"a {colour} {shape} on {ground}"
