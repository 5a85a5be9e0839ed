"""One look at a picture, per core: the hash alone, and everything that is made of it.

JPEGs of 720 px on the long side. Peer of the hash: `imagehash.phash(Image.open(…), hash_size=16)`; of
the whole look: one decode and one encode by Pillow. Limit: simplejpeg's decode, and its decode and
encode. Ours, peer and limit take turns over the same pictures in one process, under the settings that
the engine gives its workers; the best of several rounds counts.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import simplejpeg
from PIL import Image

from catalog import phash, pixels
from catalog.tile import tile
from curation.engine import WORKER_ENV
from curation.images import render
from curation.store import Pack
from tests.benchmarks._pictures import jpegs, photographs
from tests.benchmarks.harness import Result, Row, target

ROOT = Path(__file__).parents[2]
SIDE_PX, QUALITY = 720, 90


def run(*, quick: bool) -> Result:
    """Measure in a process of its own, with a worker's settings."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.hash", "60" if quick else "400", "3" if quick else "7"],
        cwd=ROOT, env={**os.environ, **WORKER_ENV}, capture_output=True, text=True, check=True)  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    s = found["seconds"]
    rate = {name: found["n"] / value for name, value in s.items()}
    cost = s["hash, thumbnail, shipped"] / s["Pillow decode and encode"]
    rows = (
        Row("decode + hash", "pictures/s", rate["hash"], rate["imagehash"], rate["simplejpeg decode"]),
        Row("one decode: hash + thumbnail + shipped bytes", "pictures/s", rate["hash, thumbnail, shipped"],
            rate["Pillow decode and encode"], rate["simplejpeg decode and encode"]),
        Row("the whole look, with probes and the digest of the pixels", "pictures/s", rate["whole look"],
            rate["Pillow decode and encode"], rate["simplejpeg decode and encode"]),
    )  # fmt: skip
    kind = "photographs" if photographs(1) else "drawings"
    return Result(
        "hash", "imagehash; Pillow's decode and encode", "simplejpeg's decode (and encode)", rows,
        (
            target("decode + hash at least 1.3 times the peer", rate["hash"] >= 1.3 * rate["imagehash"],
                   f"{rate['hash'] / rate['imagehash']:.2f}"),
            target("every hash is the peer's", found["equal"] == found["n"], f"{found['equal']:,} of {found['n']:,} {kind}"),
            target("hash + thumbnail + shipped bytes cost at most 1.6 of one decode and one encode", cost <= 1.6,
                   f"{cost:.2f} of Pillow's, {s['hash, thumbnail, shipped'] / s['simplejpeg decode and encode']:.2f} of simplejpeg's"),
        ),
    )  # fmt: skip


def _measure(n: int, n_rounds: int) -> dict[str, object]:
    datas = jpegs(n, SIDE_PX)
    equal = sum(
        _hash(data) == str(imagehash.phash(Image.open(io.BytesIO(data)), hash_size=16))
        for data in datas
    )
    with tempfile.TemporaryDirectory() as place:
        limits = render.Limits(10**9, SIDE_PX, QUALITY)

        def whole(data: bytes) -> object:
            return render.render([render.Content("m", None)], lambda _: data, limits, pack)

        ways: dict[str, Callable[[bytes], object]] = {
            "hash": _hash,
            "imagehash": lambda d: imagehash.phash(Image.open(io.BytesIO(d)), hash_size=16),
            "simplejpeg decode": simplejpeg.decode_jpeg,
            "hash, thumbnail, shipped": _three,
            "Pillow decode and encode": lambda d: Image.open(io.BytesIO(d)).save(io.BytesIO(), "JPEG", quality=QUALITY),
            "simplejpeg decode and encode": lambda d: simplejpeg.encode_jpeg(
                simplejpeg.decode_jpeg(d), QUALITY, "RGB", "420"),
            "whole look": whole,
        }  # fmt: skip
        best = dict.fromkeys(ways, float("inf"))
        with Pack(Path(place)) as pack:
            for _ in range(n_rounds):
                for name, way in ways.items():
                    started = time.perf_counter()
                    for data in datas:
                        way(data)
                    best[name] = min(best[name], time.perf_counter() - started)
    return {"n": len(datas), "equal": equal, "seconds": best}


def _hash(data: bytes) -> str:
    return phash.hashes(tile(pixels.decode(data).pixels)[np.newaxis])[0].tobytes().hex()


def _three(data: bytes) -> object:
    picture = pixels.decode(data)
    found = phash.hashes(tile(picture.pixels)[np.newaxis])
    return (
        found,
        pixels.thumbnail(picture),
        pixels.shipped(picture, max_side_px=SIDE_PX, quality=QUALITY),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
