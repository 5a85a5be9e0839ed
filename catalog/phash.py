"""Perceptual hash: 256 bits per picture, equal to `imagehash.phash(image, hash_size=16)`.

The picture is reduced to a 64 × 64 grey tile, transformed by a two-dimensional DCT (scipy.fftpack,
which gives imagehash's very bits on symmetric pictures too), and the 16 × 16 lowest frequencies are
compared with their median. A tile whose grey levels hardly spread has no hash: flat pictures would
match each other. Source of the method: N. Krawetz, "Looks like it", 2011; J. Buchner, ImageHash.

From the same tile come probe hashes: of the picture mirrored, of the picture cropped a little on
every side, and of what lies inside its border, where captions and credits stand. A copy that was
altered so has a probe of its original as its hash (or, for the border, the same probe); they cost a
few matrix products of the tile, no second look at the picture.
"""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image

from catalog.tile import TILE_SIDE, tile

HASH_SIDE = 16
HASH_BYTES = HASH_SIDE**2 // 8
MIN_SPREAD = 2.0  # grey levels; below this a picture is flat
CROPS = (0.01, 0.02, 0.032, 0.045)  # of a side, cut from each of the four; 15 bits reach ±0.8 %
BORDER = 0.10  # of a side, around the inner picture
PROBES = ("mirror", *(f"crop_{1000 * c:03.0f}" for c in CROPS), "border")
"""Kinds of probe in the order they are stored: mirror, crop_010 … (per mille), border."""


def hashes(tiles: np.ndarray) -> np.ndarray:
    """Hashes of tiles of shape (n, 64, 64), as bytes: uint8 of shape (n, 32)."""
    return _bits(_low(tiles))


def of(image: Image.Image) -> str | None:
    """The hash of one RGB or L picture, 64 hex digits as `str(imagehash.phash(image, 16))`; None of a flat one."""
    grey = tile(image)
    return hashes(grey[None])[0].tobytes().hex() if grey.std() >= MIN_SPREAD else None


def probes(tiles: np.ndarray) -> np.ndarray:
    """Probe hashes of tiles of shape (n, 64, 64): uint8 of shape (n, len(PROBES), 32).

    Zeros for the border of a picture whose inside is flat.
    """
    odd_columns = np.where(np.arange(HASH_SIDE) % 2, -1.0, 1.0)  # a mirror turns their sign
    found = [_bits(_low(tiles) * odd_columns)]
    for share in (*CROPS, BORDER):
        to_low = _dct() @ _cut(share)
        found.append(_bits(to_low @ tiles @ to_low.T))
    edge = round(BORDER * TILE_SIDE)
    inner = tiles[:, edge:-edge, edge:-edge]
    found[-1][inner.std(axis=(1, 2)) < MIN_SPREAD] = 0
    return np.stack(found, axis=1)


def _low(tiles: np.ndarray) -> np.ndarray:
    from scipy import fftpack  # slow to load, and only makers of hashes need it

    dct = fftpack.dct(fftpack.dct(tiles, axis=1), axis=2)
    return np.asarray(dct[:, :HASH_SIDE, :HASH_SIDE])


def _bits(low: np.ndarray) -> np.ndarray:
    flat = low.reshape(len(low), -1)
    return np.packbits(flat > np.median(flat, axis=1, keepdims=True), axis=1)


@functools.cache
def _dct() -> np.ndarray:
    """The lowest frequencies of the DCT-II as a matrix, shape (16, 64)."""
    waves = np.arange(HASH_SIDE)[:, None] * (2 * np.arange(TILE_SIDE)[None, :] + 1)
    return np.asarray(2 * np.cos(np.pi * waves / (2 * TILE_SIDE)))


@functools.cache
def _cut(share: float) -> np.ndarray:
    """Matrix (64, 64) that stretches a side without `share` of it at either end to the whole side.

    Cubic interpolation (R. Keys, IEEE Trans. ASSP 29, 1981, a = -1/2).
    """
    made = np.zeros((TILE_SIDE, TILE_SIDE))
    for out in range(TILE_SIDE):
        at = TILE_SIDE * share + (out + 0.5) * (1 - 2 * share) - 0.5
        for tap in range(int(at) - 1, int(at) + 3):
            made[out, min(max(tap, 0), TILE_SIDE - 1)] += _cubic(abs(at - tap))
    return made


def _cubic(x: float) -> float:
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0
