"""Empty camera-trap frames: a detector of animals, or how a frame differs from the others of its deployment.

`OnnxDetector` runs weights of MegaDetector's class in ONNX form, as exported from YOLOv5 (MegaDetector 5), YOLOv8 to v12,
or YOLOv10 and whatever else ends in rows of box, score and class (MegaDetector 6). Weights are the user's own and have
licences of their own: MegaDetector's code is MIT, weights trained with Ultralytics' tools may be AGPL-3.0. Memory of a batch
is fixed: one frame at a time at the size the model asks for, letterboxed, never squashed.

`differences` needs no weights. It takes the median of a deployment's other events for what the camera always sees. An animal
that always sits in the same place is part of that, and grass in the wind is not: it is a baseline, and a deployment of one
event gets no score.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from curation.images.embedding import EXTRA
from curation.images.weights import why

BACKGROUND = "background"
VERSION = 1
MIN_SCORE, MAX_OVERLAP, DEFAULT_SIDE_PX = 0.05, 0.45, 640
MEGADETECTOR = ("animal", "person", "vehicle")
FRAME_WIDTH_PX, SWAY_PX = 160, 2  # frames as compared; what a camera moves
STRIP = 0.07  # of the height: bars with date and heat
HALF_GREY = 12.0  # grey levels of change at which the score is one half
_EXTERNAL = b"\x0a\x08location"  # the key of ONNX's external data, as protobuf writes it
MAX_BURST = 60  # frames compared with each other


class Boxes(NamedTuple):
    """What a detector found in one picture: boxes (n, 4) x0, y0, x1, y1 as shares of its sides; scores (n,) 0 to 1."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def best(self) -> float:
        """The largest score; 0 where nothing was found."""
        return float(self.scores.max(initial=0.0))


class Detector(Protocol):
    """The seam: whatever finds things in pictures."""

    def detect(self, batch: Sequence[Image.Image]) -> list[Boxes]:
        """Boxes and scores of RGB pictures, in their order."""


