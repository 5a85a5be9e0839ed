"""Herbarium 2019: do pictures of species that nobody labelled fall into groups of their own?

Generalized category discovery (S. Vaze et al., CVPR 2022) on K. C. Tan et al., "The Herbarium Challenge 2019". Four fifths
of the pictures of the known half of the classes have labels; all others are clustered with them by semi-supervised
k-means, as many clusters as classes, and clusters are matched with classes.

Track `compat` gives the figure of BioCLIP 2: ten rounds at most from one start, features as they are, and known and new
classes matched apart. There a cluster that loses all its pictures becomes NaN and draws every picture to it, so that
later rounds never count: here the rounds end there. Track `fixed` gives such a cluster the picture that lies furthest
from its own, goes on until nothing moves, on unit vectors, from the best of several starts, and matches all classes at
once, as the literature does now.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from eval import results
from eval.examples import Examples, from_folders, from_rows
from eval.features import Features
from eval.results import Outcome

LABELLED = 0.8  # of the pictures of known classes
SEEDS = (0, 1, 2)
MAX_ROUNDS, N_STARTS = {"compat": 10, "fixed": 100}, {"compat": 1, "fixed": 3}
TOLERANCE = 1e-4  # of the squared shift of all centres
MAX_SPLIT_BYTES = 1_000_000

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class _Plain(pickle.Unpickler):
    """Reads lists, dicts, numbers and texts, and refuses whatever would import or call anything."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside itself")


