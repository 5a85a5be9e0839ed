"""What a model makes of every picture of a test set: found once, kept, and shared by all tasks.

An artifact (`<out>/features/<address>/`) holds `vectors.npy`, (n, D) float32 as the tower gives them, and
`pictures.parquet`: which could be read, their md5 and perceptual hash. Its address is made of the model's weights, its
preprocessing, its precision and the pictures. Workers decode and resize; this process runs the model.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from catalog import artifact, phash, pixels, terminal
from catalog.processes import Spawning
from eval.examples import Examples
from eval.model import Model, Seeing
from eval.sources import Source

VERSION = 1
BATCH, FEW = 256, 1000
NOT_FINITE = "its features are not finite: try --precision fp32"
PICTURES = pa.schema([("example", pa.string()), ("error", pa.string()), ("md5", pa.string()), ("phash", pa.string())])  # fmt: skip


@dataclass(frozen=True)
class Features:
    """Of a test set by a model: `vectors` (n, D), in the order of its table; `good` (n,) bool: those that were read."""

    vectors: NDArray[np.float32]
    good: NDArray[np.bool_]
    pictures: pa.Table  # PICTURES

    def unit(self) -> NDArray[np.float32]:
        """The vectors, each of length 1."""
        return unit(self.vectors)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (n, D) scaled to length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def features(model: Model, examples: Examples, out: Path, *, workers: int = -1, batch: int = BATCH) -> Features:  # fmt: skip
    """The features of a test set, from where they are kept, else made and kept. -1 workers: as many as there are cores, none for few pictures.

    Raises ValueError when not one picture can be read.
    """
    identity: dict[str, Any] = {"params": {"model": model.digest, "seeing": model.seeing.text, "precision": model.precision},
                "inputs": [examples.digest]}  # fmt: skip
    key = artifact.address("features", VERSION, identity["params"], identity["inputs"])
    kept = artifact.find(out, "features", key)
    if kept is None:
        with artifact.making(out, "features", key) as folder:
            counts = _make(model, examples, folder, workers, batch)
            if not counts["read"]:
                raise ValueError(f"{examples.name}: not one of {len(examples)} pictures can be read; the first: {counts['first_error']}")  # fmt: skip
            kept = artifact.commit(out, "features", key, folder, identity=identity, counts=counts)
    vectors = np.load(kept.path("vectors.npy"), mmap_mode="r")
    pictures = pq.read_table(kept.path("pictures.parquet"))
    good = np.array([error is None for error in pictures["error"].to_pylist()], dtype=np.bool_)
    return Features(np.asarray(vectors), good, pictures)


def _make(model: Model, examples: Examples, folder: Path, workers: int, batch: int) -> dict[str, Any]:  # fmt: skip
    vectors = np.lib.format.open_memmap(
        folder / "vectors.npy", mode="w+", dtype=np.float32, shape=(len(examples), model.dim)
    )
    told: list[tuple[str | None, str | None, str | None]] = []
    for squares, said in _seen(examples, model.seeing, workers, batch):
        found = model.image_features(squares)
        finite: list[bool] = np.isfinite(found.sum(axis=1)).tolist()
        said = [(error or (None if fine else NOT_FINITE), *more) for (error, *more), fine in zip(said, finite, strict=True)]  # fmt: skip
        found[[error is not None for error, *_ in said]] = 0
        vectors[len(told) : len(told) + len(said)] = found
        told += said
    vectors.flush()
    columns = [examples.column("example"), *(list(part) for part in zip(*told, strict=True))]
    pq.write_table(pa.table(columns, schema=PICTURES), folder / "pictures.parquet")
    errors = [error for error, _, _ in told if error is not None]
    return {"pictures": len(told), "read": len(told) - len(errors), "first_error": errors[0] if errors else None}  # fmt: skip


def _seen(examples: Examples, seeing: Seeing, workers: int, batch: int) -> Iterator[tuple[torch.Tensor, list[Any]]]:  # fmt: skip
    """Squares (n, S, S, 3) uint8 and, of each, error, md5 and hash, batch by batch."""
    n = workers
    if workers < 0:  # new processes take seconds to start
        n = len(os.sched_getaffinity(0)) if len(examples) > FEW else 0
    parts = [range(i, min(i + batch, len(examples))) for i in range(0, len(examples), batch)]
    dataset = _Pictures(examples.source, seeing)
    loader = torch.utils.data.DataLoader(
        dataset, sampler=parts, batch_size=None, num_workers=min(n, len(parts)), collate_fn=_as_it_is,
        prefetch_factor=2 if n else None, multiprocessing_context=Spawning(pixels.MALLOC_ENV) if n else None,
        worker_init_fn=_ready,
    )  # fmt: skip
    yield from tqdm(
        loader,
        terminal.shown(terminal.line(examples.name)),
        unit="batch",
        leave=False,
        disable=None,
    )


class _Pictures(torch.utils.data.Dataset[Any]):
    """Decodes and resizes; lives in a worker."""

    def __init__(self, source: Source, seeing: Seeing) -> None:
        self._source, self._seeing = source, seeing

    def __getitem__(self, part: range) -> tuple[torch.Tensor, list[Any]]:
        squares, said = list[NDArray[np.uint8] | None](), list[Any]()
        for at in part:
            square, hashed, digest = None, None, None
            try:
                data = self._source.image(at)
                digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
                image = pixels.decode(data).image
                square, hashed = self._seeing.see(image), phash.of(image)
                error = None
            except (pixels.Undecodable, OSError) as reason:
                error = str(reason) or type(reason).__name__
            squares.append(square)
            said.append((error, digest, hashed))
        shape = next((s.shape for s in squares if s is not None), None)
        if shape is None:
            shape = self._seeing.see(Image.new("RGB", (8, 8))).shape
        made = [np.zeros(shape, dtype=np.uint8) if s is None else s for s in squares]
        return torch.from_numpy(np.stack(made)), said


def _as_it_is(part: Any) -> Any:
    return part


def _ready(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
