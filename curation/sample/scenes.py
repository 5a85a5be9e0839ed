"""Pictures without an organism: labels, empty camera-trap frames, faces, cards, flat frames."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from curation.sample.body import ring
from curation.sample.canvas import (
    Pen,
    Size,
    backdrop,
    blend,
    develop,
    from_hsv,
    generator,
    grain_of,
)


def _words(rng: np.random.Generator, count: int) -> str:
    parts = (
        "ra",
        "lo",
        "mi",
        "ten",
        "dus",
        "ca",
        "po",
        "ver",
        "sil",
        "ae",
        "nus",
        "gri",
        "to",
        "ban",
    )
    made = ("".join(rng.choice(parts, int(rng.integers(2, 4)))) for _ in range(count))
    return " ".join(made).capitalize()


@lru_cache(maxsize=16)
def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)


def museum_label(seed: int, size: Size = (480, 360)) -> Image.Image:
    """Return a picture of a specimen label: made-up printed words, handwriting, maybe a barcode."""
    rng = generator("label", seed)
    width, height = size
    image = Image.new("RGB", size, from_hsv(rng.uniform(0.05, 0.65), 0.15, rng.uniform(0.25, 0.6)))
    pen = ImageDraw.Draw(image)
    left, top = width * rng.uniform(0.05, 0.16), height * rng.uniform(0.06, 0.2)
    right, bottom = width * rng.uniform(0.82, 0.95), height * rng.uniform(0.74, 0.94)
    skew = rng.normal(0, 0.03) * height
    paper = from_hsv(rng.uniform(0.09, 0.14), rng.uniform(0.05, 0.25), rng.uniform(0.86, 0.97))
    corners = [
        (left, top + skew),
        (right, top - skew),
        (right, bottom - skew),
        (left, bottom + skew),
    ]
    pen.polygon([(x + 5, y + 6) for x, y in corners], fill=(30, 28, 26))
    pen.polygon(corners, fill=paper, outline=(120, 110, 96))
    ink, step = (38, 34, 40), height * 0.085
    y, barcode = top + step * 0.6 + abs(skew), rng.random() < 0.5
    limit = bottom - abs(skew) - step * (2.6 if barcode else 1.1)
    while y < limit:
        x = left + width * 0.04
        if rng.random() < 0.6:
            font = _font(int(step * rng.uniform(0.6, 0.85)))
            date = f" {rng.integers(1, 31)}.{rng.integers(1, 13)}.{rng.integers(1850, 2020)}"
            text = _words(rng, int(rng.integers(2, 5)))
            while font.getlength(text + date) > right - x - 8 and " " in text:
                text = text.rpartition(" ")[0]
            pen.text((x, y), text + date, fill=ink, font=font)
        else:
            end = x + rng.uniform(0.3, 0.85) * (right - left)
            t = np.arange(x, min(end, right - 8), 2.5)
            wobble = np.cumsum(rng.normal(0, 1.6, t.size)) * 0.5 + 5 * np.sin(
                t * rng.uniform(0.3, 0.6)
            )
            line = np.stack([t, y + step * 0.5 + np.clip(wobble, -step * 0.4, step * 0.4)], 1)
            pen.line(line.ravel().tolist(), fill=(40, 46, 96), width=2)
        y += step * rng.uniform(1.0, 1.3)
    if barcode:
        x, end = left + width * 0.05, left + width * rng.uniform(0.35, 0.6)
        while x < end:
            bar = int(rng.integers(1, 5))
            pen.rectangle((x, limit + step * 0.4, x + bar, limit + step * 1.9), fill=ink)
            x += bar + int(rng.integers(1, 5))
    return develop(image, None, rng)


@dataclass(frozen=True)
class Site:
    """A camera-trap view before the finish: the picture, its light, its shot's generator."""

    image: Image.Image
    sun: tuple[float, float]
    night: bool
    rng: np.random.Generator

    def finish(self, relief: Image.Image | None) -> Image.Image:
        """Return the developed frame: grey at night, with the camera's dark strip below."""
        grey = self.image.convert("L").convert("RGB") if self.night else self.image
        exposure = float(self.rng.uniform(0.86, 1.12))
        frame = develop(grey, relief, self.rng, exposure=exposure, sun=self.sun)
        if self.night:
            frame = frame.convert("L").convert("RGB")
        box = (0, int(frame.height * 0.94), frame.width, frame.height)
        ImageDraw.Draw(frame).rectangle(box, fill=(12, 12, 14))
        return frame


def site_view(site: int, shot: int, size: Size) -> Site:
    """Return the view of a site for one shot, shifted by at most four pixels."""
    fixed, rng = generator("site", site), generator("trap", site, shot)
    habitat = ("meadow", "forest", "litter", "sand")[int(fixed.integers(4))]
    night = bool(fixed.random() < 0.35)
    sun = float(fixed.uniform(0, 2 * math.pi)), float(fixed.uniform(0.05, 0.35))
    large = backdrop(fixed, habitat, (size[0] + 4, size[1] + 4))
    x, y = (int(v) for v in rng.integers(0, 5, 2))
    return Site(large.crop((x, y, x + size[0], y + size[1])), sun, night, rng)


def empty_frame(site: int, shot: int, size: Size = (480, 360)) -> Image.Image:
    """Return a camera-trap frame of a site without an animal.

    Shots of one site differ only by light, noise and a shift of at most four pixels.
    """
    return site_view(site, shot, size).finish(None)


