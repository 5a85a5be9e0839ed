"""Look at each picture once: its hash and probes, what is shipped of it, and its thumbnail.

In   contents   where the bytes of pictures lie, and the crop to cut out
Out  schema.PHASH and where the shipped bytes and the thumbnail lie, one row per content; the bytes
     of a unit end to end in one pack

A picture that cannot be shown is a row with its reason. A crop is a picture of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from catalog import pixels, schema
from curation.images import phash
from curation.images.tile import tile
from curation.store import Ledger, Pack, Packs

RENDERED = pa.schema(
    [*schema.PHASH.schema, ("image_md5", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
     ("thumb_md5", pa.string()), ("pack", pa.string()), ("offset", pa.int64()), ("n_bytes", pa.int64()),
     ("n_thumb_bytes", pa.int64())]
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What is decoded, and how it is shipped."""

    max_pixels: int
    max_side_px: int
    quality: int


class Content(NamedTuple):
    """A picture: md5 of its bytes ("" until it has been looked at), the crop or None, where they lie."""

    md5: str
    crop: str | None
    pack: str = ""
    offset: int = 0
    n_bytes: int = 0


class Unit(NamedTuple):
    """Pictures to look at, where they lie, and where their ledger is."""

    contents: tuple[Content, ...]
    fetched: str
    ledger: str
    limits: Limits


def render_unit(unit: Unit) -> tuple[tuple[str, int, str], ...]:
    """Look at the pictures of a unit; commit one pack and one part of the ledger.

    Returns (pack, offset, md5) of every picture's bytes.
    """
    fetched, ledger = Packs(Path(unit.fetched)), Ledger(Path(unit.ledger), RENDERED)
    name = hashlib.sha256(repr(unit.contents).encode()).hexdigest()[:24]

    def read(content: Content) -> bytes:
        try:
            return fetched.get(content.pack, content.offset, content.n_bytes, content.md5)
        except FileNotFoundError as error:
            raise ValueError(
                f"the bytes of a picture are gone ({error}); run the build again"
            ) from error

    with Pack(ledger.dir) as pack:
        rows = render(unit.contents, read, unit.limits, pack)
        pack.close(name)
    named = [name if at is not None else None for at in rows.column("offset").to_pylist()]
    place = rows.schema.get_field_index("pack")
    ledger.put(name, rows.set_column(place, "pack", pa.array(named, pa.string())))
    md5s = rows.column("md5").to_pylist()
    return tuple((c.pack, c.offset, md5) for c, md5 in zip(unit.contents, md5s, strict=True))


def render(
    contents: Iterable[Content], read: Callable[[Content], bytes], limits: Limits, pack: Pack
) -> pa.Table:
    """Rows of RENDERED (`pack` still null) for pictures, whose shipped bytes go to `pack`."""
    looked = [_row(content, read, limits, pack) for content in contents]
    tiles = [grey for _, grey in looked if grey is not None]
    if tiles:
        stacked = np.stack(tiles)
        found = iter(zip(phash.hashes(stacked), phash.probes(stacked), strict=True))
        for row, grey in looked:
            if grey is not None:
                bits, altered = next(found)
                row |= {"phash": bits.tobytes().hex(), "probes": altered.tobytes()}
    return pa.Table.from_pylist([row for row, _ in looked], schema=RENDERED)


def _row(
    content: Content, read: Callable[[Content], bytes], limits: Limits, pack: Pack
) -> tuple[dict[str, Any], np.ndarray | None]:
    """The row of one picture without its hashes, and the tile to hash (None: failed or flat)."""
    data = read(content)
    row: dict[str, Any] = {
        "md5": content.md5 or hashlib.md5(data).hexdigest(),
        "crop": content.crop,
    }
    try:
        picture = pixels.decode(data, content.crop, max_pixels=limits.max_pixels)
    except pixels.Undecodable as error:
        return row | {"error": str(error)}, None
    image = picture.pixels
    grey = tile(image)
    spread = float(grey.std())
    size = f"{image.width}x{image.height}:".encode()
    shown, width, height = pixels.shipped(
        picture, max_side_px=limits.max_side_px, quality=limits.quality
    )
    small = pixels.thumbnail(picture)
    row |= {
        "phash_quality": round(spread, 4),
        "pixel_xxh3": xxhash.xxh3_128_hexdigest(size + image.tobytes("raw", "RGB")),
        "original_width": image.width, "original_height": image.height,
        "image_md5": hashlib.md5(shown).hexdigest(), "width": width, "height": height,
        "thumb_md5": hashlib.md5(small).hexdigest(),
        "offset": pack.add(shown), "n_bytes": len(shown), "n_thumb_bytes": len(small),
    }  # fmt: skip
    pack.add(small)
    return row, grey if spread >= phash.MIN_SPREAD else None


def batches(contents: Sequence[Content], n_workers: int) -> list[tuple[Content, ...]]:
    """Contents in units: many enough to keep workers busy, large enough to keep files few."""
    size = min(2048, max(32, len(contents) // (16 * n_workers)))
    return [tuple(contents[i : i + size]) for i in range(0, len(contents), size)]
