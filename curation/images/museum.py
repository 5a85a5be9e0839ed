"""What a museum's picture shows: a specimen, a label, a slide, a fossil …, by the nearest class of a support set.

In   support   a folder with one folder of pictures per class, or the file that `--support` made of it
Out  of every picture the nearest class, and the margin by which it is nearer than the next

A class is one or more centroids of its pictures' vectors. Distances are cosines after the vectors have been centred and
whitened by what varies within classes (linear discriminant analysis, R. A. Fisher, 1936; covariance shrunk after Chen, Wiesel,
Eldar and Hero, IEEE Trans. Signal Process. 58, 2010), so that a direction in which all classes vary counts little. A
picture whose margin is below `verdict.min_museum_score` is `unsure`, and stays. Without a support set a model that reads
is asked in words; its margins are much smaller.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from catalog import pixels
from curation.images import embedding
from curation.images.embedding import Encoder, unit
from curation.images.weights import Weights

UNSURE = "unsure"
PER_CENTROID, MAX_CENTROIDS = 50, 8  # pictures of a class that earn it another centroid
MIN_PICTURES, N_FOLDS, BATCH = 5, 5, 64
WORDS = {  # of the zero-shot fallback: class, and what a caption would say
    "specimen": ("a photo of a preserved museum specimen", "a herbarium sheet with a pressed plant", "a pinned insect"),
    "text": ("a photo of a museum label with text", "a page of handwritten text", "a catalogue card"),
    "slide": ("a microscope slide", "a photomicrograph"),
    "fossil": ("a photo of a fossil in rock",),
    "skeleton": ("a photo of bones", "a photo of a skull", "an animal skeleton"),
    "egg": ("a photo of eggs in a museum drawer",),
    "drawer": ("a drawer full of museum specimens", "jars on a shelf"),
    "landscape": ("a photo of a landscape", "a photo of a habitat without an animal"),
    "organism": ("a photo of a living animal", "a photo of a living plant", "a photo of a mushroom"),
}  # fmt: skip


@dataclass(frozen=True)
class Support:
    """Classes of a support set: `mean` (D,), `whiten` (D, D), `centroids` (K, D) of length 1, `labels` of the K."""

    labels: tuple[str, ...]
    centroids: NDArray[np.float32]
    mean: NDArray[np.float32]
    whiten: NDArray[np.float32]
    model: str  # whose vectors these are: name and sha256

    def bytes(self) -> bytes:
        """The support set as a file (npz, nothing in it is pickled)."""
        out = io.BytesIO()
        np.savez(out, centroids=self.centroids, mean=self.mean, whiten=self.whiten,
                 labels=np.array(self.labels), model=np.array(self.model))  # fmt: skip
        return out.getvalue()


class Pictures(NamedTuple):
    """A labelled folder as vectors (n, D); `bad` are the files that are no pictures."""

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    files: tuple[Path, ...]
    bad: tuple[Path, ...]


def read(path: Path, model: str) -> Support:
    """The support set of a file; ValueError where it is none, or was made by another model."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            arrays = [
                np.asarray(kept[n], dtype=np.float32) for n in ("centroids", "mean", "whiten")
            ]
            labels, made_by = tuple(str(v) for v in kept["labels"]), str(kept["model"])
    except Exception as error:  # zipfile, numpy and their kin raise anything at a file that is none
        raise ValueError(f"museum.support: {path} is no support set; make one by --support FOLDER") from error  # fmt: skip
    if made_by != model:
        raise ValueError(f"museum.support: {path} was made by {made_by}, and the recipe's model is {model}; make it anew by --support FOLDER")  # fmt: skip
    sizes = {arrays[0].shape, (len(labels), len(arrays[1]))}
    if len(sizes) != 1 or arrays[2].shape != (len(arrays[1]),) * 2:
        raise ValueError(f"museum.support: {path} is damaged; make it anew by --support FOLDER")
    return Support(labels, arrays[0], arrays[1], arrays[2], made_by)


def pictures(folder: Path, encoder: Encoder) -> Pictures:
    """Vectors of `folder/<class>/**`. ValueError with fewer than two classes, or five pictures in one."""
    files = [p for p in sorted(folder.glob("*/**/*")) if p.is_file() and not p.name.startswith(".")]
    seen, kept, bad = list[object](), list[Path](), list[Path]()
    vectors = []
    for start in range(0, len(files), BATCH):
        seen.clear()
        for file in files[start : start + BATCH]:
            try:
                seen.append(encoder.see(pixels.decode(file.read_bytes()).image))
                kept.append(file)
            except (pixels.Undecodable, OSError):
                bad.append(file)
        if seen:
            vectors.append(encoder.encode(seen))
    labels = tuple(file.relative_to(folder).parts[0] for file in kept)
    few = {name: labels.count(name) for name in sorted(set(labels))}
    if len(few) < 2:
        raise ValueError(f"{folder} has {len(few)} folders with pictures; a support set needs one for each of two classes or more")  # fmt: skip
    if short := [f"{name} ({n})" for name, n in few.items() if n < MIN_PICTURES]:
        raise ValueError(f"{folder}: too few pictures of {', '.join(short)}; every class needs {MIN_PICTURES}")  # fmt: skip
    return Pictures(np.concatenate(vectors), labels, tuple(kept), tuple(bad))


