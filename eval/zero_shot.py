"""Zero-shot classification: which of the classes' names, embedded by the text tower, is a picture nearest to?

Protocol of BioCLIP 2 (arXiv 2505.23883; evaluation/classification.py): each class name in 81 templates, their unit
vectors averaged and normalised again; the answer is the class of the largest cosine; micro accuracy over all pictures.

Track `compat` takes class names as the annotation files spell them ("Emiliania_huxleyi", authors and all), and builds
lineages as the original does. Track `fixed` cleans them up first, and passes over ranks that are not known.
"""

from __future__ import annotations

import collections
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.ranks import RANKS
from eval import results
from eval.examples import Examples
from eval.features import Features
from eval.model import Model
from eval.results import Outcome
from training import text

KINDS = ("asis", *text.TYPES)
N_TOP = 5
ROWS = 1024  # pictures whose scores stand at once
AT_ONCE = 8_000_000  # scores that are put in order at once
_BINOMIAL = re.compile(r"^.*\(([A-Z][a-z]+ [a-z-]{3,})\)$")
CLEANING: dict[str, Callable[[str], str]] = {  # of labels of one benchmark, on the track `fixed`
    "": lambda label: label,
    "authors": lambda label: " ".join(label.split()[:2]),  # "Amanita fulva (Schaeff.) Fr."
    "binomial in brackets": lambda label: _BINOMIAL.sub(
        r"\1", label
    ),  # "Le Pentatome (Graphosoma lineatum)"
}

Floats = NDArray[np.float32]
Row = Mapping[str, Any]


def strings(examples: Examples, kind: str, track: str) -> list[str]:
    """What each picture's class is called, in one of KINDS; its label where nothing is known.

    On the track `fixed` classes stay apart: where two would be called the same, their labels stand behind.

    Raises ValueError for an unknown kind, and for one that needs lineages of a test set without any.
    """
    if kind not in KINDS:
        raise ValueError(f"label type {kind!r} is unknown; choose of {', '.join(KINDS)}")
    labels = examples.column("label")
    if kind == "asis":
        return labels if track == "compat" else cleaned(labels, examples.cleaning)
    rows = examples.rows()
    if not any(row[rank] for row in rows for rank in RANKS):
        raise ValueError(f"{examples.name} states no ranks, so its labels can only be asked asis, not {kind}")  # fmt: skip
    if track == "compat":
        return [_original(row, kind) or label for row, label in zip(rows, labels, strict=True)]
    said = [text.words(row, kind, "omit") or label for row, label in zip(rows, labels, strict=True)]
    of_words: dict[str, set[str]] = {}
    for words, label in zip(said, labels, strict=True):
        of_words.setdefault(words, set()).add(label)
    return [words if len(of_words[words]) == 1 else f"{words} {label}" for words, label in zip(said, labels, strict=True)]  # fmt: skip


def cleaned(labels: Sequence[str], how: str) -> list[str]:
    """Labels without underscores, and by one of CLEANING; those that two classes would share stay as they are."""
    plain = {label: CLEANING[how](" ".join(label.replace("_", " ").split())) for label in labels}
    n_of = collections.Counter(plain.values())
    return [plain[label] if n_of[plain[label]] == 1 else label for label in labels]


def _original(row: Row, kind: str) -> str:
    """As the original's builder: seven fields joined by spaces, empty ones too; without a kingdom the binomial alone."""
    epithet = str(row["species"] or "").removeprefix(f"{row['genus']} ").lower()
    if row["infraspecificEpithet"]:
        epithet += f" {str(row['infraspecificEpithet']).lower()}"
    binomial = f"{row['genus'] or ''} {epithet}".strip()
    ranks = " ".join([*(str(row[rank] or "") for rank in RANKS[:-1]), epithet]) if row["kingdom"] else binomial  # fmt: skip
    common = row["vernacularName"]
    if kind == "com":
        return str(common or binomial)
    name = binomial if kind.startswith("sci") else ranks
    return (
        " with common name ".join((name, str(common))) if kind.endswith("_com") and common else name
    )


def classifier(
    model: Model, words: Sequence[str], templates: Sequence[Callable[[str], str]]
) -> Floats:
    """Unit vectors of classes (C, D): of each the normalised mean over its templates' unit vectors."""
    return _classifier(model, tuple(words), tuple(templates))


@functools.lru_cache(maxsize=4)  # both tracks, and back-off, often ask the same
def _classifier(model: Model, words: tuple[str, ...], templates: tuple[Callable[[str], str], ...], at_once: int = 64) -> Floats:  # fmt: skip
    made = [np.zeros((0, model.dim), dtype=np.float32)]
    for start in range(0, len(words), at_once):
        part = words[start : start + at_once]
        found = model.text_features([template(word) for template in templates for word in part])
        mean = found.reshape(len(templates), len(part), -1).mean(0)
        made.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
    return np.concatenate(made).astype(np.float32)


