"""Pictures are scored: each is decoded once, and shown to every model that the recipe names.

In   contents   where the shipped bytes of pictures lie (what is published is what is scored), and who is to see them
Out  a part of a ledger per scorer: rows of SCORED

A worker opens every model once and works through units in batches of BATCH pictures, each reduced to SIDE_PX as it is
decoded, so that memory is bounded whatever the pictures. What a model cannot make of a picture is a row with a reason.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from catalog import pixels
from curation.images import camera_trap, embedding, faces, museum, quality
from curation.store import Ledger, Packs

BATCH, SIDE_PX = 32, 1280
VERSIONS = {"museum": 1, "camera_trap": camera_trap.VERSION, "background": camera_trap.VERSION, "faces": faces.VERSION,
            "quality": quality.VERSION}  # fmt: skip
SCORED = pa.schema(
    [(n, pa.string()) for n in ("kind", "md5", "crop", "unit", "museum_nearest")]
    + [(n, pa.float64()) for n in ("museum_score", "animal_score", "face_score")]
    + [("face_boxes", pa.string())]
    + [(n, pa.float64()) for n in ("sharpness", "subject_contrast", "clipped_share")]
    + [("error", pa.string())]
)
Row = dict[str, Any]


class Spec(NamedTuple):
    """One scorer: its kind, what the recipe calls its model, the file or folder of weights, what was made for it."""

    kind: str
    model: str
    place: str = ""
    made: str = ""  # museum: its support set
    options: str = "{}"  # JSON
    ledger: str = ""

    @property
    def identity(self) -> str:
        """What tells this scorer from others in keys, wherever its files lie."""
        return json.dumps([self.kind, VERSIONS[self.kind], self.model, self.options])


class Content(NamedTuple):
    """A picture to score: its key, where its shipped bytes lie, and which of a unit's specs are to see it."""

    md5: str
    crop: str | None
    pack: str
    offset: int
    n_bytes: int
    xxh3: str
    kinds: tuple[int, ...]
    event: str = ""  # of a camera-trap frame


class Unit(NamedTuple):
    """Pictures to score together, the scorers, the folder of packs, and threads of a worker.

    With a `name` it is a deployment, whose frames are compared with each other.
    """

    contents: tuple[Content, ...]
    specs: tuple[Spec, ...]
    packs: str
    n_threads: int
    claims: str  # folder where workers say which GPU is theirs
    name: str = ""


def uses_torch(spec: Spec) -> bool:
    """True for a scorer that loads torch, which takes seconds, and a GPU where there is one."""
    return spec.kind == "museum" and bool(spec.place)


Scorer = Callable[[Sequence[Image.Image]], list[Row]]


@dataclass(frozen=True)
class Opening:
    """Makes the state of a worker: its scorers, open."""

    specs: tuple[Spec, ...]
    n_threads: int
    claims: str

    def __call__(self) -> dict[Spec, Scorer]:
        device = _claimed(Path(self.claims)) if any(map(uses_torch, self.specs)) else ""
        return {s: opened(s, self.n_threads, device) for s in self.specs if s.kind != "background"}


def score_unit(unit: Unit) -> int:
    """Score a unit where workers keep no state of their own (Slurm): models are kept by this process."""
    return score_with(_kept(Opening(unit.specs, unit.n_threads, unit.claims)), unit)


def score_with(scorers: dict[Spec, Scorer], unit: Unit) -> int:
    """Score a unit and commit its rows, a part of a ledger per scorer; returns the number of pictures."""
    if unit.name:
        found = {unit.specs[unit.contents[0].kinds[0]]: _burst(unit)}
    else:
        found = _pictures(scorers, unit)
    for spec, rows in found.items():
        if rows:
            keys = [(spec.identity, unit.name), *((row["md5"], row["crop"]) for row in rows)]
            name = hashlib.sha256(repr(keys).encode()).hexdigest()[:24]
            Ledger(Path(spec.ledger), SCORED).put(name, pa.Table.from_pylist(rows, schema=SCORED))
    return len(unit.contents)


def _pictures(scorers: dict[Spec, Scorer], unit: Unit) -> dict[Spec, list[Row]]:
    found: dict[Spec, list[Row]] = {spec: [] for spec in unit.specs}
    for contents, images in _batches(unit):
        for number, spec in enumerate(unit.specs):
            at = [i for i, c in enumerate(contents) if number in c.kinds]
            seen = [i for i in at if images[i] is not None]
            rows = scorers[spec]([images[i] for i in seen]) if seen else []  # type: ignore[misc]
            of = dict(zip(seen, rows, strict=True))
            for i in at:
                key = {"kind": spec.kind, "md5": contents[i].md5, "crop": contents[i].crop}
                found[spec].append(key | of.get(i, {"error": "undecodable"}))
    return found


