"""Every kind of picture is shown upright in sRGB, or refused with a reason; nothing leaks a place."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from catalog import pixels

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def halves(size=(40, 20), mode="RGB"):
    """Left half red, right half blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image.convert(mode)


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def near(pixel, colour, by=30):
    return all(abs(a - b) <= by for a, b in zip(pixel, colour, strict=True))


def shown(data, crop=None, **how):
    image = pixels.decode(data, crop, **how).image
    assert image.mode == "RGB"
    return image


@pytest.mark.parametrize(
    ("orientation", "size", "red_at"),
    [(1, (40, 20), (2, 10)), (2, (40, 20), (37, 10)), (3, (40, 20), (37, 10)), (4, (40, 20), (2, 10)),
     (5, (20, 40), (10, 2)), (6, (20, 40), (10, 2)), (7, (20, 40), (10, 37)), (8, (20, 40), (10, 37))],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_turned_picture_is_set_upright(orientation, size, red_at, kind):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(halves(), kind, exif=exif)
    image = shown(data)
    assert image.size == size
    assert near(image.getpixel(red_at), RED)
    out = pixels.shipped(pixels.decode(data), max_side_px=0, quality=90)[0]
    assert shown(out).size == size, "the shipped picture is not turned a second time"


def test_crops_are_cut_from_the_upright_picture():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = shown(encoded(halves(), "PNG", exif=exif), "0,20,20,100")
    assert image.size == (20, 20)
    assert near(image.getpixel((10, 10)), BLUE)


@pytest.mark.parametrize("crop", ["40,0,5,5", "0,20,5,5", "-9,0,9,9", "0,0,1,9", "5,5,-3,4"])
def test_a_crop_outside_the_picture_is_a_reason(crop):
    with pytest.raises(pixels.Undecodable, match=r"^crop_outside_image$"):
        pixels.decode(encoded(halves()), crop)


def test_sixteen_bits_of_grey_become_eight():
    grey = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    for kind in ("PNG", "TIFF"):
        image = shown(encoded(grey, kind))
        assert [image.getpixel((x, 0))[0] for x in range(3)] == [0, 127, 255]


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.putpixel((0, 0), (255, 0, 0, 255))
    grey = Image.new("LA", (4, 4), (0, 0))
    palette = clear.quantize(4)
    keyed = Image.new("RGB", (4, 4), RED)
    for data in (
        encoded(clear), encoded(clear, "WEBP", lossless=True), encoded(grey), encoded(palette),
        encoded(keyed, transparency=RED),
    ):  # fmt: skip
        assert near(shown(data).getpixel((2, 2)), WHITE)
    assert near(shown(encoded(clear)).getpixel((0, 0)), RED)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("P", "PNG"), ("P", "GIF"), ("RGB", "BMP"), ("RGB", "AVIF"),
     ("RGB", "JPEG2000")],
)  # fmt: skip
def test_colours_survive_every_mode_and_format(mode, kind):
    data = encoded(halves(mode=mode), kind)
    image = shown(data)
    assert near(image.getpixel((5, 10)), RED)
    assert near(image.getpixel((35, 10)), BLUE)
    assert (pixels.media_type(data) or "").startswith("image/")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_the_picture(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert near(shown(data).getpixel((8, 8)), RED)


def test_an_embedded_profile_is_converted_and_a_broken_one_is_ignored():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = _with_swapped_primaries(lab)
    data = encoded(Image.new("RGB", (8, 8), RED), icc_profile=swapped)
    assert not near(shown(data).getpixel((4, 4)), RED)
    for harmless in (lab, b"no profile"):
        data = encoded(Image.new("RGB", (8, 8), RED), icc_profile=harmless)
        assert near(shown(data).getpixel((4, 4)), RED)


def _with_swapped_primaries(profile):
    """An sRGB profile whose red and blue primaries have changed places."""
    tags = bytearray(profile)
    places = [i for i in (bytes(tags).find(name, 128) for name in (b"rXYZ", b"bXYZ")) if i > 0]
    red, blue = places
    tags[red : red + 4], tags[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(tags)


def _bomb(side):
    """A PNG that says it is enormous and holds next to nothing."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b""))
            + chunk(b"IEND", b""))  # fmt: skip


NOISE = Image.effect_noise((200, 150), 50).convert("RGB")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image"), (b"<html>", "not_an_image"), (b"\xff\xd8\xff", "not_an_image"),
        (_bomb(100_000), "too_many_pixels"), (_bomb(20_000), "too_many_pixels"), (_bomb(100), "truncated"),
        (encoded(NOISE, "JPEG")[:5000], "truncated"), (encoded(NOISE, "PNG")[:5000], "truncated"),
        (encoded(NOISE, "GIF")[:5000], "truncated"), (encoded(NOISE, "WEBP")[:5000], "undecodable"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not_an_image"),
        (b"P6 2 2 255\n" + bytes(12), "not_an_image"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_says_why(data, reason):
    with pytest.raises(pixels.Undecodable) as caught:
        pixels.decode(data)
    assert str(caught.value) == reason


def test_the_pixel_limit_is_that_of_the_caller():
    assert shown(encoded(halves()), max_pixels=800).size == (40, 20)
    with pytest.raises(pixels.Undecodable, match="too_many_pixels"):
        pixels.decode(encoded(halves()), max_pixels=799)


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [((400, 200), 100, (100, 50)), ((200, 400), 100, (50, 100)), ((80, 40), 100, (80, 40)),
     ((400, 200), 0, (400, 200)), ((3000, 2), 100, (100, 1)), ((66_000, 2), 0, (65_500, 2))],
)  # fmt: skip
def test_the_long_side_is_limited_and_nothing_is_enlarged(size, limit, expected):
    picture = pixels.Picture(Image.new("RGB", size), b"")
    data, width, height = pixels.shipped(picture, max_side_px=limit, quality=90)
    assert (width, height) == expected == Image.open(io.BytesIO(data)).size
    assert pixels.media_type(data) == "image/jpeg"


def _tagged():
    """A picture that says who made it, and where, in every way it can."""
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Jané Müller".encode()
    exif[ExifTags.Base.Copyright] = "© 2020 Jané".encode()
    exif[ExifTags.Base.Software] = "HERE"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (47.0, 30.0, 0.0)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"HERE"
    plain = encoded(NOISE, "JPEG", exif=exif, comment=b"HERE", xmp=b"<x:xmpmeta>HERE</x:xmpmeta>")
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x09\x1c\x02\x5a\0\x04HERE"
    return plain[:2] + b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc + plain[2:]


def test_shipped_bytes_keep_creator_and_copyright_and_nothing_about_the_place():
    given = _tagged()
    assert given.count(b"HERE") == 5
    assert Image.open(io.BytesIO(given)).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    data, _, _ = pixels.shipped(pixels.decode(given), max_side_px=0, quality=90)
    assert b"HERE" not in data
    assert set(Image.open(io.BytesIO(data)).getexif()) == {
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
    }
    for text in ("Jané Müller", "© 2020 Jané"):
        assert text.encode() + b"\0" in data, "byte for byte"


@pytest.mark.parametrize(
    "text",
    [
        "Jo at 48.2123, 16.3987",
        "48°12'30\"N",
        "56H LH 33300 58700",
        "SU 1234 5678",
        "lat 48",
        "N 48.21",
        "333000 6258700",
    ],
)
def test_a_credit_that_tells_a_place_does_not_go_into_the_picture(text):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.Copyright] = (
        text.encode(),
        "Jo 2020, no. 12.345"[:12],
    )
    exif[ExifTags.Base.ImageDescription] = "anything"
    data = pixels.shipped(
        pixels.decode(encoded(NOISE, "JPEG", exif=exif)), max_side_px=0, quality=90
    )[0]
    assert dict(Image.open(io.BytesIO(data)).getexif()) == {ExifTags.Base.Copyright: "Jo 2020, no."}


def test_a_description_of_megabytes_does_not_stop_a_picture_from_being_shipped():
    data = encoded(NOISE, "TIFF", tiffinfo={270: "x" * 100_000})
    out = pixels.shipped(pixels.decode(data), max_side_px=0, quality=90)[0]
    assert shown(out).size == NOISE.size


@pytest.mark.parametrize(
    "block", [b"", b"garbage", b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" * 3,
              b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0"])  # fmt: skip
def test_broken_exif_does_not_cost_the_picture(block):
    data = encoded(NOISE, "JPEG", exif=b"Exif\0\0" + block)
    assert sorted(shown(data).size) == [150, 200]


def test_the_same_picture_is_shipped_as_the_same_bytes():
    made = [
        pixels.shipped(pixels.decode(_tagged()), max_side_px=64, quality=90)[0] for _ in range(2)
    ]
    assert made[0] == made[1]


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 exif:GPSLatitude="51,27.5N"><dc:creator><rdf:Seq><rdf:li>Ana Mar\xc3\xada</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">CC BY 4.0</rdf:li></rdf:Alt></dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def _iptc(**fields):
    """An IPTC block as Photoshop writes it: by-line, copyright notice, city."""
    record = b"".join(
        b"\x1c\x02" + bytes([n]) + len(v).to_bytes(2, "big") + v for n, v in fields.values()
    )
    body = (
        b"8BIM\x04\x04\x00\x00"
        + len(record).to_bytes(4, "big")
        + record
        + (b"\0" if len(record) % 2 else b"")
    )
    payload = b"Photoshop 3.0\x00" + body
    return b"\xff\xed" + (len(payload) + 2).to_bytes(2, "big") + payload


def _jpeg(image=None, **how):
    out = io.BytesIO()
    (image or Image.linear_gradient("L").convert("RGB")).save(out, "JPEG", **how)
    return out.getvalue()


def _shipped(data):
    return pixels.shipped(pixels.decode(data), max_side_px=0, quality=90)[0]


def test_credit_that_only_xmp_states_is_kept_and_its_place_is_not():
    shipped = _shipped(_jpeg(xmp=XMP))
    exif = Image.open(io.BytesIO(shipped)).getexif()
    assert exif[ExifTags.Base.Artist] == "Ana María".encode().decode(
        "latin-1"
    )  # the bytes are UTF-8
    assert exif[ExifTags.Base.Copyright] == "CC BY 4.0"
    assert b"GPS" not in shipped and b"xmpmeta" not in shipped


def test_credit_that_only_iptc_states_is_kept_and_its_place_is_not():
    data = _jpeg()
    data = (
        data[:2]
        + _iptc(by=(80, b"B. Line"), notice=(116, b"all mine"), city=(90, b"Secretville"))
        + data[2:]
    )
    shipped = _shipped(data)
    exif = Image.open(io.BytesIO(shipped)).getexif()
    assert (exif[ExifTags.Base.Artist], exif[ExifTags.Base.Copyright]) == ("B. Line", "all mine")
    assert b"Secretville" not in shipped and b"8BIM" not in shipped


@pytest.mark.parametrize(
    "xmp",
    [b"<not xml", b'<!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>', b"\xff\xfe\x00", b"<a>" * 5000, b""],
)
def test_hostile_xmp_credits_nobody_and_costs_no_picture(xmp):
    assert len(Image.open(io.BytesIO(_shipped(_jpeg(xmp=xmp)))).getexif()) == 0


@pytest.mark.parametrize(
    "how",
    [{}, {"progressive": True}, {"quality": 30}, {"subsampling": 0}, {"subsampling": 1}, {"optimize": True},
     {"quality": 100, "subsampling": 0}],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(333, 201), (16, 16), (1, 7)])
def test_the_fast_decoder_gives_pillows_very_pixels(how, mode, size):
    rng = np.random.default_rng(5)
    noise = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    data = _jpeg(noise.convert(mode), **how)
    ours = pixels.decode(data).image
    assert np.array_equal(np.asarray(ours), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_where_the_fast_decoder_will_not_pillow_decodes(monkeypatch):
    data = _jpeg()
    expected = np.asarray(pixels.decode(data).image)

    def refuse(*_):
        raise ValueError("odd")

    monkeypatch.setattr(pixels.simplejpeg, "decode_jpeg", refuse)
    assert np.array_equal(np.asarray(pixels.decode(data).image), expected)


@pytest.mark.parametrize("size", [(100, 60), (128, 128), (200, 900), (5000, 30), (1, 1)])
def test_a_thumbnail_is_small_upright_and_untagged(size):
    image = Image.new("RGB", size, (200, 30, 60))
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "somebody"
    data = pixels.thumbnail(pixels.decode(_jpeg(image, exif=exif)))
    small = Image.open(io.BytesIO(data))
    assert max(small.size) == max(size) if max(size) < 128 else 128 <= max(small.size) < 256
    assert b"somebody" not in data and b"Exif" not in data
    assert abs(small.convert("RGB").getpixel((0, 0))[0] - 200) < 4
