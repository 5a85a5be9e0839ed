"""The published hash is imagehash's hash, also where it is hard."""

import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from catalog import pixels
from curation.images import phash


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
    ours = phash.hashes(np.stack([phash.tile(image) for image in images]))
    assert ours == [str(imagehash.phash(image, hash_size=16)) for image in images]


def test_a_flat_picture_has_no_hash_but_a_size_and_a_quality():
    out = io.BytesIO()
    Image.new("RGB", (300, 200), (120, 130, 125)).save(out, "PNG")
    row = phash.phash([("m", None)], lambda _: out.getvalue(), max_pixels=10**6).to_pylist()[0]
    assert row["phash"] is None and row["error"] is None
    assert (row["original_width"], row["phash_quality"]) == (300, 0.0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>not a picture</html>", "not_an_image"),
        (b"", "not_an_image"),
    ],
)
def test_a_picture_that_cannot_be_hashed_says_why(data, reason):
    row = phash.phash([("m", None)], lambda _: data, max_pixels=10**6).to_pylist()[0]
    assert (row["phash"], row["error"]) == (None, reason)


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