def class_split(folder: Path) -> dict[str, list[int]]:
    """Numbers of the known ("Old") and of the new ("New") classes, in the order of the classes' names.

    From class_splits.json, or from the original's pickle, of which only plain values are read. Raises ValueError for
    anything else.
    """
    plain, pickled = folder / "class_splits.json", folder / "herbarium_19_class_splits.pkl"
    path = plain if plain.is_file() else pickled
    try:
        if path.stat().st_size > MAX_SPLIT_BYTES:
            raise ValueError("it is far larger than a list of 683 numbers")
        if path == plain:
            found = json.loads(path.read_text(encoding="utf-8"))
        else:
            found = _unpickled(path)
        split = {name: found[name] for name in ("Old", "New")}
        if any(not isinstance(part, list) or any(type(i) is not int for i in part) for part in split.values()):  # fmt: skip
            raise ValueError("Old and New must be lists of whole numbers")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no class split: {error}; write {plain} as {{\"Old\": [0, 3, …], \"New\": [1, 2, …]}}") from error  # fmt: skip
    return split


def _unpickled(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            return _Plain(stream).load()
    except (
        Exception
    ) as error:  # what damaged bytes make a reader of pickles raise is nowhere listed
        raise ValueError(str(error) or type(error).__name__) from error


def examples(folder: Path) -> Examples:
    """Its pictures; `cluster` says whether the class is known or new."""
    found = from_folders(folder / "small-train")
    split = class_split(folder)
    names = sorted(set(found.column("label")))
    if sorted([*split["Old"], *split["New"]]) != list(range(len(names))):
        raise ValueError(f"{folder}: the class split names {len(split['Old'])} + {len(split['New'])} classes, small-train has {len(names)}")  # fmt: skip
    known = {names[i] for i in split["Old"]}
    rows = [{"example": f"small-train/{example}", "label": label, "cluster": "known" if label in known else "new"}
            for example, label in zip(found.column("example"), found.column("label"), strict=True)]  # fmt: skip
    return from_rows("herbarium19", folder, rows, found.left_out)


def herbarium19(model: str, asked: Examples, features: Features, track: str, seeds: tuple[int, ...] = SEEDS) -> Iterator[Outcome]:  # fmt: skip
    """One outcome over all seeds: pictures without labels, right where their cluster is matched with their class."""
    keep = np.flatnonzero(features.good)
    labels = np.array(asked.column("label"))[keep]
    is_new = np.array(asked.column("cluster"))[keep] == "new"
    names = np.array(asked.column("example"))[keep]
    vectors = (features.vectors if track == "compat" else features.unit())[keep]
    if is_new.all() or not is_new.any():
        raise ValueError(f"{asked.name} has {int(is_new.sum())} readable pictures of new classes and {int((~is_new).sum())} of known ones; it needs both")  # fmt: skip
    known = sorted(set(labels[~is_new].tolist()))
    classes = [*known, *sorted(set(labels[is_new].tolist()))]
    truth = np.array([classes.index(label) for label in labels.tolist()])
    rows: dict[str, list[Any]] = {key: [] for key in ("run", "example", "truth", "answer", "correct")}  # fmt: skip
    told = {"known": list[float](), "new": list[float]()}
    for seed in seeds:
        old = np.flatnonzero(~is_new)
        has_label = np.zeros(len(keep), dtype=np.bool_)
        has_label[_labelled(old, truth, track)] = True
        taught = np.where(has_label, truth, -1)
        cluster = k_means(vectors, taught, len(classes), track=track, seed=seed)[~has_label]
        t, new = truth[~has_label], is_new[~has_label]
        right = _apart(cluster, t, new) if track == "compat" else _matched(cluster, t)
        told["known"].append(float(right[~new].mean()))
        told["new"].append(float(right[new].mean()))
        rows["run"] += [seed] * len(t)
        rows["example"] += names[~has_label].tolist()
        rows["truth"] += [classes[i] for i in t]
        rows["answer"] += [f"cluster {i}" for i in cluster]
        rows["correct"] += right.astype(float).tolist()
    notes = tuple(f"{what} classes: {np.mean(shares):.3f}" for what, shares in told.items())
    yield Outcome(model, asked.name, "herbarium19", track, f"{len(classes)} clusters", "cluster accuracy", 1 / len(classes), results.answers(rows), notes)  # fmt: skip


def _labelled(old: Ints, truth: Ints, track: str) -> Ints:
    """The pictures of known classes that have labels: the original's draw, or four fifths of each class, at least one."""
    if track == "compat":
        return np.random.RandomState(0).choice(old, size=int(LABELLED * len(old)), replace=False)
    draw = np.random.default_rng(0)
    parts = [draw.permutation(old[truth[old] == c]) for c in np.unique(truth[old])]
    return np.concatenate([part[: max(1, round(LABELLED * len(part)))] for part in parts])


def _apart(cluster: Ints, truth: Ints, is_new: NDArray[np.bool_]) -> NDArray[np.bool_]:
    right = np.zeros(len(truth), dtype=np.bool_)
    for part in (is_new, ~is_new):
        right[part] = _matched(cluster[part], truth[part])
    return right


def _matched(cluster: Ints, truth: Ints) -> NDArray[np.bool_]:
    """Which are right when clusters are given to classes so that most are (H. W. Kuhn, 1955)."""
    from scipy.optimize import linear_sum_assignment

    n = int(max(cluster.max(initial=-1), truth.max(initial=-1))) + 1
    counts = np.zeros((n, n), dtype=np.int64)
    np.add.at(counts, (cluster, truth), 1)
    of_cluster = np.empty(n, dtype=np.int64)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    of_cluster[rows] = columns
    return np.asarray(of_cluster[cluster] == truth)


def k_means(vectors: Floats, taught: Ints, n_clusters: int, *, track: str, seed: int) -> Ints:
    """The cluster of each row (n, D); rows with a label in `taught` (-1: none) keep it, and are what its centre starts from.

    Labels are 0 … L-1; the other centres are drawn by k-means++ (D. Arthur, S. Vassilvitskii, 2007) from rows without one.
    """
    x = np.asarray(vectors, dtype=np.float32)
    best: tuple[float, Ints] | None = None
    for start in range(N_STARTS[track]):
        draw = np.random.default_rng(seed * 1000 + start)
        centres = _start(x, taught, n_clusters, draw)
        for _ in range(MAX_ROUNDS[track]):
            where, far = _nearest(x, centres)
            where = np.where(taught >= 0, taught, where)
            far = np.where(taught >= 0, ((x - centres[where]) ** 2).sum(1), far)
            inertia = float(far.sum(dtype=np.float64))
            if best is None or inertia < best[0]:
                best = inertia, where
            counts = np.bincount(where, minlength=n_clusters)
            if (counts == 0).any() and track == "compat":
                break  # there its centre is NaN from here on, and no later round is better than NaN
            moved = _centres(x, where, far, taught, counts)
            shift = float(((moved - centres) ** 2).sum())
            centres = moved
            if shift < TOLERANCE:
                break
    assert best is not None
    return best[1]


def _start(x: Floats, taught: Ints, n_clusters: int, draw: np.random.Generator) -> Floats:
    centres = np.zeros((n_clusters, x.shape[1]), dtype=np.float32)
    known = np.unique(
        taught[taught >= 0]
    )  # a class whose pictures all lack labels starts as a new one does
    for label in known:
        centres[label] = x[taught == label].mean(0)
    free = x[taught < 0]
    far = _nearest(free, centres[known])[1] if len(known) else np.ones(len(free), dtype=np.float32)
    for i in np.setdiff1d(np.arange(n_clusters), known):
        weight = far.astype(np.float64)
        total = weight.sum()
        chosen = int(draw.choice(len(free), p=weight / total)) if total > 0 else int(draw.integers(len(free)))  # fmt: skip
        centres[i] = free[chosen]
        far = np.minimum(far, ((free - centres[i]) ** 2).sum(1))
    return centres


def _nearest(x: Floats, centres: Floats, at_once: int = 8192) -> tuple[Ints, Floats]:
    """The nearest centre of each row, and the squared distance to it."""
    squares = (centres**2).sum(1)
    where, far = np.empty(len(x), dtype=np.int64), np.empty(len(x), dtype=np.float32)
    for start in range(0, len(x), at_once):
        block = x[start : start + at_once]
        distances = squares - 2 * (block @ centres.T)
        where[start : start + at_once] = distances.argmin(1)
        far[start : start + at_once] = np.maximum(distances.min(1) + (block**2).sum(1), 0)
    return where, far


def _centres(x: Floats, where: Ints, far: Floats, taught: Ints, counts: Ints) -> Floats:
    """Means of the clusters; an empty one gets the row without label that is furthest from its centre, each another."""
    sums = np.zeros((len(counts), x.shape[1]), dtype=np.float32)
    np.add.at(sums, where, x)
    made: Floats = np.asarray(sums / np.maximum(counts, 1)[:, None], dtype=np.float32)
    empty = np.flatnonzero(counts == 0)
    furthest = np.argsort(-np.where(taught < 0, far, -1.0), kind="stable")[: len(empty)]
    made[empty] = x[furthest]
    return made
