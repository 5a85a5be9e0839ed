"""The published hash is imagehash's hash, also where it is hard."""

import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from catalog import phash, pixels
from catalog import tile as tiles
from catalog.tile import tile
from curation.images import render
from curation.store import Pack, Packs
from tests.drawings import photo


def _pictures():
    rng = np.random.default_rng(7)
    for size in ((64, 64), (333, 200), (91, 640)):
        yield Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    for k in range(12):  # exactly left-right symmetric drawings
        half = Image.new("RGB", (80, 120), (20 * k, 90, 160))
        draw = ImageDraw.Draw(half)
        for _ in range(6):
            x, y = rng.integers(0, 80), rng.integers(0, 120)
            draw.ellipse(
                (x, y, x + 30, y + 22), fill=tuple(int(v) for v in rng.integers(0, 256, 3))
            )
        whole = Image.new("RGB", (160, 120))
        whole.paste(half, (0, 0))
        whole.paste(half.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (80, 0))
        yield whole


def test_the_hash_equals_imagehash_on_noise_and_on_symmetric_drawings():
    images = list(_pictures())
    ours = [
        row.tobytes().hex() for row in phash.hashes(np.stack([tile(image) for image in images]))
    ]
    assert ours == [str(imagehash.phash(image, hash_size=16)) for image in images]


def test_the_tile_is_pillows_own_resize_at_every_shape():
    rng = np.random.default_rng(11)
    shapes = [
        (64, 64),
        (65, 64),
        (64, 65),
        (63, 200),
        (200, 63),
        (40, 40),
        (1, 1),
        (300, 2),
        (2000, 70),
    ]
    shapes += [
        (int(w), int(2 * w - 64 + d)) for w in (70, 131, 320) for d in (-1, 0, 1)
    ]  # the order turns
    shapes += [tuple(int(n) for n in rng.integers(64, 1200, 2)) for _ in range(40)]
    for width, height in shapes:
        grey = rng.choice(np.array([0, 255, 128], np.uint8), (height, width))
        image = Image.fromarray(grey)
        expected = np.asarray(image.resize((64, 64), Image.Resampling.LANCZOS), dtype=np.float64)
        assert np.array_equal(tile(image), expected), (width, height)


def test_where_pillow_works_otherwise_pillow_makes_the_tile(monkeypatch):
    image = next(_pictures()).resize((200, 150))
    expected = tile(image)
    monkeypatch.setattr(tiles, "_order", lambda tall: None)
    assert np.array_equal(tile(image), expected)


def _captioned(image):
    out = image.copy()
    ImageDraw.Draw(out).rectangle((0, image.height * 0.92, image.width, image.height), fill="white")
    return out


@pytest.mark.parametrize(
    ("kind", "alter"),
    [
        ("mirror", lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        *((f"crop_{1000 * c:03.0f}",
           lambda i, c=c: i.crop((i.width * c, i.height * c, i.width * (1 - c), i.height * (1 - c))))
          for c in phash.CROPS),
    ],
)  # fmt: skip
def test_a_probe_is_near_the_hash_of_the_altered_picture(kind, alter):
    for seed in range(6):
        image = photo(seed)
        probe = phash.probes(tile(image)[None])[0][phash.PROBES.index(kind)]
        plain, altered = phash.hashes(np.stack([tile(image), tile(alter(image))]))
        assert _bits(probe, altered) <= 15
        assert _bits(plain, altered) > _bits(probe, altered)


def test_a_caption_leaves_the_probe_of_what_is_inside_the_border_alone():
    for seed in range(6):
        image = photo(seed)
        both = np.stack([tile(image), tile(_captioned(image))])
        one, other = phash.probes(both)[:, phash.PROBES.index("border")]
        assert _bits(one, other) <= 4 < _bits(*phash.hashes(both))


def test_a_picture_whose_middle_is_empty_has_no_border_probe():
    framed = photo(1)
    framed.paste((90, 120, 90), (30, 20, 390, 280))
    (blank,), (full,) = (
        phash.probes(tile(image)[None])[:, phash.PROBES.index("border")]
        for image in (framed, photo(1))
    )
    assert not blank.any() and full.any()


def _bits(one, other):
    return int(np.unpackbits(one ^ other).sum())


LIMITS = render.Limits(max_pixels=10**6, max_side_px=200, quality=90)


def rendered(tmp_path, data, **more):
    """The row of one picture, and its pack."""
    content = render.Content("m", more.get("crop"))
    with Pack(tmp_path) as pack:
        rows = render.render([content], lambda _: data, LIMITS, pack)
        pack.close("p")
    return rows.to_pylist()[0], Packs(tmp_path)


def test_one_look_gives_hash_shipped_bytes_and_thumbnail(tmp_path):
    out = io.BytesIO()
    photo(3).save(out, "PNG")
    row, packs = rendered(tmp_path, out.getvalue())
    assert row["phash"] == str(imagehash.phash(photo(3), hash_size=16))
    assert len(row["probes"]) == 32 * len(phash.PROBES)
    shipped = packs.get("p", row["offset"], row["n_bytes"], row["image_md5"])
    small = packs.get(
        "p", row["offset"] + row["n_bytes"], row["n_thumb_bytes"], xxh3=row["thumb_xxh3"]
    )
    assert Image.open(io.BytesIO(shipped)).size == (row["width"], row["height"]) == (200, 143)
    assert 128 <= max(Image.open(io.BytesIO(small)).size) < 256
    assert (row["original_width"], row["original_height"]) == (420, 300)


def test_a_flat_picture_has_no_hash_but_a_size_and_a_quality(tmp_path):
    out = io.BytesIO()
    Image.new("RGB", (300, 200), (120, 130, 125)).save(out, "PNG")
    row, _ = rendered(tmp_path, out.getvalue())
    assert row["phash"] is None and row["probes"] is None and row["error"] is None
    assert (row["original_width"], row["phash_quality"]) == (300, 0.0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>not a picture</html>", "not_an_image"),
        (b"", "not_an_image"),
    ],
)
def test_a_picture_that_cannot_be_hashed_says_why(data, reason, tmp_path):
    row, _ = rendered(tmp_path, data)
    assert (row["phash"], row["error"], row["offset"]) == (None, reason, None)


def test_a_truncated_picture_and_a_bomb_are_named():
    out = io.BytesIO()
    next(_pictures()).resize((400, 400)).save(out, "JPEG")
    with pytest.raises(pixels.Undecodable, match="truncated"):
        pixels.decode(out.getvalue()[:2000])
    with pytest.raises(pixels.Undecodable, match="too_many_pixels"):
        pixels.decode(out.getvalue(), max_pixels=1000)


def test_a_crop_is_cut_in_upright_pixels_and_refused_outside():
    image = Image.new("RGB", (100, 50), "white")
    image.paste("red", (80, 10, 100, 30))
    out = io.BytesIO()
    image.save(out, "PNG")
    cut = pixels.decode(out.getvalue(), "80,10,20,20").image
    assert cut.size == (20, 20) and cut.getpixel((3, 3)) == (255, 0, 0)
    with pytest.raises(pixels.Undecodable, match="crop_outside_image"):
        pixels.decode(out.getvalue(), "200,10,20,20")
