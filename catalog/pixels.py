"""The one decode path: bytes -> upright 8-bit sRGB picture, for hash, crop and shipped bytes.

Stated choices: the first frame of an animation; EXIF orientation applied; embedded colour profiles
converted to sRGB; CMYK through its profile, else Pillow's formula; 16-bit grey scaled to 8; alpha
laid over white. A picture that would be larger than the pixel limit is refused before decoding.
JPEGs are decoded by simplejpeg, which gives Pillow's very pixels in less time, and by Pillow where it
will not. Shipped bytes carry no location: of EXIF only creator and copyright survive, byte for byte, or
what XMP or IPTC say in their place, unless their text tells a place; no other block and no comment does.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from dataclasses import dataclass

import defusedxml.ElementTree
import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageCms, ImageFile, IptcImagePlugin, UnidentifiedImageError

MAX_PIXELS = 200_000_000
Image.MAX_IMAGE_PIXELS = None  # the limit above is checked before decoding, for every format
MIN_CROP_PX = 2
MAX_JPEG_SIDE_PX = 65_500  # libjpeg's own limit
MAX_TAG_BYTES = 2_000  # of one kept tag: microscopes write megabytes, a JPEG holds 64 kB in all
MAX_XMP_BYTES = 200_000
THUMB_SIDE_PX, THUMB_QUALITY = 128, 80
_SRGB = ImageCms.createProfile("sRGB")
_IPTC_OF = {ExifTags.Base.Artist: (2, 80), ExifTags.Base.Copyright: (2, 116)}  # by-line, notice
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP_OF = {ExifTags.Base.Artist: f"{_DC}creator", ExifTags.Base.Copyright: f"{_DC}rights"}
_KEPT_TAGS = (ExifTags.Base.Artist, ExifTags.Base.Copyright)
_PLACE = re.compile(  # coordinates in words: decimal, degrees, MGRS, grids of Britain and Ireland, UTM
    rb"\d{1,3}\.\d{3,}|\d{1,3},\d{4,}|\d{1,3}[.,]\d{2,}[^0-9A-Za-z]{1,4}\d{1,3}[.,]\d{2,}"
    rb"|\d\s*(\xc2?[\xb0\xba]|\xcb\x9a|deg\b)|\b\d{1,3}[\s:]\d{1,2}[\s:.,]\d{1,2}\S*\s*[NSEW]\b"
    rb"|\b[NSEW]\s?\d{1,3}[.,]\d{2,}|\b\d{1,2}[C-X]\s?[A-Z]{2}\s?\d{4}|\b[HJNOST][A-HJ-Z]\s?\d{3,5}\s?\d{3,5}\b"
    rb"|\b[A-HJ-Z]\s?\d{3,5}\s\d{3,5}\b|\b\d{6,7}\D{1,4}\d{6,7}\b|(lat|lon|lng|latitude|longitude)\W{0,4}\d",
    re.IGNORECASE,
)
_TURNS = dict(enumerate((
    Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90), start=2))  # fmt: skip
_MAGIC = (
    (0, b"\xff\xd8\xff", "image/jpeg"), (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"), (0, b"GIF89a", "image/gif"), (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"), (0, b"BM", "image/bmp"), (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"), (4, b"ftypavis", "image/avif"), (4, b"ftypheic", "image/heic"),
    (4, b"ftypmif1", "image/heif"), (0, b"\0\0\0\x0cjP  ", "image/jp2"),
)  # fmt: skip
_FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000")

MALLOC_ENV = {  # for processes that decode: pictures are large and short-lived, and giving every one
    "MALLOC_MMAP_THRESHOLD_": "268435456",  # back to the kernel halves the speed of decoding
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
}


class Undecodable(Exception):
    """A picture that cannot be shown; the text is a short reason for the rejects table."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright, and what of its EXIF may be kept.

    `pixels` is RGB or RGBX: what the fast decoder gives is used as it lies in memory.
    """

    pixels: Image.Image
    exif: bytes

    @property
    def image(self) -> Image.Image:
        """The picture as RGB."""
        return self.pixels if self.pixels.mode == "RGB" else self.pixels.convert("RGB")


def media_type(head: bytes) -> str | None:
    """Media type by magic number, or None when the bytes are no picture we know."""
    for offset, magic, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    return None


def decode(data: bytes, crop: str | None = None, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode bytes and cut the crop (`x,y,w,h` in upright pixels) out.

    Raises Undecodable with one of: not_an_image, too_many_pixels, truncated, undecodable,
    crop_outside_image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
                if opened.width * opened.height > max_pixels:
                    raise Undecodable("too_many_pixels")
                opened.seek(0)
                upright = _upright(_loaded(opened, data), opened)
                image, exif = _rgb(upright), _kept_exif(opened)
                image.info = {}  # JPEG would write a comment found there
    except Undecodable:
        raise
    except UnidentifiedImageError as error:
        raise Undecodable("not_an_image") from error
    except Image.DecompressionBombError as error:
        raise Undecodable("too_many_pixels") from error
    except OSError as error:
        raise Undecodable("truncated" if "truncated" in str(error) else "undecodable") from error
    except Exception as error:  # decoders raise anything on hostile bytes; the row says so
        raise Undecodable("undecodable") from error
    return Picture(_cut(image, crop) if crop else image, exif)


def shipped(picture: Picture, *, max_side_px: int, quality: int) -> tuple[bytes, int, int]:
    """JPEG bytes of the picture with its long side at most `max_side_px` (0: as it is)."""
    image = picture.pixels
    limit = min(max_side_px or MAX_JPEG_SIDE_PX, MAX_JPEG_SIDE_PX)
    if max(image.size) > limit:
        scale = limit / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.HAMMING, reducing_gap=1.2)
    out = io.BytesIO()
    image.save(
        out, "JPEG", quality=quality, subsampling=0 if quality >= 95 else 2, exif=picture.exif
    )
    return out.getvalue(), image.width, image.height


def thumbnail(picture: Picture) -> bytes:
    """A small JPEG without any tag: long side 128 to 255 px where the picture has as many.

    Pixels are averaged by a whole factor, which costs a fraction of a resize.
    """
    image = picture.pixels.reduce(max(1, max(picture.pixels.size) // THUMB_SIDE_PX))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=THUMB_QUALITY)
    return out.getvalue()


def _loaded(opened: Image.Image, data: bytes) -> Image.Image:
    """The picture with its pixels, by the fast decoder where that gives the same ones."""
    if opened.format in ("JPEG", "MPO") and opened.mode == "RGB":
        try:
            pixels = simplejpeg.decode_jpeg(data, "RGBX")
        except ValueError:
            pixels = None  # damaged, or odd: Pillow judges
        if pixels is not None and pixels.shape[:2] == (opened.height, opened.width):
            image = Image.frombuffer("RGBX", opened.size, pixels, "raw", "RGBX", 0, 1)
            image.info = {k: v for k, v in opened.info.items() if k == "icc_profile"}
            return image
    opened.load()
    return opened


def _upright(image: Image.Image, opened: Image.Image) -> Image.Image:
    turn = _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return _eight_bit(image).convert("RGB")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "LA":
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if profile and image.mode in ("RGB", "RGBX", "L", "CMYK"):
        image = _to_srgb(image.convert("RGB") if image.mode == "RGBX" else image, profile)
    return image if image.mode in ("RGB", "RGBX") else image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if values.max(initial=0) > 255 else 255.0
    return Image.fromarray((values.clip(0, top) * (255.0 / top)).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        converted = ImageCms.applyTransform(image, _to_srgb_from(profile, image.mode))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a broken profile is no profile
    return converted if converted is not None else image


@functools.lru_cache(maxsize=32)
def _to_srgb_from(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    """How pixels under a profile become sRGB; kept, for cameras write the same one every time."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(source, _SRGB, mode, "RGB")