def _batches(unit: Unit) -> Iterator[tuple[tuple[Content, ...], list[Image.Image | None]]]:
    """Decoded pictures, BATCH at a time; with threads to spare the next batch is decoded meanwhile."""
    packs = Packs(Path(unit.packs))
    parts = [unit.contents[i : i + BATCH] for i in range(0, len(unit.contents), BATCH)]
    decode = functools.partial(_decoded, packs)
    if unit.n_threads < 2:
        yield from ((part, [decode(c) for c in part]) for part in parts)
        return
    with ThreadPoolExecutor(unit.n_threads) as pool:
        ahead: list[Any] = [pool.submit(decode, c) for c in parts[0]] if parts else []
        for part, following in itertools.zip_longest(parts, parts[1:], fillvalue=()):
            waiting, ahead = ahead, [pool.submit(decode, c) for c in following]
            yield part, [job.result() for job in waiting]


def _decoded(packs: Packs, content: Content) -> Image.Image | None:
    try:
        data = packs.get(content.pack, content.offset, content.n_bytes, xxh3=content.xxh3)
        image = pixels.decode(data).image
    except pixels.Undecodable:
        return None
    except FileNotFoundError as error:
        raise ValueError(f"the bytes of a picture are gone ({error}); run the build again") from error  # fmt: skip
    if max(image.size) > SIDE_PX:
        image.thumbnail((SIDE_PX, SIDE_PX))
    return image


def _burst(unit: Unit) -> list[Row]:
    """Rows of the frames of one deployment."""
    packs = Packs(Path(unit.packs))
    images = [_decoded(packs, content) for content in unit.contents]
    shown = [(c, image) for c, image in zip(unit.contents, images, strict=True) if image is not None]  # fmt: skip
    scores = camera_trap.differences([i for _, i in shown], [c.event for c, _ in shown])
    of = {c: score for (c, _), score in zip(shown, scores, strict=True)}
    return [
        {"kind": "background", "md5": c.md5, "crop": c.crop, "unit": unit.name, "animal_score": of.get(c)}
        for c in unit.contents
    ]  # fmt: skip


def opened(spec: Spec, n_threads: int, device: str = "") -> Scorer:
    """A scorer ready to be shown pictures. Raises ValueError where its model cannot be had."""
    options = json.loads(spec.options)
    place = Path(spec.place) if spec.place else None
    if spec.kind == "museum":
        encoder = embedding.opened(spec.model, place, n_threads, device)
        known = museum.read(Path(spec.made), options["model_name"])
        return functools.partial(_museum, encoder, known)
    if spec.kind == "camera_trap":
        assert place is not None
        key = f"camera_trap.detector = {spec.model!r}"
        data = _read(place, options["sha256"])
        detector = camera_trap.OnnxDetector(data, key, options["classes"], n_threads=n_threads, device=device)  # fmt: skip
        return functools.partial(_animals, detector)
    if spec.kind == "faces":
        data = _read(place, options["sha256"]) if place else b""
        return functools.partial(_faces, faces.opened(spec.model, data))
    assert spec.kind == "quality", spec.kind
    return lambda images: [quality.quality(image)._asdict() for image in images]


def _read(file: Path, sha256: str) -> bytes:
    """Weights that are run as they were hashed, whatever has become of the file since."""
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{file} has changed since the build began; start it again")
    return data


def _museum(encoder: embedding.Encoder, known: museum.Support, images: Sequence[Image.Image]) -> list[Row]:  # fmt: skip
    seen = [encoder.see(image) for image in images]
    # always a full batch, so that a picture's numbers do not depend on how many are with it
    full = seen + [seen[-1]] * (BATCH - len(seen))
    vectors = encoder.encode(full)[: len(seen)]
    good = np.asarray(np.isfinite(vectors).all(axis=1))
    labels, margins = museum.museum(np.where(good[:, None], vectors, 0), known)
    return [
        {"museum_nearest": label, "museum_score": round(float(margin), 4)} if fine else {"error": "not_finite"}
        for label, margin, fine in zip(labels, margins, good.tolist(), strict=True)
    ]  # fmt: skip


def _animals(detector: camera_trap.Detector, images: Sequence[Image.Image]) -> list[Row]:
    return [{"animal_score": round(found.best, 4)} for found in detector.detect(images)]


def _faces(detector: camera_trap.Detector, images: Sequence[Image.Image]) -> list[Row]:
    return [{"face_score": round(found.best, 4), "face_boxes": faces.as_text(found)} for found in detector.detect(images)]  # fmt: skip


@functools.lru_cache(maxsize=1)
def _kept(opening: Opening) -> dict[Spec, Scorer]:
    return opening()


_held: list[Any] = []  # locks of the GPU that this process has claimed


def _claimed(folder: Path) -> str:
    """A GPU that no other worker of this machine has claimed; the lock goes with the process."""
    found = embedding.devices()
    folder.mkdir(parents=True, exist_ok=True)
    for name in found:
        lock = (folder / f"{os.uname().nodename}-{name.replace(':', '-')}").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return name
    return found[os.getpid() % len(found)] if found else ""
