"""Faces of people in pictures of organisms: found, so that they can be left out or blurred.

Two detectors of OpenCV (Apache-2.0): `haar`, the cascade that installs with it (P. Viola and M. Jones, CVPR 2001; frontal faces of
24 px and more), and YuNet (W. Wu, H. Peng and S. Yu, 2023; MIT) from a file of weights that the recipe pins. A picture is
scaled as a whole, never squashed, and its score is that of its best box: the original squashed pictures to a square and
averaged the boxes, so that one weak box beside a sure one hid a face.

What looks like a face to both: owls, cats, primates above all, dolls, statues, the undersides of rays, some orchids. Neither
knows who or what it is; profiles, masks and small faces escape. How often organisms are taken for people: benchmark `filters_accuracy`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from curation.images.camera_trap import Boxes
from curation.images.embedding import EXTRA
from curation.images.weights import why

HAAR = "haar"
VERSION = 1
SIDE_PX, MIN_FACE_PX, HALF_VOTES = 640, 24, 10  # as searched; votes at which a score is one half
MIN_SCORE, MARGIN = 0.2, 0.25
MAX_PROPOSALS = 5000  # before overlapping ones are suppressed: a crowd has thousands
CASCADE = "frontalface_alt"


class HaarDetector:
    """The cascade that installs with OpenCV. A score is v / (v + 10) of v overlapping hits."""

    def __init__(self, cascade: str = CASCADE) -> None:
        self._cv2 = _cv2("faces.detector = 'haar'")
        file = Path(self._cv2.data.haarcascades) / f"haarcascade_{cascade}.xml"
        self._cascade = self._cv2.CascadeClassifier(str(file))
        if self._cascade.empty():
            raise ValueError(f"faces.detector: this OpenCV brings no {file.name}; install opencv-python-headless<5")  # fmt: skip

    def detect(self, batch: Sequence[Image.Image]) -> list[Boxes]:
        """Boxes and scores of faces."""
        found = []
        for image in batch:
            grey = np.asarray(_small(image.convert("L")))
            boxes, votes = self._cascade.detectMultiScale2(
                self._cv2.equalizeHist(grey), 1.1, 4, minSize=(MIN_FACE_PX, MIN_FACE_PX)
            )
            n = np.asarray(votes, dtype=np.float32).reshape(-1)
            found.append(_boxes(boxes, n / (n + HALF_VOTES), grey.shape))
        return found


class YuNetDetector:
    """YuNet from its ONNX file."""

    def __init__(self, data: bytes, key: str) -> None:
        self._cv2, self._data, self._key = _cv2(key), np.frombuffer(data, dtype=np.uint8), key
        try:
            self._net = self._cv2.FaceDetectorYN.create(
                "onnx", self._data, np.empty(0, np.uint8), (320, 320), MIN_SCORE, 0.3, MAX_PROPOSALS
            )
            self.detect([Image.new("RGB", (64, 48))])
        except (self._cv2.error, ValueError) as error:
            raise ValueError(f"{key} is no YuNet model ({why(error)}); use face_detection_yunet of OpenCV's model zoo, or 'haar'") from error  # fmt: skip

    def detect(self, batch: Sequence[Image.Image]) -> list[Boxes]:
        """Boxes and scores of faces."""
        found = []
        for image in batch:
            bgr = np.ascontiguousarray(np.asarray(_small(image.convert("RGB")))[..., ::-1])
            self._net.setInputSize((bgr.shape[1], bgr.shape[0]))
            _, rows = self._net.detect(bgr)
            rows = np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows)
            found.append(_boxes(rows[:, :4], rows[:, 14], bgr.shape[:2]))
        return found


def opened(detector: str, data: bytes) -> HaarDetector | YuNetDetector:
    """The detector that a recipe names; `data` are YuNet's weights. Raises ValueError for one that cannot be had."""
    return HaarDetector() if detector == HAAR else YuNetDetector(data, f"faces.detector = {detector!r}")  # fmt: skip


def as_text(found: Boxes) -> str | None:
    """Boxes as the score table keeps them: JSON of [x0, y0, x1, y1, score], best first; None without any."""
    if not len(found.scores):
        return None
    order = np.argsort(-found.scores, kind="stable")
    rows = [[round(float(v), 4) for v in (*found.boxes[i], found.scores[i])] for i in order]
    return json.dumps(rows)


def blurred(data: bytes, boxes: str, least: float, quality: int) -> bytes:
    """A JPEG with the faces in `boxes` (as `as_text` writes them) whose score is `least` or more blurred out.

    A box grows by a quarter; what is in it is averaged to a few blocks and smoothed, which leaves nothing to sharpen.
    """
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as opened_:
        exif = opened_.info.get("exif", b"")
        image = opened_.convert("RGB")
    for x0, y0, x1, y1, score in json.loads(boxes):
        if score < least:
            continue
        dx, dy = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
        shares = ((x0 - dx) * image.width, (y0 - dy) * image.height, (x1 + dx) * image.width, (y1 + dy) * image.height)  # fmt: skip
        left, top, right, bottom = (round(v) for v in shares)
        box = (max(0, left), max(0, top), min(image.width, right), min(image.height, bottom))
        if box[2] - box[0] < 2 or box[3] - box[1] < 2:
            continue
        part = image.crop(box)
        blocks = part.resize((5, 5), Image.Resampling.BOX).resize(part.size, Image.Resampling.BICUBIC)  # fmt: skip
        image.paste(blocks.filter(ImageFilter.GaussianBlur(max(part.size) / 12)), box)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=0 if quality >= 95 else 2, exif=exif)
    return out.getvalue()


def _small(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    return image


def _boxes(boxes: Any, scores: NDArray[np.float32], shape: tuple[int, ...]) -> Boxes:
    """x, y, width, height in pixels to shares of the sides."""
    given = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    keep = np.isfinite(given).all(axis=1) & (scores >= MIN_SCORE)
    given, size = given[keep], np.array([shape[1], shape[0]] * 2, dtype=np.float32)
    corners = np.column_stack([given[:, :2], given[:, :2] + given[:, 2:]]) / size
    return Boxes(corners.clip(0, 1), scores[keep].clip(0, 1))


def _cv2(key: str) -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ValueError(f"{key} {EXTRA}") from error
    cv2.setNumThreads(1)
    return cv2
