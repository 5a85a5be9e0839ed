"""Perceptual hash: 256 bits per picture, equal to `imagehash.phash(image, hash_size=16)`.

The picture is reduced to a 64 × 64 grey tile, transformed by a two-dimensional DCT (scipy.fftpack,
which gives imagehash's very bits on symmetric pictures too), and the 16 × 16 lowest frequencies are
compared with their median. A tile whose grey levels hardly spread has no hash: flat pictures would
match each other. Source of the method: N. Krawetz, "Looks like it", 2011; J. Buchner, ImageHash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from PIL import Image

from catalog import pixels, schema

HASH_SIDE, TILE_SIDE = 16, 64
MIN_SPREAD = 2.0  # grey levels; below this a picture is flat

Content = tuple[str, str | None]
"""(md5 of the bytes, crop or None)."""


def tile(image: Image.Image) -> np.ndarray:
    """The grey tile behind the hash, float64 of shape (64, 64)."""
    size = (TILE_SIDE, TILE_SIDE)
    return np.asarray(image.convert("L").resize(size, Image.Resampling.LANCZOS), dtype=np.float64)


def hashes(tiles: np.ndarray) -> list[str]:
    """Hex hashes (64 characters) of tiles of shape (n, 64, 64)."""
    from scipy import fftpack  # slow to load, and only makers of hashes need it

    dct = fftpack.dct(fftpack.dct(tiles, axis=1), axis=2)
    low = dct[:, :HASH_SIDE, :HASH_SIDE].reshape(len(tiles), -1)
    bits = low > np.median(low, axis=1, keepdims=True)
    return [row.tobytes().hex() for row in np.packbits(bits, axis=1)]


def phash(
    contents: Iterable[Content], read: Callable[[str], bytes], *, max_pixels: int
) -> pa.Table:
    """Hash pictures; one row of schema.PHASH each, with the reason where there is no hash."""
    judged = [_row(md5, crop, read, max_pixels) for md5, crop in contents]
    tiles = [grey for _, grey in judged if grey is not None]
    found = iter(hashes(np.stack(tiles))) if tiles else iter(())
    rows = [{**row, "phash": next(found) if grey is not None else None} for row, grey in judged]
    return pa.Table.from_pylist(rows, schema=schema.PHASH.schema)


def _row(
    md5: str, crop: str | None, read: Callable[[str], bytes], max_pixels: int
) -> tuple[dict[str, object], np.ndarray | None]:
    """The row of one picture without its hash, and the tile to hash (None: failed or flat)."""
    row: dict[str, object] = {"md5": md5, "crop": crop, "error": None}
    try:
        image = pixels.decode(read(md5), crop, max_pixels=max_pixels).image
    except FileNotFoundError as error:
        raise ValueError(f"the bytes of {md5} are gone ({error}); run the build again") from error
    except pixels.Undecodable as error:
        return {**row, "error": str(error)}, None
    grey = tile(image)
    spread = float(grey.std())
    size = f"{image.width}x{image.height}:".encode()
    row |= {
        "phash_quality": round(spread, 4),
        "pixel_md5": hashlib.md5(size + image.tobytes()).hexdigest(),
        "original_width": image.width,
        "original_height": image.height,
    }
    return row, grey if spread >= MIN_SPREAD else None
