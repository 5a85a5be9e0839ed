"""Look at each picture once: its hash and probes, what is shipped of it, and its thumbnail.

In   contents   where the bytes of pictures lie, and the crop to cut out
Out  schema.PHASH and where the shipped bytes and the thumbnail lie, one row per content; the bytes
     of a unit end to end in one pack

A picture that cannot be shown is a row with its reason. A crop is a picture of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from catalog import phash, pixels, schema
from catalog.tile import tile
from curation.engine import WITHOUT_GUARD
from curation.store import Ledger, Pack, Packs

RENDERED = pa.schema(
    [*schema.PHASH.schema, ("image_md5", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
     ("image_xxh3", pa.string()), ("thumb_xxh3", pa.string()), ("pack", pa.string()), ("offset", pa.int64()), ("n_bytes", pa.int64()),
     ("n_thumb_bytes", pa.int64())]
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What is decoded, and how it is shipped."""

    max_pixels: int
    max_side_px: int
    quality: int


class Content(NamedTuple):
    """A picture: md5 of its bytes ("" until it has been looked at), the crop or None, where they lie.

    With `offset` -1 they are the file called `pack`.
    """

    md5: str
    crop: str | None
    pack: str = ""
    offset: int = 0
    n_bytes: int = 0


class Unit(NamedTuple):
    """Pictures to look at, the folder of their packs or files, and that of their ledger."""

    contents: tuple[Content, ...]
    fetched: str
    ledger: str
    limits: Limits


def render_unit(unit: Unit) -> tuple[tuple[str, int, str], ...]:
    """Look at the pictures of a unit; commit one pack and one part of the ledger.

    Returns (pack, offset, md5) of every picture's bytes.
    """
    ledger = Ledger(Path(unit.ledger), RENDERED)
    name = hashlib.sha256(repr(unit.contents).encode()).hexdigest()[:24]
    with Pack(ledger.dir) as pack:
        rows = render(unit.contents, lambda c: _bytes(unit.fetched, c), unit.limits, pack)
        pack.close(name)
    named = [name if at is not None else None for at in rows.column("offset").to_pylist()]
    place = rows.schema.get_field_index("pack")
    ledger.put(name, rows.set_column(place, "pack", pa.array(named, pa.string())))
    md5s = rows.column("md5").to_pylist()
    return tuple((c.pack, c.offset, md5) for c, md5 in zip(unit.contents, md5s, strict=True))


def _bytes(folder: str, content: Content) -> bytes:
    try:
        if content.offset < 0:
            return (Path(folder) / content.pack).read_bytes()
        return Packs(Path(folder)).get(content.pack, content.offset, content.n_bytes, content.md5)
    except FileNotFoundError as error:
        raise ValueError(
            f"the bytes of a picture are gone ({error}); run the build again"
        ) from error


def render_alone(unit: Unit) -> tuple[tuple[str, int, str], ...]:
    """`render_unit` for a unit that has ended its process: picture by picture in processes of their own.

    A picture that ends its process twice gets a row that says so. Raises RuntimeError when no process
    can be started, and whatever a picture's unit raised.
    """
    left, found, is_second = list(unit.contents), list[tuple[str, int, str]](), False
    while left:
        n_before = len(found)
        found += _one_by_one(unit._replace(contents=tuple(left)))
        del left[: len(found) - n_before]
        if left and is_second and len(found) == n_before:
            found.append(_condemned(unit, left.pop(0)))
            is_second = False
        else:
            is_second = True
    return tuple(found)


def _one_by_one(unit: Unit) -> Iterator[tuple[str, int, str]]:
    """Places of the pictures that were looked at before the process ended."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=_looks, args=(theirs, unit))
    child.start()
    theirs.close()
    is_ready = False
    try:
        while True:
            said = ours.recv()
            if isinstance(said, Exception):
                raise said
            if is_ready:
                yield said
            is_ready = True
    except EOFError:
        if not is_ready:
            raise RuntimeError("a new process cannot be started" + WITHOUT_GUARD) from None
    finally:
        child.kill()
        child.join()
        ours.close()


def _looks(out: Connection, unit: Unit) -> None:
    out.send("ready")
    for content in unit.contents:
        try:
            out.send(render_unit(unit._replace(contents=(content,)))[0])
        except Exception as error:
            out.send(ValueError(f"{type(error).__name__}: {error}"))
            return


def _condemned(unit: Unit, content: Content) -> tuple[str, int, str]:
    """The row of a picture that no process survives."""
    md5 = hashlib.md5(_bytes(unit.fetched, content)).hexdigest()
    row = {"md5": md5, "crop": content.crop, "error": "decoder_died"}
    name = hashlib.sha256(f"died {content}".encode()).hexdigest()[:24]
    Ledger(Path(unit.ledger), RENDERED).put(name, pa.Table.from_pylist([row], schema=RENDERED))
    return content.pack, content.offset, md5


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
        "image_xxh3": xxhash.xxh3_128_hexdigest(shown), "thumb_xxh3": xxhash.xxh3_128_hexdigest(small),
        "offset": pack.add(shown), "n_bytes": len(shown), "n_thumb_bytes": len(small),
    }  # fmt: skip
    pack.add(small)
    return row, grey if spread >= phash.MIN_SPREAD else None


def batch_size(n: int, n_workers: int) -> int:
    """How many of `n` contents make a unit: few enough to keep workers busy, enough to keep files few."""
    return min(2048, max(32, n // (24 * n_workers)))


def batches(contents: Iterable[Content], size: int) -> Iterator[tuple[Content, ...]]:
    """Contents in tuples of `size`."""
    left = iter(contents)
    while some := tuple(itertools.islice(left, size)):
        yield some
