"""How good a picture is as a picture: sharpness, what stands out in it, and lost light.

Three plain measures without weights, published as they are; none drops anything unless the recipe sets a limit
(`verdict.min_sharpness`, `min_subject_contrast`, `max_clipped_share`), for what is blurred or faint depends on what was
photographed. How well they tell real empty and blurred pictures: benchmark `filters_accuracy`.

The subject is what a morphological top-hat leaves of a picture: darker, or more colourful, than everything around it
within a third of the side (F. Meyer, 1979). Sharpness compares the steepest detail with the contrast at the same place
(a blurred edge has the contrast of a sharp one and a fraction of its Laplacian).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

VERSION = 1
SIDE_PX = 144  # of the square that is searched for a subject
REACH_PX = 41  # what counts as around it
SHARP_SIDE_PX, TILE_PX = 720, 16
MIN_CONTRAST = 30.0  # grey levels: below it nothing counts as standing out
BLACK, WHITE = 4, 251  # grey levels at which light is lost
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Quality(NamedTuple):
    """`sharpness` 0 to about 2; `subject_contrast` in grey levels; `clipped_share` of the pixels, 0 to 1."""

    sharpness: float
    subject_contrast: float
    clipped_share: float


def quality(image: Image.Image) -> Quality:
    """The measures of an RGB picture."""
    small = _square(image)
    grey = np.asarray(small @ _GREY)
    clipped = float(((grey <= BLACK) | (grey >= WHITE)).mean())
    contrast = float(np.quantile(standing_out(small), 0.9995))
    return Quality(round(sharpness(image), 4), round(contrast, 2), round(clipped, 4))


def sharpness(image: Image.Image) -> float:
    """Mean Laplacian over contrast where contrast is highest: about 1 for a step, less the wider the edge.

    0 where there is nothing with an edge.
    """
    grey = image.convert("L")
    grey.thumbnail((SHARP_SIDE_PX, SHARP_SIDE_PX))
    y = np.asarray(grey, dtype=np.float32)
    if min(y.shape) < 2 * TILE_PX + 2:
        return 0.0
    inner = y[1:-1, 1:-1]
    steep = np.abs(4 * inner - y[:-2, 1:-1] - y[2:, 1:-1] - y[1:-1, :-2] - y[1:-1, 2:])
    tall, wide = (n // TILE_PX for n in inner.shape)

    def tiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
        cut = values[: tall * TILE_PX, : wide * TILE_PX]
        return cut.reshape(tall, TILE_PX, wide, TILE_PX).swapaxes(1, 2).reshape(tall * wide, -1)

    spread = np.ptp(tiles(inner), axis=1)
    chosen = spread >= max(float(np.quantile(spread, 0.97)), 8.0)
    if not chosen.any():
        return 0.0
    return float((tiles(steep).max(axis=1)[chosen] / (spread[chosen] + 4)).mean())


def standing_out(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey levels by which every pixel of a square (S, S, 3) is darker or more colourful than what is around it."""
    grey, colour = np.asarray(small @ _GREY), np.ptp(small, axis=2)
    size = (REACH_PX, REACH_PX)
    darker = ndimage.grey_closing(grey, size=size, mode="nearest") - grey
    brighter = colour - ndimage.grey_opening(colour, size=size, mode="nearest")
    return np.asarray(ndimage.gaussian_filter(np.maximum(darker, brighter), 0.6))


def subject(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of a square (S, S, 3) the subject in nine numbers: contrast, size, number of parts, place, whether it is cut off."""
    found = standing_out(small)
    top = float(np.quantile(found, 0.9995))
    mask = found > max(MIN_CONTRAST, 0.5 * top)
    labels, n = ndimage.label(mask)
    if not n:
        return np.array([np.log(1e-4), np.log(1e-4), 0, 0.7, 1, 0.7, 0, top / 40, 0], dtype=np.float32)  # fmt: skip
    sizes = np.bincount(labels.ravel())[1:]
    side = small.shape[0]
    ys, xs = np.nonzero(labels == sizes.argmax() + 1)
    is_cut = min(ys.min(), xs.min()) == 0 or max(ys.max(), xs.max()) == side - 1
    weight = found * mask
    at = np.arange(side) / side - 0.5
    middle = np.hypot(weight.sum(1) @ at, weight.sum(0) @ at) / weight.sum()
    inner = weight[side // 5 : -(side // 5), side // 5 : -(side // 5)].sum() / weight.sum()
    share = np.log(np.array([mask.mean(), sizes.max() / mask.size]) + 1e-4)
    place = np.hypot(ys.mean() / side - 0.5, xs.mean() / side - 0.5)
    return np.array([*share, np.log1p(n), place, float(is_cut), middle, inner, top / 40,
                     np.quantile(found, 0.995) / 40], dtype=np.float32)  # fmt: skip


def _square(image: Image.Image) -> NDArray[np.float32]:
    size = (SIDE_PX, SIDE_PX)
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), dtype=np.float32)
