"""Pictures to measure with: real photographs where they are at hand, else the sample world's drawings."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TREEOFLIFE_REAL_DATA", ROOT.parent / "shared" / "data"))
FOLDERS = (
    "birds_full_photos",
    "butterflies_leeds",
    "orchids_naturalis",
    "cc_animals",
    "flowers12",
    "birds_cub100",
)
KINDS = {".jpg", ".jpeg", ".png", ".webp", ".avif"}


def photographs(n: int, folders: tuple[str, ...] = FOLDERS) -> list[Path]:
    """Paths of up to `n` real pictures, the folders in turn; empty where there is no real data."""
    found = {
        name: sorted(p for p in (DATA / "images" / name).rglob("*") if p.suffix.lower() in KINDS)
        for name in folders
    }
    chosen: list[Path] = []
    for place in range(max(map(len, found.values()), default=0)):
        chosen += [
            paths[place * 7919 % len(paths)] for paths in found.values() if place < len(paths)
        ]
    return list(dict.fromkeys(chosen))[:n]


def drawings(n: int) -> list[Image.Image]:
    """`n` pictures of the sample world."""
    from curation import sample
    from curation.recipe import Sample
    from curation.sample.shot import drawn

    world = sample.plan(Sample(n_pictures=max(200, 2 * n)))
    shots = [
        item.shot for item in world.items if item.shot is not None and item.image_kind == "organism"
    ]
    return [drawn(shot, world.looks) for shot in shots[:n]]


def images(n: int) -> list[Image.Image]:
    """Up to `n` RGB pictures, real where they are at hand."""
    return [Image.open(path).convert("RGB") for path in photographs(n)] or drawings(n)


def jpegs(n: int, side_px: int, quality: int = 85) -> list[bytes]:
    """`n` JPEGs whose long side is `side_px`, as a server of photographs has them."""
    made = []
    for image in images(n):
        scale = side_px / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        out = io.BytesIO()
        image.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=quality)
        made.append(out.getvalue())
    return made
