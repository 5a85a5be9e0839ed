"""The 64 × 64 grey tile behind a hash: Pillow's very resize, as two small matrix products.

`imagehash.phash` reduces a grey picture by `resize((64, 64), LANCZOS)`, one scalar multiplication at
a time. The same arithmetic (22-bit integer weights, rounded and clipped to 8 bits after each of the
two passes) is exact as a matrix product of floats once the weights are cut into an upper and a lower
half. Which pass comes first depends on the shape and on Pillow's version; `_order` asks the installed
Pillow by trial, once a process, and where no order gives its very bytes Pillow itself makes the tile.

Sources: the Lanczos kernel of C. E. Duchon, J. Appl. Meteorol. 18 (1979); Pillow's resampling, as
its own results show it.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image

TILE_SIDE = 64
_WEIGHT_BITS, _LOBES = 22, 3
_COLUMNS = 4  # of the tile made by one product: of 4, 8, 16 and 32 the fastest
_ONE = float(1 << _WEIGHT_BITS)
_HALF = 512.0  # a weight is upper * 512 + lower, |lower| at most 256
_MAX_SINGLE = 2_700  # inputs: up to here sums of lower * 255 over a column's taps stay below 2^24


def tile(image: Image.Image) -> np.ndarray:
    """The grey tile of an RGB or L picture: float64 of shape (64, 64), values 0 to 255."""
    grey = image if image.mode == "L" else image.convert("L")
    order = _order(2 * grey.width - TILE_SIDE < grey.height)
    if order is None or min(grey.size) < TILE_SIDE:
        return _by_pillow(grey)
    return _reduced(np.asarray(grey), order)


def _by_pillow(grey: Image.Image) -> np.ndarray:
    size = (TILE_SIDE, TILE_SIDE)
    return np.asarray(grey.resize(size, Image.Resampling.LANCZOS), dtype=np.float64)


def _reduced(grey: np.ndarray, order: str) -> np.ndarray:
    """The tile of a grey array (h, w), its rows ("rows") or its columns ("columns") shrunk first."""
    if order == "columns":
        return np.ascontiguousarray(_pass(_pass(grey.T)).T)
    return _pass(_pass(grey))


def _pass(values: np.ndarray) -> np.ndarray:
    """Every row of (n, width) shrunk to 64 values, rounded and clipped as 8-bit greys are: (64, n)."""
    blocks = _weights(values.shape[1])
    values = np.ascontiguousarray(values, dtype=blocks[0][2].dtype)
    halves = np.empty((len(blocks), 2 * _COLUMNS, len(values)), dtype=values.dtype)
    for made, (low, high, weights) in zip(halves, blocks, strict=True):
        np.matmul(weights, values[:, low:high].T, out=made)
    whole = halves[:, :_COLUMNS].astype(np.float64)
    whole *= _HALF
    whole += halves[:, _COLUMNS:]
    whole += _ONE / 2
    whole *= 1 / _ONE
    np.floor(whole, out=whole)
    np.clip(whole, 0, 255, out=whole)
    return whole.reshape(TILE_SIDE, len(values))


@functools.lru_cache(maxsize=512)
def _weights(n_in: int) -> tuple[tuple[int, int, np.ndarray], ...]:
    """Per block of columns of the tile: the inputs it reads, and its weights, upper and lower halves."""
    scale = n_in / TILE_SIDE
    reach = _LOBES * max(scale, 1.0)
    dense, spans = np.zeros((n_in, TILE_SIDE)), []
    for column in range(TILE_SIDE):
        centre = (column + 0.5) * scale
        low, high = max(0, int(centre - reach + 0.5)), min(n_in, int(centre + reach + 0.5))
        raw = [_lanczos((x - centre + 0.5) / max(scale, 1.0)) for x in range(low, high)]
        total = 0.0
        for value in raw:  # in this order: the sum's last bits decide a weight's rounding
            total += value
        dense[low:high, column] = [_integer(value / total) for value in raw]
        spans.append((low, high))
    blocks = []
    for start in range(0, TILE_SIDE, _COLUMNS):
        low, high = spans[start][0], spans[start + _COLUMNS - 1][1]
        weights = dense[low:high, start : start + _COLUMNS]
        upper = np.round(weights / _HALF)
        kind = np.float32 if n_in <= _MAX_SINGLE else np.float64
        both = np.concatenate([upper, weights - upper * _HALF], axis=1).T.astype(kind, order="C")
        blocks.append((low, high, both))
    return tuple(blocks)


def _integer(weight: float) -> int:
    return int(weight * _ONE + (0.5 if weight >= 0 else -0.5))


def _lanczos(x: float) -> float:
    if not -_LOBES <= x < _LOBES:
        return 0.0
    return _sinc(x) * _sinc(x / _LOBES)


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


@functools.cache
def _order(tall: bool) -> str | None:
    """Which pass the installed Pillow makes first for such shapes; None when neither is its own."""
    sizes = ((80, 97), (201, 402), (333, 640)) if tall else ((80, 96), (402, 201), (250, 340))
    rng = np.random.default_rng(1)
    pictures = [rng.choice(np.array([0, 255], np.uint8), (h, w)) for w, h in sizes]
    wanted = [_by_pillow(Image.fromarray(grey)) for grey in pictures]
    for order in ("rows", "columns"):
        if all(
            np.array_equal(_reduced(g, order), t) for g, t in zip(pictures, wanted, strict=True)
        ):
            return order
    return None
