"""Pictures as vectors: any open_clip model, or colours, texture and subject of the picture, which take no weights.

`model` of a recipe is `pixels`, or a folder or `hf://ORG/NAME[@REVISION]` as open_clip writes it (open_clip_config.json and one
safetensors file). What the picture goes through is the model's own preprocessing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from curation.images import quality
from curation.images.weights import why

PIXELS = "pixels"
VERSION = 1
EXTRA = "needs the extra: pip install -c constraints.txt -e '.[scoring]'"
_GRID, _SIDE_PX, _N_ANGLES = 4, 96, 8


@dataclass(frozen=True)
class Encoder:
    """A model at hand: `see` makes of an RGB picture what `encode` takes a list of.

    `encode` gives unit vectors (n, D) float32; `words` the same for texts, where the model reads.
    """

    see: Callable[[Image.Image], Any]
    encode: Callable[[Sequence[Any]], NDArray[np.float32]]
    words: Callable[[Sequence[str]], NDArray[np.float32]] | None = None


def opened(model: str, place: Path | None, n_threads: int = 0, device: str = "") -> Encoder:
    """The encoder of a model; `place` is its folder. `n_threads` 0 leaves torch's own.

    Raises ValueError for a folder that is no open_clip model, and where torch is not installed.
    """
    if model == PIXELS:
        return Encoder(_descriptor, lambda seen: unit(np.stack(seen)))
    assert place is not None
    try:
        import open_clip
        import torch
    except ImportError as error:
        raise ValueError(f"museum.model = {model!r} {EXTRA}") from error
    if n_threads:
        torch.set_num_threads(n_threads)
    if not (place / "open_clip_config.json").is_file():
        raise ValueError(f"museum.model: {place} has no open_clip_config.json; name a folder as open_clip writes it")  # fmt: skip
    try:
        with _quietly():
            net, _, transform = open_clip.create_model_and_transforms(
                f"local-dir:{place}", precision="fp32", weights_only=True, device=device or "cpu"
            )
            tokenizer = open_clip.get_tokenizer(f"local-dir:{place}")
    except Exception as error:  # open_clip raises anything at a config or tensors that do not fit
        raise ValueError(
            f"museum.model: {place} cannot be opened by open_clip ({why(error)})"
        ) from error
    net.eval().requires_grad_(False)
    shape, numbers = _halves(transform)
    mean, std = (torch.tensor(v, device=device or "cpu").view(1, 3, 1, 1) for v in numbers)

    def encode(seen: Sequence[Any]) -> NDArray[np.float32]:
        squares = torch.from_numpy(np.stack(seen)).to(mean.device, non_blocking=True)
        planes = squares.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
        with (
            torch.inference_mode(),
            torch.autocast(mean.device.type, torch.bfloat16, enabled=mean.is_cuda),
        ):
            return unit(net.encode_image(planes).float().cpu().numpy())  # fmt: skip

    def words(texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return unit(net.encode_text(tokenizer(list(texts)).to(mean.device)).float().cpu().numpy())  # fmt: skip

    return Encoder(lambda image: np.asarray(shape(image).convert("RGB"), dtype=np.uint8), encode, words)  # fmt: skip


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Vectors (n, D) scaled to length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _halves(transform: Any) -> tuple[Callable[[Image.Image], Image.Image], tuple[Any, Any]]:
    """A preprocessing cut in two: what is done to the picture, and mean and deviation of its numbers."""
    import torchvision.transforms as T

    steps = list(transform.transforms)
    at = next(i for i, step in enumerate(steps) if isinstance(step, T.ToTensor))
    normal = next(step for step in steps[at:] if isinstance(step, T.Normalize))
    return T.Compose(steps[:at]), (normal.mean, normal.std)


@contextlib.contextmanager
def _quietly() -> Any:
    import logging
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _descriptor(image: Image.Image) -> NDArray[np.float32]:
    """Colours on a grid, edges by angle, detail by scale, histograms, and the subject: one vector."""
    rgb = image.convert("RGB")
    small = rgb.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)
    a = np.asarray(small, dtype=np.float32) / 255
    grey = np.asarray(a @ np.array([0.299, 0.587, 0.114], dtype=np.float32))
    planes = np.stack([grey, a[..., 2] - grey, a[..., 0] - grey], axis=-1)
    colour, step = np.ptp(a, axis=2), _SIDE_PX // _GRID
    cells = planes.reshape(_GRID, step, _GRID, step, 3)
    found = [2 * cells.mean((1, 3)).ravel(), 4 * cells.std((1, 3)).ravel(), _angles(grey)]
    for scale in (1, 2, 4):
        detail = np.abs(grey - ndimage.gaussian_filter(grey, scale))
        found.append(np.log1p(40 * detail.reshape(_GRID, step, _GRID, step).mean((1, 3))).ravel())
    for values, n in ((grey, 12), (colour, 8)):
        found.append(np.sqrt(np.histogram(values, n, (0, 1))[0] / values.size))
    side = (quality.SIDE_PX, quality.SIDE_PX)
    square = np.asarray(rgb.resize(side, Image.Resampling.BOX), dtype=np.float32)
    found += [quality.subject(square), np.array([quality.sharpness(rgb)])]
    return np.concatenate(found).astype(np.float32)


def _angles(grey: NDArray[Any]) -> NDArray[np.float32]:
    dy, dx = np.gradient(grey)
    strength = np.hypot(dx, dy)
    angle = ((np.arctan2(dy, dx) % np.pi) / np.pi * _N_ANGLES).astype(int) % _N_ANGLES
    half = _SIDE_PX // 2
    counted = [
        np.bincount(angle[y : y + half, x : x + half].ravel(), strength[y : y + half, x : x + half].ravel(), _N_ANGLES)
        for y in (0, half) for x in (0, half)
    ]  # fmt: skip
    return np.asarray(np.log1p(20 * np.concatenate(counted) / half**2))


@functools.cache
def devices() -> tuple[str, ...]:
    """The GPUs that this process may use, as torch names them; () where there are none, or no torch."""
    try:
        import torch
    except ImportError:
        return ()
    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