def face(seed: int, size: Size = (480, 360)) -> Image.Image:
    """Return a cartoon of a frontal human face with skin, eyes, brows, mouth and hair."""
    rng = generator("face", seed)
    image = backdrop(rng, ("meadow", "sky", "sand")[int(rng.integers(3))], size)
    centre = (size[0] * rng.uniform(0.38, 0.62), size[1] * rng.uniform(0.45, 0.58))
    pen = Pen(image, centre, size[1] * float(rng.uniform(0.30, 0.42)))
    pen.turn(float(rng.normal(0, 0.08)))
    skin = from_hsv(rng.uniform(0.04, 0.08), rng.uniform(0.30, 0.60), rng.uniform(0.45, 0.95))
    hair = from_hsv(rng.uniform(0.02, 0.12), rng.uniform(0.1, 0.7), rng.uniform(0.08, 0.7))
    shirt, dark = (
        from_hsv(rng.random(), 0.6, rng.uniform(0.3, 0.8)),
        blend(skin, (60, 20, 16), 0.45),
    )
    wide, long = float(rng.uniform(0.52, 0.66)), float(rng.uniform(0, 1))
    pen.poly(ring(0, 0.22, wide * 1.22, 0.80), hair, 110)
    if long > 0.5:
        drop = [[-wide * 1.25, 0.2], [-wide * 1.2, -0.9], [wide * 1.15, -0.95], [wide * 1.25, 0.2]]
        pen.poly(np.array(drop), hair, 105)
    pen.poly(np.array([[-1.2, -1.8], [-0.7, -0.98], [0.7, -1.0], [1.25, -1.8]]), shirt, 120)
    pen.poly(np.array([[-0.24, -1.15], [-0.22, -0.5], [0.22, -0.5], [0.25, -1.15]]), dark, 130)
    for side in (-1.0, 1.0):
        pen.poly(ring(side * wide, 0, 0.10, 0.17, 12), skin, 140)
    pen.poly(ring(0, 0, wide, 0.80, 32), skin, 190)
    fringe = float(rng.uniform(0.25, 0.45))
    top = np.linspace(0.1 * math.pi, 0.9 * math.pi, 12)
    cap = np.stack([wide * 1.06 * np.cos(top), 0.86 * np.sin(top)], 1)
    part = [
        [-wide * 0.5, fringe],
        [float(rng.uniform(-0.3, 0.3)), fringe + 0.18],
        [wide * 0.6, fringe],
    ]
    pen.poly(np.concatenate([cap, part]), hair, 210)
    iris = from_hsv(rng.choice((0.07, 0.09, 0.3, 0.58)), 0.6, rng.uniform(0.3, 0.6))
    for side in (-1.0, 1.0):
        x, y = side * wide * 0.42, 0.08 + float(rng.normal(0, 0.008))
        pen.poly(ring(x, y, 0.125, 0.07, 16), (248, 246, 242), 195)
        pen.poly(ring(x, y, 0.06, 0.062, 12), iris, 195)
        pen.poly(ring(x, y, 0.03, 0.03, 8), (10, 8, 8), 195)
        brow = [[x - 0.14, y + 0.14], [x, y + 0.19], [x + 0.14, y + 0.15]]
        pen.line(np.array(brow), hair, 0.045, 195)
        pen.poly(
            ring(side * wide * 0.55, -0.22, 0.13, 0.09, 12), blend(skin, (220, 90, 80), 0.2), 190
        )
    pen.line(np.array([[0.02, 0.08], [0.07, -0.18], [-0.05, -0.2]]), dark, 0.03, 215)
    smile = float(rng.uniform(0.0, 0.10))
    lips = [
        [-0.20, -0.40],
        [0, -0.38],
        [0.21, -0.40],
        [0.08, -0.46 - smile],
        [-0.08, -0.46 - smile],
    ]
    pen.poly(np.array(lips), blend(dark, (190, 50, 60), 0.5), 195)
    return develop(image, pen.relief, rng)


def placeholder(size: Size = (480, 360)) -> Image.Image:
    """Return the "image not available" card, the same for every call at one size."""
    image = Image.new("RGB", size, (232, 232, 234))
    pen = ImageDraw.Draw(image)
    x, y, s = size[0] / 2, size[1] * 0.42, min(size) * 0.16
    pen.rectangle((x - s * 1.3, y - s, x + s * 1.3, y + s), outline=(150, 150, 156), width=4)
    pen.polygon(
        [(x - s, y + s * 0.7), (x - s * 0.2, y - s * 0.3), (x + s, y + s * 0.7)],
        fill=(186, 186, 190),
    )
    pen.ellipse((x + s * 0.3, y - s * 0.7, x + s * 0.8, y - s * 0.2), fill=(186, 186, 190))
    font = _font(max(8, size[1] // 16))
    pen.text(
        (x, size[1] * 0.72), "Image not available", fill=(110, 110, 116), font=font, anchor="mm"
    )
    return image


def flat(seed: int, size: Size = (480, 360)) -> Image.Image:
    """Return a nearly uniform picture, such as a covered or overexposed lens gives."""
    rng = generator("flat", seed)
    value = float(rng.choice((0.04, 0.3, 0.6, 0.97)))
    colour = np.array(from_hsv(rng.random(), 0.15 * rng.random(), value))
    grain = np.resize(grain_of(2), size[0] * size[1] * 3).reshape(size[1], size[0], 3)
    start = int(rng.integers(size[1]))
    pixels = np.clip(np.roll(grain, start, 0) + colour, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))