def _cut(image: Image.Image, crop: str) -> Image.Image:
    x, y, w, h = (int(part) for part in crop.split(","))
    box = (max(0, x), max(0, y), min(image.width, x + w), min(image.height, y + h))
    if box[2] - box[0] < MIN_CROP_PX or box[3] - box[1] < MIN_CROP_PX:
        raise Undecodable("crop_outside_image")
    return image.crop(box)


def _kept_exif(image: ImageFile.ImageFile) -> bytes:
    kept, given = Image.Exif(), image.getexif()
    for tag in _KEPT_TAGS:
        value = given.get(tag)
        if isinstance(value, str) and value.strip("\0 "):
            text = value.strip("\0 ").encode("latin-1", "replace")  # the bytes as they were read
            kept[tag] = text[:MAX_TAG_BYTES]
    if missing := [tag for tag in _IPTC_OF if tag not in kept]:
        for tag, words in _credit(image, missing).items():
            kept[tag] = words[:MAX_TAG_BYTES]
    for told in [tag for tag in kept if _PLACE.search(kept[tag])]:
        del kept[told]
    return kept.tobytes() if len(kept) else b""


def _credit(image: ImageFile.ImageFile, tags: list[ExifTags.Base]) -> dict[ExifTags.Base, bytes]:
    """Creator and copyright, UTF-8, as XMP states them, else as IPTC does."""
    found: dict[ExifTags.Base, bytes] = {}
    xmp = image.info.get("xmp") or b""
    if isinstance(xmp, bytes) and 0 < len(xmp) < MAX_XMP_BYTES:
        try:
            elements = list(defusedxml.ElementTree.fromstring(xmp.strip(b"\0 ")).iter())
        except Exception:  # whatever is wrong with it, it credits nobody
            elements = []
        for tag in tags:
            words = ["".join(e.itertext()).strip() for e in elements if e.tag == _XMP_OF[tag]]
            found |= {tag: "; ".join(words).encode()} if any(words) else {}
    if "photoshop" in image.info:
        try:
            stated = IptcImagePlugin.getiptcinfo(image) or {}
        except Exception:  # the same
            stated = {}
        for tag in tags:
            value = stated.get(_IPTC_OF[tag])
            value = b"; ".join(value) if isinstance(value, list) else value
            if value and tag not in found:
                found[tag] = value.strip(b"\0 ")
    return found
