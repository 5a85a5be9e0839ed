"""What a picture of the sample world shows, how it was altered, and its bytes in a file format.

A Shot is a few words and numbers; `render` turns it into the same bytes every time. Edits are the
ways in which one photograph comes back: saved again, scaled, cut, brightened, mirrored, captioned.
"""

import hashlib
import io
import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from curation.sample import draw

FORMATS = (
    *("png", "png_alpha", "png_16bit", "palette_gif", "animated_gif", "cmyk_jpeg", "tiff"),
    *("webp", "avif", "rotated_jpeg", "gps_jpeg", "grey_jpeg"),
)
MEDIA_TYPES = {
    "png": "image/png",
    "png_alpha": "image/png",
    "png_16bit": "image/png",
    "palette_gif": "image/gif",
    "animated_gif": "image/gif",
    "tiff": "image/tiff",
    "webp": "image/webp",
    "avif": "image/avif",
}
QUALITY = 85

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Shot:
    """One picture: what is on it (`kind`), who, how it was altered and how it is encoded.

    `animals` are the (species, individual, box) of a sea scene; `edit` is a word and a strength of
    `edited`; `form` is "jpeg" or one of FORMATS.
    """

    kind: str
    species: str = ""
    individual: int = 0
    shot: int = 0
    sex: str = ""
    stage: str = ""
    size: tuple[int, int] = (480, 360)
    animals: tuple[tuple[str, int, Box], ...] = ()
    edit: str = ""
    strength: float = 0.0
    form: str = "jpeg"
    artist: str = ""


@dataclass(frozen=True)
class Reply:
    """What the server answers at one address: a picture and a way to deliver it."""

    behaviour: str = "ok"
    shot: Shot | None = None
    target: str = ""


def dice(*key: object) -> random.Random:
    """Return a random source that depends only on the printed form of `key`."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


def drawn(shot: Shot, looks: Mapping[str, draw.Look]) -> Image.Image:
    """Return the picture before it is altered."""
    number = shot.individual
    if shot.kind == "organism":
        return draw.draw(
            looks[shot.species],
            individual=number,
            shot=shot.shot,
            sex=shot.sex or None,
            life_stage=shot.stage or None,
            size=shot.size,
        )
    if shot.kind == "trap":  # `shot` is the site times 1000 plus the frame
        site, frame = divmod(shot.shot, 1000)
        return draw.camera_trap_frame(looks[shot.species], site, number, frame, shot.size)
    if shot.kind == "empty_frame":
        site, frame = divmod(shot.shot, 1000)
        return draw.empty_frame(site, frame, shot.size)
    if shot.kind == "scene":
        animals = [(looks[name], one, box) for name, one, box in shot.animals]
        return draw.sea_scene(animals, shot.shot, shot.size)
    if shot.kind == "museum_label":
        return draw.museum_label(number, shot.size)
    if shot.kind == "face":
        return draw.face(number, shot.size)
    if shot.kind == "flat":
        return draw.flat(number, shot.size)
    assert shot.kind == "placeholder", shot.kind
    return draw.placeholder(shot.size)


def edited(image: Image.Image, edit: str, strength: float) -> Image.Image:
    """Return `image` altered: the strength is a share of a side, or a factor of size or light."""
    width, height = image.size
    if edit == "resized":
        return image.resize(
            (round(width * strength), round(height * strength)), Image.Resampling.LANCZOS
        )
    if edit == "cropped":
        x, y = round(width * strength), round(height * strength)
        return image.crop((x, y, width - x // 2, height - y // 2))
    if edit == "bright":
        return ImageEnhance.Brightness(image).enhance(strength)
    if edit == "turned":  # degrees, as a scan lies askew
        return image.rotate(strength, Image.Resampling.BICUBIC, fillcolor=(236, 234, 228))
    if edit == "watermark":  # strength is its opacity, 0 to 255
        mark = Image.new("L", image.size)
        font = ImageFont.load_default(max(10, width * 0.11))
        ImageDraw.Draw(mark).text(
            (width * 0.1, height * 0.4), "SAMPLE ARCHIVE", int(strength), font
        )
        return Image.composite(Image.new("RGB", image.size, "white"), image, mark)
    if edit == "mirrored":
        return ImageOps.mirror(image)
    if edit == "caption":
        out, tall = image.copy(), max(12, round(height * strength))
        pen = ImageDraw.Draw(out)
        pen.rectangle((0, height - tall, width, height), fill=(16, 16, 18))
        font = ImageFont.load_default(max(8, tall * 0.6))
        pen.text((8, height - tall), "photo archive 17/4", fill=(240, 240, 236), font=font)
        return out
    return image


def render(shot: Shot, looks: Mapping[str, draw.Look]) -> bytes:
    """Return the bytes of the picture file."""
    image = edited(drawn(shot, looks), shot.edit, shot.strength)
    quality = int(shot.strength) if shot.edit == "reencoded" else QUALITY
    return encoded(image, shot.form, quality, shot.artist)


def encoded(image: Image.Image, form: str, quality: int, artist: str) -> bytes:
    """Return `image` as a file of one of FORMATS, or as JPEG."""
    out = io.BytesIO()
    if form == "png":
        image.save(out, "PNG")
    elif form == "png_alpha":
        alpha = Image.linear_gradient("L").resize(image.size).point(lambda v: min(255, 120 + v))
        image.putalpha(alpha)
        image.save(out, "PNG")
    elif form == "png_16bit":
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(out, "PNG")
    elif form == "palette_gif":
        image.quantize(128).save(out, "GIF")
    elif form == "animated_gif":
        frames = [f.quantize(64) for f in (image, ImageOps.mirror(image))]
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=200)
    elif form == "cmyk_jpeg":
        image.convert("CMYK").save(out, "JPEG", quality=quality)
    elif form in ("tiff", "webp", "avif"):
        image.save(out, form.upper(), quality=quality)
    elif form == "grey_jpeg":
        image.convert("L").save(out, "JPEG", quality=quality)
    else:
        exif = Image.Exif()
        if artist:
            exif[ExifTags.Base.Artist] = artist
            exif[ExifTags.Base.Copyright] = f"(c) {artist}"
        if form == "rotated_jpeg":  # stored lying on its side; the tag says to turn it upright
            image = image.transpose(Image.Transpose.ROTATE_90)
            exif[ExifTags.Base.Orientation] = 6
        if form == "gps_jpeg":
            place = {1: "N", 2: (51.0, 27.0, 30.5), 3: "E", 4: (7.0, 1.0, 12.25)}
            exif.get_ifd(ExifTags.IFD.GPSInfo).update(place)
        image.save(out, "JPEG", quality=quality, exif=exif)
    return out.getvalue()


def broken(data: bytes, behaviour: str) -> bytes:
    """Return a picture file damaged on its way: cut off, or a picture by its first bytes only."""
    if behaviour == "truncated_file":
        return data[: len(data) * 2 // 3]
    if behaviour == "corrupt":
        return data[:4] + dice("corrupt", len(data)).randbytes(20_000)
    return data
