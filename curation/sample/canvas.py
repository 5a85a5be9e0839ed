"""The tools that put colour on a canvas: seeded generators, a pen, backgrounds, the finish.

Each is a pure function of its seeds. A pen has its own coordinate frame and keeps a relief beside
the picture, from which `develop` makes light and shadow.
"""

import colorsys
import hashlib
import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Rgb = tuple[int, int, int]
Size = tuple[int, int]
Points = npt.NDArray[np.float64]
HABITATS = ("meadow", "forest", "water", "litter", "sand", "sky", "slide")
# Two ends of a habitat's colour field, then the colour of its foreground things.
_PALETTES: dict[str, tuple[Rgb, Rgb, Rgb]] = {
    "meadow": ((196, 214, 170), (92, 138, 58), (70, 122, 44)),
    "forest": ((96, 118, 84), (30, 44, 34), (40, 66, 34)),
    "water": ((58, 126, 160), (8, 30, 58), (150, 200, 214)),
    "litter": ((150, 116, 80), (70, 48, 32), (128, 84, 40)),
    "sand": ((226, 204, 164), (176, 140, 96), (140, 116, 90)),
    "sky": ((226, 234, 244), (120, 158, 204), (90, 96, 84)),
    "slide": ((238, 240, 232), (204, 212, 214), (180, 190, 190)),
}


def generator(*key: object) -> np.random.Generator:
    """Return a generator that depends only on the printed form of `key`."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def blend(one: Rgb, other: Rgb, share: float) -> Rgb:
    """Return `one` moved towards `other` by `share` (0..1), channel by channel."""
    r, g, b = (int(p + (q - p) * share) for p, q in zip(one, other, strict=True))
    return r, g, b


def from_hsv(hue: float, sat: float, val: float) -> Rgb:
    """Return the colour of a hue (fraction of the circle), saturation and value, both clipped."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, min(1.0, max(0.0, sat)), min(1.0, max(0.0, val)))
    return int(255 * r), int(255 * g), int(255 * b)


