"""Few-shot and zero-shot at full size: seconds and memory, beside the original's way of computing them.

Few-shot over NABirds' sizes (48,562 pictures, 555 classes, 768 numbers, 5-shot, one fold), and zero-shot of 2,048 pictures
over 900,000 taxa whose matrix lies on disk. The peer computes as the original's evaluation does: differences of every
picture and every class in one array (classes, queries, dimensions), and all scores at once from a matrix in memory; it is
run at a size where that fits, and ours beside it at the same size. The bare limit is the product of matrices alone.
`eval.predict` is timed behind the image tower: reading the names, their tree, probabilities of all, back-off. Each is run
in a process of its own; memory is the largest resident size of that process, numbers of the input included.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.harness import Result, Row, peak_mb, target

N_PICTURES, N_CLASSES, DIM, SHOTS = 48_562, 555, 768, 5
N_ASKED, N_TAXA, N_PREDICTED = 2_048, 900_000, 256
FITS, FITS_TAXA = (3_000, 100), 50_000  # pictures and classes, taxa: where the original's way fits
LIMIT_MB = 2_000


def run(*, quick: bool) -> Result:
    """Few-shot, then zero-shot; about three minutes."""
    pictures, classes = (4_000, 100) if quick else (N_PICTURES, N_CLASSES)
    taxa = 40_000 if quick else N_TAXA
    fits, fits_taxa = ((1_000, 50), 10_000) if quick else (FITS, FITS_TAXA)
    with tempfile.TemporaryDirectory() as name:
        matrix, small = Path(name) / "whole.npy", Path(name) / "small.npy"
        _matrix(matrix, taxa)
        _matrix(small, fits_taxa)
        few, few_bare = _alone(_few, pictures, classes), _alone(_few_bare, pictures, classes)
        few_fits, few_peer = _alone(_few, *fits), _alone(_few_original, *fits)
        zero, zero_bare = _alone(_zero, matrix), _alone(_zero_bare, taxa)
        zero_fits, zero_peer = _alone(_zero, small), _alone(_zero_original, small)
        _names(Path(name), matrix, taxa)
        asked = _alone(_predict, Path(name))
    assert few_fits[2] == few_peer[2] and zero_fits[2] == zero_peer[2], "the same answers"
    rows = (
        Row(f"few-shot, {pictures:,} pictures, {classes} classes", "s", few[0], None, few_bare[0]),
        Row(f"few-shot, {pictures:,} pictures, {classes} classes: memory", "MB", few[1], None, few_bare[1]),
        Row(f"few-shot, {fits[0]:,} pictures, {fits[1]} classes", "s", few_fits[0], few_peer[0]),
        Row(f"few-shot, {fits[0]:,} pictures, {fits[1]} classes: memory", "MB", few_fits[1], few_peer[1]),
        Row(f"zero-shot, {taxa:,} taxa", "s", zero[0], None, zero_bare[0]),
        Row(f"zero-shot, {taxa:,} taxa: memory", "MB", zero[1], None, zero_bare[1]),
        Row(f"eval.predict, {N_PREDICTED} pictures among {taxa:,} names", "s", asked[0]),
        Row(f"eval.predict, {N_PREDICTED} pictures among {taxa:,} names: memory", "MB", asked[1]),
        Row(f"zero-shot, {fits_taxa:,} taxa", "s", zero_fits[0], zero_peer[0]),
        Row(f"zero-shot, {fits_taxa:,} taxa: memory", "MB", zero_fits[1], zero_peer[1]),
    )  # fmt: skip
    return Result("eval_memory", "the original's formulation", "matrix products alone", rows, (
        target(f"few-shot at NABirds' sizes under {LIMIT_MB:,} MB", few[1] < LIMIT_MB, f"{few[1]:,.0f} MB, {few[0]:.1f} s", judged=not quick),
        target(f"zero-shot over 900,000 taxa under {LIMIT_MB:,} MB", zero[1] < LIMIT_MB,
               f"{zero[1]:,.0f} MB, {zero[0]:.1f} s; the matrix is {taxa * DIM * 4 / 1e6:,.0f} MB", judged=not quick),
    ))  # fmt: skip


def _alone(what: Callable[..., Any], *args: Any) -> tuple[float, float, list[int]]:
    """Seconds, peak MB and the first answers of a function in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: tuple[float, float, list[int]] = pool.apply(_timed, (what, args))
    return found