class OnnxDetector:
    """A detector of animals in ONNX form. Raises ValueError, with what to do, for a file that is none."""

    def __init__(
        self, data: bytes, key: str, classes: Sequence[str] = (), wanted: str = "animal", n_threads: int = 0,
        device: str = "",
    ) -> None:  # fmt: skip
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError(f"{key} {EXTRA}") from error
        self._key, self._wanted = key, wanted
        how = onnxruntime.SessionOptions()
        how.intra_op_num_threads, how.log_severity_level = n_threads, 3
        if _EXTERNAL in data:  # such a file may name any other, which nobody has hashed
            raise ValueError(
                f"{key}: the model keeps weights in other files; export it as one file"
            )
        providers: list[Any] = ["CPUExecutionProvider"]
        if device and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(
                0, ("CUDAExecutionProvider", {"device_id": int(device.partition(":")[2] or 0)})
            )
        try:  # from bytes, so that it is what was hashed
            self._session = onnxruntime.InferenceSession(data, how, providers=providers)
            self._input, self._side = self._input_of(self._session)
            self._classes = tuple(classes) or _named(self._session) or MEGADETECTOR
            if wanted not in self._classes:
                raise ValueError(f"{key}: the model's classes are {', '.join(self._classes)}, and none is {wanted!r}; state them as camera_trap.classes")  # fmt: skip
            self.detect([Image.new("RGB", (64, 48))])
        except ValueError:
            raise
        except Exception as error:  # onnxruntime has a dozen kinds of its own
            raise ValueError(f"{key} is no ONNX model that can be run ({why(error)}); export the detector to ONNX as one file, for one picture at a time") from error  # fmt: skip

    def _input_of(self, session: Any) -> tuple[Any, tuple[int, int]]:
        (first, *more) = session.get_inputs()
        shape = first.shape
        if more or len(shape) != 4 or shape[1] != 3 or "float" not in first.type:
            told = "; ".join(f"{i.name} {i.type} {i.shape}" for i in session.get_inputs())
            raise ValueError(f"{self._key}: a detector takes one input of float pictures (n, 3, height, width), this takes {told}")  # fmt: skip
        sides = [v if isinstance(v, int) and v > 0 else DEFAULT_SIDE_PX for v in shape[2:]]
        return first, (sides[0], sides[1])

    def detect(self, batch: Sequence[Image.Image]) -> list[Boxes]:
        """Boxes and scores of the wanted class."""
        return [self._one(image) for image in batch]

    def _one(self, image: Image.Image) -> Boxes:
        planes, scale, corner = letterboxed(image, self._side)
        kind = np.float16 if "float16" in self._input.type else np.float32
        found = self._session.run(None, {self._input.name: planes[None].astype(kind)})
        rows = self._rows([np.asarray(v, dtype=np.float32) for v in found])
        rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 4] >= MIN_SCORE)]
        size = np.array([image.width, image.height] * 2, dtype=np.float32)
        boxes = ((rows[:, :4] - np.tile(corner, 2)) / scale / size).clip(0, 1)
        kept = suppressed(boxes, rows[:, 4])
        return Boxes(boxes[kept], rows[kept, 4].clip(0, 1))

    def _rows(self, outputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """x0, y0, x1, y1 in pixels of the input, and score, of the wanted class: (n, 5)."""
        n, at = len(self._classes), self._classes.index(self._wanted)
        table = next((o[0] for o in outputs if o.ndim == 3 and o.shape[0] == 1), None)
        if table is not None:
            tall, wide = table.shape
            # box, score, class: the end of YOLOv10 and of exports with suppression
            if wide == 6 and tall <= 1000:
                return np.asarray(table[table[:, 5].round() == at][:, :5])
            # YOLOv5: middle, size, objectness, classes
            if wide == 5 + n:
                return np.column_stack([_corners(table[:, :4]), table[:, 4] * table[:, 5 + at]])
            # YOLOv8 and later: the same without objectness, lying
            if tall == 4 + n and wide > tall:
                return np.column_stack([_corners(table[:4].T), table[4 + at]])
        told = "; ".join(f"{o.name} {tuple(v.shape)}" for o, v in zip(self._session.get_outputs(), outputs, strict=True))  # fmt: skip
        raise ValueError(
            f"{self._key}: no output is a table of boxes of {n} classes ({', '.join(self._classes)}): it gives {told}, where "
            f"(1, n, 6), (1, n, {5 + n}) or (1, {4 + n}, n) is needed; export a detection model, or state its classes as camera_trap.classes"
        )


def letterboxed(
    image: Image.Image, side: tuple[int, int]
) -> tuple[NDArray[np.float32], float, NDArray[np.float32]]:
    """An RGB picture inside (3, height, width) of floats 0 to 1, without squashing: also its scale, and its corner x, y."""
    tall, wide = side
    scale = min(tall / image.height, wide / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    corner = ((wide - size[0]) // 2, (tall - size[1]) // 2)
    sheet = Image.new("RGB", (wide, tall), (114, 114, 114))
    sheet.paste(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), corner)
    planes = np.asarray(sheet, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
    return planes, scale, np.array(corner, dtype=np.float32)


def suppressed(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which boxes stay when of those that overlap by more than MAX_OVERLAP the best does: greedy suppression."""
    order, kept = np.argsort(-scores, kind="stable"), list[int]()
    area = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[rest, :2], boxes[best, :2]), np.minimum(boxes[rest, 2:], boxes[best, 2:])  # fmt: skip
        both = (high - low).clip(0).prod(axis=1)
        union = area[rest] + area[best] - both
        order = rest[both <= MAX_OVERLAP * np.maximum(union, 1e-12)]
    return np.array(kept, dtype=np.int64)


def differences(frames: Sequence[Image.Image], events: Sequence[object]) -> list[float | None]:
    """Scores 0 to 1 of the frames of one deployment: how much the strongest thing in each differs from other events.

    `events` says which frames belong to one sequence: they are not compared, for what sits still in them would vanish. None
    where there is nothing to compare with: the frames of a single event, or the only ones of their shape.
    """
    grey = [_prepared(frame) for frame in frames]
    scores: list[float | None] = []
    for own, event in zip(grey, events, strict=True):
        others = [
            g for g, e in zip(grey, events, strict=True) if e != event and g.shape == own.shape
        ]
        scores.append(round(_change(own, np.median(others, axis=0)), 4) if others else None)
    return scores


def _prepared(frame: Image.Image) -> NDArray[np.float32]:
    wide = FRAME_WIDTH_PX
    tall = max(8, round(frame.height * wide / frame.width))
    y = np.asarray(frame.convert("L").resize((wide, tall), Image.Resampling.BOX), dtype=np.float32)
    strip = max(1, int(tall * STRIP))
    return np.asarray(ndimage.gaussian_filter(y[strip:-strip], 0.7))


def _change(frame: NDArray[np.float32], usual: NDArray[Any]) -> float:
    """The strongest change, after light and a little sway have been taken off, as a score."""
    spread = max(float(usual.std()), 1.0)
    gain = min(2.0, max(0.5, float(frame.std()) / spread))
    expected = (usual - usual.mean()) * gain + frame.mean()
    reach = (2 * SWAY_PX + 1,) * 2  # within what its surroundings hold, sway explains a pixel
    low, high = ndimage.minimum_filter(expected, reach), ndimage.maximum_filter(expected, reach)
    beyond = np.maximum(np.maximum(low - frame, frame - high), 0)
    strongest = float(np.quantile(ndimage.gaussian_filter(beyond, 1.2), 0.9985))
    return strongest / (strongest + HALF_GREY) if math.isfinite(strongest) else 0.0


def _named(session: Any) -> tuple[str, ...]:
    """Class names as Ultralytics' exports carry them: "{0: 'animal', 1: 'person'}"."""
    text = session.get_modelmeta().custom_metadata_map.get("names", "")
    try:
        names = ast.literal_eval(text[:20_000])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if isinstance(names, dict):
        names = [names[k] for k in sorted(names)]
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _corners(middles: NDArray[np.float32]) -> NDArray[np.float32]:
    half = middles[:, 2:4] / 2
    return np.column_stack([middles[:, :2] - half, middles[:, :2] + half])