class Pen:
    """Draws in an organism's frame (y up, body about one unit long) on a picture and its relief.

    The relief is a grey picture at a quarter of the size whose level tells how near a part is to
    the viewer; `develop` turns it into light and shadow.
    """

    def __init__(self, image: Image.Image, centre: tuple[float, float], unit: float) -> None:
        """Start a pen on `image` with its origin at `centre` and `unit` pixels to one length."""
        self.relief = Image.new("L", (image.width // 4, image.height // 4))
        self._draws = ImageDraw.Draw(image), ImageDraw.Draw(self.relief)
        self._centre, self.unit = np.array(centre), unit
        self._matrix = np.array([[unit, 0.0], [0.0, -unit]])

    def turn(self, angle: float, mirrored: bool = False) -> None:
        """Rotate the frame by `angle` radians against the clock, mirrored left-right if asked."""
        c, s, m = math.cos(angle), math.sin(angle), -1.0 if mirrored else 1.0
        self._matrix = self.unit * np.array([[c * m, -s * m], [-s, -c]])

    def poly(
        self, points: Points, colour: Rgb, level: int = 165, outline: Rgb | None = None
    ) -> None:
        """Fill a polygon, in the relief with `level` (0..255)."""
        flat = points @ self._matrix + self._centre
        self._draws[0].polygon(flat.ravel().tolist(), fill=colour, outline=outline)
        self._draws[1].polygon((flat * 0.25).ravel().tolist(), fill=level)

    def line(self, points: Points, colour: Rgb, width: float, level: int = 130) -> None:
        """Draw a line `width` lengths thick."""
        flat = points @ self._matrix + self._centre
        px = max(1, round(width * self.unit))
        self._draws[0].line(flat.ravel().tolist(), fill=colour, width=px, joint="curve")
        if px > 3:
            self._draws[1].line((flat * 0.25).ravel().tolist(), fill=level, width=max(1, px // 4))


def backdrop(rng: np.random.Generator, habitat: str, size: Size) -> Image.Image:
    """Return a picture of `size` pixels of one of HABITATS, without any organism in focus."""
    width, height = size
    light, deep, thing = _PALETTES[habitat]
    slide = habitat == "slide"
    y, x = np.mgrid[0:36, 0:48] / np.array([36.0, 48.0])[:, None, None]
    angle, horizon = rng.uniform(-0.5, 0.5), rng.uniform(0.1, 0.9)
    field = 1 / (1 + np.exp(-rng.uniform(3, 12) * (y + angle * (x - 0.5) - horizon)))
    coarse = np.zeros((36, 48))
    for cx, cy, r, amount in rng.uniform((0, 0, 0.06, -1), (1, 1, 0.3, 1), (14, 4)):
        coarse += amount * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (r * r))
    field = field + (0.12 if slide else 0.55) * coarse + rng.normal(0, 0.02, (36, 48))
    if slide:
        field = field * 0.4 + 7.0 * np.maximum(0, np.hypot(x - 0.5, y - 0.5) - 0.46)
    shift = rng.normal(0, 12, 3)
    ends = np.array([light, deep], float) + shift
    pixels = ends[0] + np.clip(field, -0.3, 1.3)[..., None] * (ends[1] - ends[0])
    low = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    image = low.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    tint = np.clip(np.array(thing) + shift, 0, 255)
    count = {"meadow": 60, "forest": 26, "water": 22, "litter": 60, "sand": 34, "sky": 9}
    for u, v, a, b, c in rng.random((count.get(habitat, 14), 5)):
        r, g, k = (int(q) for q in np.clip(tint * (0.55 + 0.8 * c), 0, 255))
        px, py, s = u * width, v * height, height * (0.5 + a) * 0.05
        if habitat == "meadow":
            py, tall = height * (1.05 - 0.5 * v * v), height * (0.12 + 0.4 * a)
            tip = (px + (b - 0.5) * tall * 0.9, py - tall)
            pen.polygon([(px, py), tip, (px + 3 + 5 * c, py)], fill=(r, g, k))
        elif habitat == "forest":
            if a < 0.4:
                w, lean = width * (0.01 + 0.05 * b), (c - 0.5) * 60
                trunk = [(px, height), (px + lean, 0), (px + w + lean, 0), (px + w * 1.4, height)]
                pen.polygon(trunk, fill=(r // 2 + 14, g // 2 + 6, k // 2 + 4))
            else:
                pen.ellipse((px - 2 * s, py * 0.8 - s, px + 2 * s, py * 0.8 + s), fill=(r, g, k))
        elif habitat == "litter":
            turn = 6.28 * b
            dx, dy = 2 * s * math.cos(turn), 2 * s * math.sin(turn)
            leaf = [(px - dx, py - dy), (px - dy / 3, py + dx / 3), (px + dx, py + dy)]
            pen.polygon([*leaf, (px + dy / 3, py - dx / 3)], fill=(r, g, k))
        elif habitat == "sky":  # twigs reaching in from the left or the right
            side, level = (0 if b < 0.5 else width), py + (a - 0.5) * height * 0.4
            knee = ((side + px) / 2, level)
            pen.line([(side, py), knee, (px, level - 40 * c)], fill=(r, g, k), width=int(2 + 5 * a))
            end = level - 40 * c
            pen.ellipse((px - 1.6 * s, end - 0.4 * s, px + s, end + 0.5 * s), fill=(g, r, k // 2))
        elif habitat == "sand":
            pen.ellipse((px - s, py - s * 0.6, px + s, py + s * 0.6), fill=(r, g, k))
        else:
            s *= 0.5 * b
            pen.ellipse((px - s, py - s, px + s, py + s), outline=(r, g, k), width=1 + int(2 * c))
    return image


@lru_cache(maxsize=4)
def grain_of(level: int) -> npt.NDArray[np.int16]:
    """Return a fixed strip of sensor noise, `level` / 2 grey levels strong."""
    noise = generator("grain", level).normal(0, level / 2, 1 << 20)
    return np.rint(noise).astype(np.int16)


def _soften(pixels: npt.NDArray[np.uint16], *, twice: bool) -> npt.NDArray[np.uint16]:
    """Mix every pixel with its left and upper neighbour; twice: also with the right and lower."""
    soft = 2 * pixels
    soft[:, 1:] += pixels[:, :-1]
    soft[1:] += pixels[:-1]
    soft[:, 0] += pixels[:, 0]
    soft[0] += pixels[0]
    soft >>= 2
    return _soften(soft[::-1, ::-1], twice=False)[::-1, ::-1].copy() if twice else soft


def develop(
    image: Image.Image,
    relief: Image.Image | None,
    rng: np.random.Generator,
    *,
    exposure: float | None = None,
    sun: tuple[float, float] | None = None,
) -> Image.Image:
    """Return `image` lit, tinted, slightly blurred and with sensor noise.

    `exposure` is the brightness factor and `sun` the direction of the light in radians with the
    strength of its gradient; both are drawn at random when None.
    """
    small = (max(1, image.width // 4), max(1, image.height // 4))
    y, x = np.mgrid[0 : small[1], 0 : small[0]].astype(np.float32)
    x, y = x / small[0] - 0.5, y / small[1] - 0.5
    turn, slope = sun or (rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.35))
    shade = 1 + slope * (math.cos(turn) * x + math.sin(turn) * y) - 0.35 * (x * x + y * y)
    if relief is not None:
        near = np.asarray(relief, np.float32) / 255
        soft = np.asarray(relief.filter(ImageFilter.BoxBlur(3)), np.float32) / 255
        lx, ly = math.cos(turn) * 0.7, 0.9
        dome = np.zeros_like(soft)
        dome[3:-3, 3:-3] = lx * (soft[3:-3, 6:] - soft[3:-3, :-6])
        dome[3:-3, 3:-3] += ly * (soft[6:, 3:-3] - soft[:-6, 3:-3])
        shadow = np.roll(soft, (5, int(4 * math.cos(turn))), (0, 1))
        shadow[:5] = 0
        edge = np.asarray(relief.filter(ImageFilter.BoxBlur(1)), np.float32) / 110
        inside = np.clip(2 * edge - 1, 0, 1)
        inner, outer = 1.02 + 0.85 * np.clip(dome, -0.5, 0.45), 1 - 0.5 * shadow * (near == 0)
        shade *= outer + inside * (inner - outer)
    light = rng.uniform(0.80, 1.18) if exposure is None else exposure
    tint = (rng.normal(0, 0.035, 3) + light).astype(np.float32)
    lamp = np.clip(shade[..., None] * tint * 128, 0, 255).astype(np.uint8)
    full = Image.fromarray(lamp).resize(image.size, Image.Resampling.BILINEAR)
    pixels = _soften(np.asarray(image).astype(np.uint16), twice=bool(rng.random() < 0.2))
    pixels *= np.asarray(full)
    pixels >>= 7
    grain = grain_of(int(rng.integers(5, 9)))
    start = int(rng.integers(0, grain.size // 2))
    noise = grain[start : start + pixels.size]
    noise = noise if noise.size == pixels.size else np.resize(grain, pixels.size)
    out = pixels.view(np.int16) + noise.reshape(pixels.shape)
    return Image.fromarray(np.clip(out, 0, 255, out=out).astype(np.uint8))