def support(vectors: NDArray[np.float32], labels: Sequence[str], model: str) -> Support:
    """The support set of labelled vectors (n, D)."""
    given, names = np.asarray(labels), sorted(set(labels))
    mean = vectors.mean(axis=0)
    within = np.concatenate([vectors[given == n] - vectors[given == n].mean(axis=0) for n in names])
    whiten = _inverse_root(_shrunk(within))
    moved = unit((vectors - mean) @ whiten)
    made, of = [], list[str]()
    for name in names:
        own = moved[given == name]
        k = max(1, min(MAX_CENTROIDS, len(own) // PER_CENTROID))
        found = kmeans2(own, k, minit="++", rng=0)[0] if k > 1 else own.mean(axis=0, keepdims=True)
        found = found[np.linalg.norm(found, axis=1) > 0]
        made.append(unit(found))
        of += [name] * len(found)
    return Support(tuple(of), np.concatenate(made), mean.astype(np.float32), whiten, model)


def in_words(encoder: Encoder, model: str) -> Support:
    """Classes that are asked for in words; ValueError for a model that does not read."""
    if encoder.words is None:
        raise ValueError(f"museum.model = {model!r} does not read, so museum.support must name a folder of labelled pictures")  # fmt: skip
    labels = tuple(name for name, texts in WORDS.items() for _ in texts)
    centroids = encoder.words([text for texts in WORDS.values() for text in texts])
    dim = centroids.shape[1]
    return Support(labels, centroids, np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32), model)  # fmt: skip


def museum(vectors: NDArray[np.float32], known: Support) -> tuple[list[str], NDArray[np.float32]]:
    """Nearest class of vectors (n, D), and the margin (cosine, 0 to 2) by which it is nearer than the next."""
    centred = vectors.astype(np.float64) - known.mean
    exact = centred @ known.whiten  # float32 products would differ with the rows beside
    exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    cosines = exact @ known.centroids.T
    names = sorted(set(known.labels))
    of = np.asarray(known.labels)
    best = np.stack([cosines[:, of == name].max(axis=1) for name in names], axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    rows = np.arange(len(best))
    margins = best[rows, order[:, 0]] - best[rows, order[:, 1]]
    return [names[i] for i in order[:, 0]], np.asarray(margins, dtype=np.float32)


def cross_validated(found: Pictures, model: str) -> tuple[list[str], NDArray[np.float32]]:
    """Classes and margins of a labelled folder's pictures, each by a support set made without its fold of five."""
    n = len(found.labels)
    fold = np.random.default_rng(0).permutation(n) % N_FOLDS
    of, labels, margins = np.asarray(found.labels), np.empty(n, dtype=object), np.zeros(n, np.float32)  # fmt: skip
    for k in range(N_FOLDS):
        left = fold != k
        if len(set(of[left])) < 2:
            continue
        known = support(found.vectors[left], of[left].tolist(), model)
        labels[~left], margins[~left] = museum(found.vectors[~left], known)
    return [str(v) for v in labels], margins


def table(truth: Sequence[str], said: Sequence[str]) -> Iterable[str]:
    """The confusion table: a line per class, with its recall and precision."""
    names = sorted({*truth, *said} - {UNSURE}) + ([UNSURE] if UNSURE in said else [])
    wide = max(map(len, [*names, "was, taken for"]))
    yield f"{'was, taken for':<{wide}}  " + "  ".join(f"{n:>{max(6, len(n))}}" for n in names) + "  recall  precision"  # fmt: skip
    pairs = list(zip(truth, said, strict=True))
    for name in names:
        if name == UNSURE:
            continue
        row = [pairs.count((name, other)) for other in names]
        decided, taken = sum(row), sum(1 for _, other in pairs if other == name)
        right = pairs.count((name, name))
        shares = [f"{right / of:.3f}" if of else "-" for of in (decided, taken)]
        cells = "  ".join(f"{n:>{max(6, len(o))}}" for n, o in zip(row, names, strict=True))
        yield f"{name:<{wide}}  {cells}  {shares[0]:>6}  {shares[1]:>9}"


def _shrunk(deviations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Covariance of deviations (n, D) from their class, shrunk towards a multiple of the identity (OAS)."""
    x = deviations.astype(np.float64)
    n, dim = x.shape
    plain = x.T @ x / n
    trace, square = float(np.trace(plain)), float((plain**2).sum())
    above = (1 - 2 / dim) * square + trace**2
    below = (n + 1 - 2 / dim) * (square - trace**2 / dim)
    share = 1.0 if below <= 0 else min(1.0, above / below)
    return np.asarray((1 - share) * plain + share * (trace / dim + 1e-12) * np.eye(dim))


def _inverse_root(covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(np.maximum(values, 1e-12))) @ vectors.T, dtype=np.float32)


def model_name(model: str, held: Weights | None) -> str:
    """How a support set names the model whose vectors it holds: weights, configuration and all."""
    return f"{held.sha256} {held.beside[:16]}" if held else f"{model} {embedding.VERSION}"
