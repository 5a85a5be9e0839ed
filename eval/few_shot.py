"""Few-shot classification by SimpleShot: the nearest centroid after centring and normalising (Y. Wang et al., arXiv 1911.04623).

Per fold k pictures of each class are learned from, all others asked. The mean of what is learned from is subtracted from
both, both are scaled to length 1, a class is the mean of its k vectors (not scaled again), and the answer is the class
whose mean is nearest. Classes with k pictures or fewer are left out: there is nothing to ask of them.

Track `compat` draws the pictures as BioCLIP 2's first scripts did: Python's generator seeded with the fold, classes in
the order they appear, lists shuffled in place, all folds of the first k before those of the next. So a fold depends on
those before it. Track `fixed` draws every class of every fold by itself, and asks no picture of an organism, burst or
record of which another was learned from, where the set says so. A file of splits, wherever it comes from, has
`shots, fold, example` for every picture that is learned from.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval import results
from eval.examples import Examples, read
from eval.features import Features
from eval.results import Outcome

N_FOLDS = 5
SHOTS = (1, 5)
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Splits = Mapping[tuple[int, int], Ints]  # of (shots, fold): rows that are learned from


def splits(labels: Sequence[str], shots: Sequence[int] = SHOTS, *, track: str = "fixed", n_folds: int = N_FOLDS) -> dict[tuple[int, int], Ints]:  # fmt: skip
    """For every number of shots and fold the places (in `labels`) of what is learned from, k of each class that has more."""
    of_class: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        of_class.setdefault(label, []).append(i)
    found = {}
    for k in shots:
        for fold in range(n_folds):
            draw = random.Random(fold)
            chosen = list[int]()
            for label, places in of_class.items():
                if track == "compat":
                    draw.shuffle(places)  # in place, as it was
                    taken = places[:k]
                else:
                    key = int.from_bytes(hashlib.sha256(f"{k}:{fold}:{label}".encode()).digest()[:8])  # fmt: skip
                    taken = random.Random(key).sample(places, min(k, len(places)))
                if len(places) > k:
                    chosen += taken
            found[k, fold] = np.array(chosen, dtype=np.int64)
    return found


def classify(taught: Floats, labels: Ints, asked: Floats, n_classes: int, at_once: int = 8192) -> tuple[Ints, Floats]:  # fmt: skip
    """The nearest class of each row asked (m, D), and the distance squared to it, from rows taught (n, D) and their labels.

    |q - c|² = |q|² - 2 q·c + |c|², so a product of matrices does it, in blocks of `at_once` rows.
    """
    mean = taught.mean(0, dtype=np.float64).astype(np.float32)
    unit = _unit(taught - mean)
    sums = np.zeros((n_classes, taught.shape[1]), dtype=np.float32)
    np.add.at(sums, labels, unit)
    centres = sums / np.bincount(labels, minlength=n_classes)[:, None].astype(np.float32)
    squares = (centres**2).sum(1)
    where, far = np.empty(len(asked), dtype=np.int64), np.empty(len(asked), dtype=np.float32)
    for start in range(0, len(asked), at_once):
        part = slice(start, start + at_once)
        block = _unit(asked[part] - mean)
        distances = squares - 2 * (block @ centres.T)
        where[part] = distances.argmin(1)
        far[part] = np.take_along_axis(distances, where[part, None], 1)[:, 0] + (block**2).sum(1)
    return where, far


def _unit(vectors: Floats) -> Floats:
    """Vectors of length 1, in place where they may be; zeros stay."""
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def few_shot(model: str, examples: Examples, features: Features, shots: Sequence[int] = SHOTS, track: str = "fixed", *,
             given: Splits | None = None) -> Iterator[Outcome]:  # fmt: skip
    """One outcome per number of shots, over all folds; `given` are splits to use instead of drawn ones, over all rows.

    Numbers of shots that no class has more pictures than give none.
    """
    keep = np.flatnonzero(features.good)
    every = examples.column("label")
    labels = [every[i] for i in keep]
    names = examples.column("example")
    at = {int(row): i for i, row in enumerate(keep)}
    drawn = splits(labels, shots, track=track) if given is None else {
        key: np.array([at[int(i)] for i in rows if int(i) in at], dtype=np.int64) for key, rows in given.items()}  # fmt: skip
    vectors = features.unit()[keep]
    groups = examples.column("group_id") if track == "fixed" else [None] * len(every)
    group_of = np.array([groups[i] or f"\x00{i}" for i in keep])
    numbers, number_of = np.unique(np.array(labels), return_inverse=True)
    for k in shots:
        folds = [(fold, rows) for (n, fold), rows in sorted(drawn.items()) if n == k and len(rows)]
        if not folds:
            continue
        parts = [_fold(vectors, number_of, numbers, rows, fold, [names[i] for i in keep], group_of) for fold, rows in folds]  # fmt: skip
        table = results.answers({key: np.concatenate([part[key] for part in parts]) for key in parts[0]})  # fmt: skip
        n_asked = len(np.unique(number_of[folds[0][1]]))
        left = len(numbers) - n_asked
        notes = (f"{left} of {len(numbers)} classes have {k} picture{'s' * (k > 1)} or fewer and are left out",) if left else ()  # fmt: skip
        yield Outcome(model, examples.name, "few-shot", track, f"{k}-shot", "accuracy", 1 / n_asked, table, notes, ("macro accuracy",))  # fmt: skip


def _fold(vectors: Floats, number_of: Ints, names: NDArray[Any], taught: Ints, fold: int, examples: Sequence[str], groups: NDArray[Any]) -> dict[str, NDArray[Any]]:  # fmt: skip
    """The answers of one fold, as columns."""
    known = np.unique(number_of[taught])
    is_asked = np.isin(number_of, known) & ~np.isin(groups, groups[taught])
    is_asked[taught] = False
    asked = np.flatnonzero(is_asked)
    where, far = classify(vectors[taught], np.searchsorted(known, number_of[taught]), vectors[asked], len(known))  # fmt: skip
    answer = known[where]
    return {"run": np.full(len(asked), fold), "example": np.array(examples)[asked], "truth": names[number_of[asked]],
            "answer": names[answer], "correct": (answer == number_of[asked]).astype(np.float32), "score": -far}  # fmt: skip


def write_splits(path: Path, drawn: Splits, examples: Sequence[str]) -> None:
    """A file of splits: shots, fold, example."""
    with path.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow(("shots", "fold", "example"))
        for (k, fold), rows in sorted(drawn.items()):
            lines.writerows((k, fold, examples[i]) for i in rows)


def read_splits(path: Path, examples: Sequence[str]) -> dict[tuple[int, int], Ints]:
    """Splits from a file. Raises ValueError for another form, and for pictures that the test set does not have."""
    fields, lines = read(path)
    if not {"shots", "fold", "example"} <= set(fields):
        raise ValueError(f"{path} needs the columns shots, fold, example; it has {', '.join(fields)}")  # fmt: skip
    at = {name: i for i, name in enumerate(examples)}
    found: dict[tuple[int, int], list[int]] = {}
    for number, line in enumerate(lines, 2):
        if line["example"] not in at:
            raise ValueError(f"{path}, line {number}: the test set has no picture {line['example']!r}")  # fmt: skip
        try:
            key = int(line["shots"]), int(line["fold"])
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: shots and fold are whole numbers") from error
        found.setdefault(key, []).append(at[line["example"]])
    return {key: np.array(rows, dtype=np.int64) for key, rows in found.items()}