def _timed(what: Callable[..., Any], args: Any) -> tuple[float, float, list[int]]:
    ready = what(*args)
    started = time.perf_counter()
    answers = ready()
    return time.perf_counter() - started, peak_mb(), [int(a) for a in answers[:500]]


def _vectors(pictures: int, classes: int) -> tuple[Any, Any, Any]:
    """Pictures' vectors, what is learned from first, and its labels."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), SHOTS)
    centres = draw.standard_normal((classes, DIM), dtype=np.float32)
    which = np.concatenate([labels, draw.integers(0, classes, pictures - len(labels))])
    vectors = draw.standard_normal((pictures, DIM), dtype=np.float32)
    for start in range(0, pictures, 4096):
        vectors[start : start + 4096] += centres[which[start : start + 4096]]
    return vectors[: len(labels)], labels, vectors[len(labels) :]


def _few(pictures: int, classes: int) -> Callable[[], Any]:
    from eval.few_shot import classify

    taught, labels, asked = _vectors(pictures, classes)
    return lambda: classify(taught, labels, asked, classes)[0]


def _few_bare(pictures: int, classes: int) -> Callable[[], Any]:
    taught, _, asked = _vectors(pictures, classes)
    centres = np.ascontiguousarray(taught[::SHOTS].T)
    return lambda: (asked @ centres).argmax(1)


def _few_original(pictures: int, classes: int) -> Callable[[], Any]:
    taught, labels, asked = _vectors(pictures, classes)

    def classify() -> Any:
        mean = taught.mean(0)
        unit, query = ((part - mean) / np.linalg.norm(part - mean, axis=1, keepdims=True) for part in (taught, asked))  # fmt: skip
        centres = np.stack([unit[labels == c].mean(0) for c in range(classes)])
        return ((query[None] - centres[:, None]) ** 2).sum(-1).argmin(0)

    return classify


def _matrix(path: Path, taxa: int) -> None:
    """A text matrix (D, N) on disk, written in rows."""
    made = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(DIM, taxa))
    draw = np.random.default_rng(1)
    for row in range(DIM):
        made[row] = draw.standard_normal(taxa, dtype=np.float32) / DIM**0.5
    made.flush()


def _images() -> Any:
    vectors = np.random.default_rng(2).standard_normal((N_ASKED, DIM), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _zero(path: Path) -> Callable[[], Any]:
    from eval.zero_shot import columns, nearest

    images, matrix = _images(), np.load(path, mmap_mode="r")
    return lambda: nearest(images, columns(matrix))[0][:, 0]


def _names(folder: Path, matrix: Path, taxa: int) -> None:
    """Made-up lineages for the matrix, as an export has them: ten species a genus, ten genera a family, and so on."""
    said = [[["Animalia", f"P{i // 10**6}", f"C{i // 10**5}", f"O{i // 10**4}", f"F{i // 1000}", f"Genus{i // 10}", f"species{i}"], ""]
            for i in range(taxa)]  # fmt: skip
    (folder / "txt_emb_species.json").write_text(json.dumps(said))
    (folder / "txt_emb_species.npy").symlink_to(matrix)


def _predict(folder: Path) -> Callable[[], Any]:
    """All that `eval.predict` does behind the model's image tower."""
    from eval import backoff, names, zero_shot
    from eval.predict import BATCH, MAX_CHANCES

    images = _images()[:N_PREDICTED]

    def asked() -> Any:
        known = names.read(str(folder), DIM)
        n, found = max(1, min(BATCH, MAX_CHANCES // len(known))), []
        for start in range(0, len(images), n):
            scores = known.scores(images[start : start + n])
            scores *= np.float32(50)
            chances = backoff.softmax(scores, out=scores)
            sums = known.tree.sums(chances)
            backoff.deepest(known.tree, sums)
            found += zero_shot.top_of(sums[-1], 5)[0][:, 0].tolist()
        return found

    return asked


def _zero_bare(taxa: int) -> Callable[[], Any]:
    images = _images()
    block = np.random.default_rng(3).standard_normal((DIM, 8192), dtype=np.float32)

    def products() -> Any:
        out = None
        for _ in range(0, taxa, 8192):
            out = images @ block
        return out.argmax(1)  # type: ignore[union-attr]

    return products


def _zero_original(path: Path) -> Callable[[], Any]:
    images, matrix = _images(), np.load(path)
    return lambda: np.argsort(-(images @ matrix), axis=1)[:, 0]
