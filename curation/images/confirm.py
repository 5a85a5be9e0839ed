"""Two pictures whose hashes only suggest that one was made from the other: look at their pixels.

Both thumbnails become 96 × 96 greys; the alteration that the probe stood for is made to the first;
what is finer than a sixth of a block is compared block by block, each block wherever it fits best
within 3 px (a crop moves things a little). The score is the share of blocks with something to see in
them that agree: a caption costs the blocks it covers, another picture nearly all.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

SIDE, BLOCK, REACH = 96, 12, 3
MIN_CORRELATION = 0.6  # of a block with itself after the alteration
MIN_DETAIL = 1.5  # grey levels of detail that make a block worth looking at
MIN_BLOCKS = 12
MIN_SCORE = 0.7


class Pair(NamedTuple):
    """Two thumbnails and the kind of alteration the first may have undergone to give the second."""

    kind: str
    one: bytes
    other: bytes


def score(pair: Pair) -> float:
    """Share of blocks that agree, 0 to 1; 0 where there is too little to see."""
    return _agreement(_grey(pair.one, pair.kind), _grey(pair.other, "same"))


def _grey(thumbnail: bytes, kind: str) -> np.ndarray:
    image = Image.open(io.BytesIO(thumbnail), formats=("JPEG",)).convert("L")
    share = int(kind.removeprefix("crop_")) / 1000 if kind.startswith("crop_") else 0.0
    width, height = image.size
    box = (width * share, height * share, width * (1 - share), height * (1 - share))
    image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
    values = np.asarray(image, dtype=np.float32)
    return values[:, ::-1] if kind == "mirror" else values


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    one, other = (v - ndimage.gaussian_filter(v, BLOCK / 3) for v in (one, other))
    ours = _blocks(one)
    detail = np.maximum(ours.std(axis=1), _blocks(other).std(axis=1))
    seen = detail >= MIN_DETAIL
    if seen.sum() < MIN_BLOCKS:
        return 0.0
    ours = _normal(ours[seen])
    padded = np.pad(other, REACH, mode="edge")
    best = np.full(int(seen.sum()), -1.0)
    for dy in range(2 * REACH + 1):
        for dx in range(2 * REACH + 1):
            moved = _normal(_blocks(padded[dy : dy + SIDE, dx : dx + SIDE])[seen])
            np.maximum(best, (ours * moved).sum(axis=1), out=best)
    return float((best >= MIN_CORRELATION).mean())


def _blocks(values: np.ndarray) -> np.ndarray:
    n = SIDE // BLOCK
    return values.reshape(n, BLOCK, n, BLOCK).swapaxes(1, 2).reshape(n * n, BLOCK * BLOCK)


def _normal(blocks: np.ndarray) -> np.ndarray:
    centred = blocks - blocks.mean(axis=1, keepdims=True)
    return np.asarray(centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-6))
