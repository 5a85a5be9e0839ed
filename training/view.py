"""How the model sees a picture: a square cut out of what was decoded, no larger than it must be."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from catalog import pixels


@dataclass(frozen=True)
class View:
    """How a picture becomes a square of `side_px`.

    `squash` takes the whole picture, whatever its proportions, as the original did; `shortest` a square as large as
    the picture's short side. In training a part of `scale` of that area, of proportions up to `ratio`, is cut out at
    random (as RandomResizedCrop of torchvision does); otherwise all of it. Bicubic, antialiased, on uint8. A JPEG is
    decoded at the smallest of libjpeg's sizes that is not smaller than the square, unless `full_decode`.
    """

    side_px: int
    resize: str = "squash"
    scale: tuple[float, ...] = (0.9, 1.0)
    ratio: tuple[float, ...] = (0.75, 4 / 3)
    flip: bool = False
    full_decode: bool = False

    def box(self, width: int, height: int, draw: random.Random | None) -> tuple[float, ...]:
        """Left, top, right, bottom as shares of the picture; without `draw`, the middle."""
        w = h = 1.0
        if self.resize == "shortest":
            w, h = min(1.0, height / width), min(1.0, width / height)
        x, y = ((1 - w) / 2, (1 - h) / 2) if draw is None else (draw.random() * (1 - w), draw.random() * (1 - h))  # fmt: skip
        if draw is None:
            return x, y, x + w, y + h
        for _ in range(10):
            area = draw.uniform(self.scale[0], self.scale[1])
            shape = math.exp(draw.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            cut_w, cut_h = math.sqrt(area * shape), math.sqrt(area / shape)
            if cut_w <= 1 and cut_h <= 1:
                left, top = draw.random() * (1 - cut_w), draw.random() * (1 - cut_h)
                return x + w * left, y + h * top, x + w * (left + cut_w), y + h * (top + cut_h)
        return x, y, x + w, y + h

    def see(self, data: bytes, draw: random.Random | None = None) -> torch.Tensor:
        """The square, (3, side_px, side_px) uint8, its channels innermost. Raises pixels.Undecodable."""
        image, box = self._decoded(data, draw)
        height, width = image.shape[:2]
        left, right = (round(edge * width) for edge in (box[0], box[2]))
        top, bottom = (round(edge * height) for edge in (box[1], box[3]))
        cut = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        planes = torch.from_numpy(cut)[None].permute(0, 3, 1, 2)  # torch takes it as it lies
        made = F.interpolate(planes, size=(self.side_px, self.side_px), mode="bicubic", antialias=True)[0]  # fmt: skip
        return made.flip(-1) if draw is not None and self.flip and draw.random() < 0.5 else made

    def _decoded(self, data: bytes, draw: random.Random | None) -> tuple[NDArray[np.uint8], tuple[float, ...]]:  # fmt: skip
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
            if height * width > pixels.MAX_PIXELS:
                raise pixels.Undecodable("too_many_pixels")
            box = self.box(width, height, draw)
            least = {} if self.full_decode else {
                "min_width": math.ceil(self.side_px / (box[2] - box[0])),
                "min_height": math.ceil(self.side_px / (box[3] - box[1]))}  # fmt: skip
            found: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", **least)
        except ValueError:  # no JPEG, or one that this decoder will not have
            image = np.asarray(pixels.decode(data).image)
            found, box = image.copy(), self.box(image.shape[1], image.shape[0], draw)
        return found, box