def columns(matrix: NDArray[Any], at_once: int = 8192) -> Iterator[tuple[int, Floats]]:
    """A text matrix (D, N), on disk or not, in blocks (D, n) with the number of their first column."""
    for start in range(0, matrix.shape[1], at_once):
        yield start, _block(matrix, start, min(start + at_once, matrix.shape[1]))


def _block(matrix: NDArray[Any], start: int, stop: int) -> Floats:
    """Some columns of a matrix. Of one on disk they are read, not mapped: a kernel may map megabytes around each row."""
    if (
        not isinstance(matrix, np.memmap)
        or matrix.filename is None
        or not matrix.flags.c_contiguous
    ):
        return np.ascontiguousarray(matrix[:, start:stop], dtype=np.float32)
    made = np.empty((len(matrix), stop - start), dtype=matrix.dtype)
    with Path(matrix.filename).open("rb", buffering=0) as stream:
        for row, out in enumerate(made):
            stream.seek(matrix.offset + (row * matrix.shape[1] + start) * matrix.itemsize)
            if stream.readinto(out.data.cast("B")) != out.nbytes:
                raise OSError(f"{matrix.filename} ends before its matrix does")
    return np.asarray(made, dtype=np.float32)


def nearest(images: Floats, blocks: Iterable[tuple[int, Floats]], k: int = N_TOP) -> tuple[NDArray[np.int64], Floats]:  # fmt: skip
    """The k columns with the largest products with each row of `images` (n, D), and those products, largest first.

    `blocks` are columns of one matrix in order, each read once; nothing of the size n × N ever stands. Of equal products
    the first column wins. Fewer than k columns give as many as there are.
    """
    n = 0
    best = np.empty((len(images), k), dtype=np.float32)
    where = np.empty((len(images), k), dtype=np.int64)
    for first, part in blocks:
        n_now = min(k, n + part.shape[1])
        for start in range(0, len(images), ROWS):
            rows = np.arange(start, min(start + ROWS, len(images)))
            scores = images[rows] @ part
            if n == n_now == k:  # most later blocks have nothing better for most rows
                better = scores.max(1) > best[rows, -1]
                rows, scores = rows[better], scores[better]
            top, value = top_of(scores, k)
            both = np.concatenate([best[rows, :n], value], 1)
            order = np.argsort(-both, axis=1, kind="stable")[:, :n_now]
            places = np.concatenate([where[rows, :n], top + first], 1)
            best[rows[:, None], np.arange(n_now)] = np.take_along_axis(both, order, 1)
            where[rows[:, None], np.arange(n_now)] = np.take_along_axis(places, order, 1)
        n = n_now
    return where[:, :n], best[:, :n]


def top_of(scores: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The columns of the k largest of each row (n, k), largest first, of equal ones the first; and those values."""
    n = max(1, AT_ONCE // max(1, scores.shape[1]))
    if len(scores) > n:  # the places of all take twice what the scores do
        parts = [top_of(scores[start : start + n], k) for start in range(0, len(scores), n)]
        return np.concatenate([where for where, _ in parts]), np.concatenate([best for _, best in parts])  # fmt: skip
    if k < scores.shape[1]:
        chosen = np.argpartition(scores, -k, axis=1)[:, -k:]
        least = np.take_along_axis(scores, chosen[:, :1], 1)
        for row in np.flatnonzero(
            (scores >= least).sum(1) > k
        ):  # equal ones at the edge: which of them is chance
            chosen[row] = np.argsort(-scores[row], kind="stable")[:k]
        chosen.sort(axis=1)
    else:
        chosen = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, chosen, 1), axis=1, kind="stable")
    where = np.take_along_axis(chosen, order, 1)
    return where, np.take_along_axis(scores, where, 1)


def zero_shot(model: Model, examples: Examples, features: Features, kind: str, track: str, *,
              templates: Sequence[Callable[[str], str]] | None = None) -> Outcome:  # fmt: skip
    """All pictures of a test set, each asked which of the set's classes it shows. Raises ValueError without a text tower."""
    said = strings(examples, kind, track)
    asked = templates or text.templates()
    classes = list(dict.fromkeys(said))
    at = {name: i for i, name in enumerate(classes)}
    keep = np.flatnonzero(features.good)
    truth = np.array([at[said[i]] for i in keep])
    names = classifier(model, classes, asked)
    where, best = nearest(features.unit()[keep], columns(names.T))
    hit = where == truth[:, None]
    place = np.where(hit.any(1), hit.argmax(1) + 1, 0)
    examples_of = examples.column("example")
    table = results.answers({
        "example": [examples_of[i] for i in keep], "truth": [said[i] for i in keep],
        "answer": [classes[i] for i in where[:, 0]], "correct": hit[:, 0].astype(np.float32), "score": best[:, 0],
        "place": [int(p) or None for p in place],
    })  # fmt: skip
    n = len(asked)
    return Outcome(model.name, examples.name, "zero-shot", track, f"{kind}, {n} template{'s' * (n > 1)}", "accuracy", 1 / len(classes), table, beside=("top-3", "top-5", "macro accuracy"))  # fmt: skip
