"""A second look tells a copy from another picture."""

import pytest
from PIL import Image, ImageDraw, ImageOps

from catalog import pixels
from curation.images import confirm
from tests.drawings import photo


def _thumb(image):
    return pixels.thumbnail(pixels.Picture(image, b""))


def _cropped(image, share):
    w, h = image.size
    return image.crop((w * share, h * share, w * (1 - share), h * (1 - share)))


def _captioned(image):
    out = image.copy()
    ImageDraw.Draw(out).rectangle((0, image.height * 0.9, image.width, image.height), fill="white")
    return out


@pytest.mark.parametrize(
    ("kind", "alter"),
    [
        ("wide", lambda i: i.point(lambda v: min(255, int(v * 1.3)))), ("wide", lambda i: i.resize((200, 150))),
        ("border", _captioned), ("mirror", ImageOps.mirror), ("crop_020", lambda i: _cropped(i, 0.02)),
        ("crop_045", lambda i: _cropped(i, 0.05)), ("wide", lambda i: i.convert("L").convert("RGB")),
    ],
)  # fmt: skip
def test_a_copy_is_confirmed_and_another_picture_is_not(kind, alter):
    for seed in range(5):
        one, other = photo(seed), photo(seed + 100)
        assert (
            confirm.score(confirm.Pair(kind, _thumb(one), _thumb(alter(one)))) >= confirm.MIN_SCORE
        )
        assert confirm.score(confirm.Pair(kind, _thumb(one), _thumb(alter(other)))) < 0.4


def test_the_alteration_is_made_to_the_first_picture_only():
    one = photo(1)
    assert confirm.score(confirm.Pair("mirror", _thumb(one), _thumb(one))) < confirm.MIN_SCORE


def test_where_there_is_nothing_to_see_nothing_is_confirmed():
    plain = Image.new("RGB", (300, 200), (90, 120, 200))
    assert confirm.score(confirm.Pair("wide", _thumb(plain), _thumb(plain))) == 0.0
