"""What happens to a picture on its way through the web, as functions of an RGB picture."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Alter = Callable[[Image.Image], Image.Image]


def jpeg_bytes(image: Image.Image, quality: int) -> bytes:
    """The picture as a JPEG of this quality."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def jpeg(image: Image.Image, quality: int = 90) -> Image.Image:
    """The picture after a JPEG of this quality."""
    return Image.open(io.BytesIO(jpeg_bytes(image, quality))).convert("RGB")


def _resized(scale: float) -> Alter:
    return lambda i: i.resize(
        (max(1, round(i.width * scale)), max(1, round(i.height * scale))), Image.Resampling.LANCZOS
    )


def _brightness(factor: float) -> Alter:
    return lambda i: ImageEnhance.Brightness(i).enhance(factor)


def _contrast(factor: float) -> Alter:
    return lambda i: ImageEnhance.Contrast(i).enhance(factor)


def _cropped(left: float, top: float, right: float, bottom: float) -> Alter:
    return lambda i: i.crop((round(i.width * left), round(i.height * top), i.width - round(i.width * right),
                             i.height - round(i.height * bottom)))  # fmt: skip


def _caption_box(image: Image.Image) -> Image.Image:
    """A white box of 35 % × 7 % in a lower corner, with words in it."""
    out, (w, h) = image.copy(), image.size
    pen = ImageDraw.Draw(out)
    pen.rectangle((0, h - round(h * 0.07), round(w * 0.35), h), fill="white")
    pen.text((4, h - round(h * 0.06)), "photo 17", fill="black", font=_font(h * 0.04))
    return out


def _caption_strip(image: Image.Image) -> Image.Image:
    """A dark strip over the lowest 8 %."""
    out, (w, h) = image.copy(), image.size
    pen = ImageDraw.Draw(out)
    pen.rectangle((0, h - round(h * 0.08), w, h), fill=(16, 16, 18))
    pen.text((8, h - round(h * 0.075)), "photo archive 17/4", fill="white", font=_font(h * 0.05))
    return out


def _credit(image: Image.Image) -> Image.Image:
    out, (w, h) = image.copy(), image.size
    ImageDraw.Draw(out).text(
        (w * 0.62, h * 0.93), "(c) A. Person 2019", fill="white", font=_font(h * 0.045)
    )
    return out


def _watermark(image: Image.Image) -> Image.Image:
    """Large half-transparent words across the middle."""
    w, h = image.size
    mark = Image.new("L", image.size)
    ImageDraw.Draw(mark).text((w * 0.12, h * 0.42), "SAMPLE PHOTO", 110, _font(w * 0.11))
    return Image.composite(Image.new("RGB", image.size, "white"), image, mark)


def _strip_below(image: Image.Image) -> Image.Image:
    """A white strip of 7 % added under the picture."""
    out = Image.new("RGB", (image.width, image.height + round(image.height * 0.07)), "white")
    out.paste(image, (0, 0))
    return out


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(8, size))


NEAR: dict[str, Alter] = {
    "half size": _resized(0.5), "80 % size": _resized(0.8), "JPEG quality 60": lambda i: jpeg(i, 60),
    "JPEG quality 30": lambda i: jpeg(i, 30), "brightness +10 %": _brightness(1.1),
    "brightness -20 %": _brightness(0.8), "contrast +10 %": _contrast(1.1), "contrast -10 %": _contrast(0.9),
    "grey": lambda i: i.convert("L").convert("RGB"),
}  # fmt: skip
"""Must be found at the default distance."""

CONFIRMED: dict[str, Alter] = {
    "caption box 35 x 7 %": _caption_box, "caption strip 8 %": _caption_strip, "corner credit": _credit,
    "central watermark": _watermark, "crop 1 % each side": _cropped(0.01, 0.01, 0.01, 0.01),
    "crop 1.5 % each side": _cropped(0.015, 0.015, 0.015, 0.015), "crop 2 % each side": _cropped(0.02, 0.02, 0.02, 0.02),
    "crop 2 % of one side": _cropped(0, 0, 0.02, 0), "brightness +30 %": _brightness(1.3), "mirror": ImageOps.mirror,
}  # fmt: skip
"""Must be found by candidates whose pixels agree."""

PRINTED: dict[str, Alter] = {
    "crop 3 % each side": _cropped(0.03, 0.03, 0.03, 0.03), "crop 5 % each side": _cropped(0.05, 0.05, 0.05, 0.05),
    "crop 8 % each side": _cropped(0.08, 0.08, 0.08, 0.08), "crop 5 % of one side": _cropped(0, 0, 0, 0.05),
    "mirror and crop 2 %": lambda i: ImageOps.mirror(_cropped(0.02, 0.02, 0.02, 0.02)(i)),
    "strip added below": _strip_below, "turned by 2 degrees": lambda i: i.rotate(2, Image.Resampling.BICUBIC),
}  # fmt: skip
"""Not promised."""
