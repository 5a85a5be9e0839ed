"""One individual as the painters see it, and the parts that several growth forms share."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curation.sample.canvas import Pen, Points, Rgb, blend


@dataclass(frozen=True)
class Body:
    """One individual as the painters see it: traits in 0..1 (see Look in `draw`) and colours."""

    form: str
    pattern: str
    limb_count: int
    aspect: float
    pattern_freq: float
    pattern_contrast: float
    limb_length: float
    beak: float
    eye: float
    tail: float
    head: float
    texture: float
    wing: float
    crest: float
    scale: float
    base: Rgb
    accent: Rgb
    dark: Rgb
    pale: Rgb
    rng: np.random.Generator


def ring(cx: float, cy: float, rx: float, ry: float, n: int = 20) -> Points:
    """Return the `n` corners of an ellipse."""
    t = np.linspace(0, 2 * math.pi, n, endpoint=False)
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1)


def pattern(pen: Pen, b: Body, at: Callable[[Points], Points]) -> None:
    """Paint the body pattern; `at` maps (s, v), both in -1..1 along and across, to the plane."""
    rng = b.rng
    colour = blend(b.base, b.accent if b.pattern_freq > 0.45 else b.dark, b.pattern_contrast)
    colour = blend(b.base, colour, 0.75)
    n = 3 + int(6 * b.pattern_freq)
    kind = b.pattern
    if kind == "bars":
        lines = np.linspace(-0.82, 0.82, n) + rng.normal(0, 0.03, n)
        for s in lines:
            w = 0.32 / n
            bar = [[s - w, -0.97], [s + w, -0.97], [s + 2 * w, 0], [s + w, 0.97], [s - w, 0.97]]
            pen.poly(at(np.array([*bar, [s, 0]])), colour)
    elif kind == "stripes":
        rows = max(2, n // 2)
        for v in np.linspace(-0.75, 0.75, rows) + rng.normal(0, 0.04, rows):
            s = np.linspace(-0.85, 0.85, 9)
            edge = 0.42 / rows * (1 - s**4)
            up = np.stack([s, v + edge], 1)
            pen.poly(at(np.concatenate([up, np.stack([s, v - edge], 1)[::-1]])), colour)
    elif kind != "plain":
        count = n * 3 if kind == "spots" else n + 2
        size = {"spots": 0.24, "blotches": 0.34, "rings": 0.30}[kind] / (0.6 + b.pattern_freq)
        for s, v in rng.uniform(-0.8, 0.8, (count, 2)):
            r = size * rng.uniform(0.6, 1.2)
            spot = ring(s, v, r * 0.5, r * (1 - 0.3 * abs(s)), 10)
            if kind == "blotches":
                spot += rng.normal(0, 0.07, spot.shape)
            pen.poly(at(np.clip(spot, -0.96, 0.96)), colour)
            if kind == "rings":
                pen.poly(at(np.clip(ring(s, v, r * 0.25, r * 0.5, 8), -0.95, 0.95)), b.base)


def eye(pen: Pen, b: Body, x: float, y: float, r: float) -> None:
    """Paint an eye of radius `r`: iris, pupil and glint."""
    pen.poly(ring(x, y, r, r, 14), blend(b.accent, (255, 240, 190), 0.6), 250)
    pen.poly(ring(x + 0.2 * r, y, 0.6 * r, 0.62 * r, 12), (14, 12, 14), 250)
    pen.poly(ring(x + 0.4 * r, y + 0.3 * r, 0.2 * r, 0.2 * r, 6), (255, 255, 255), 250)


def trunk(height: float, skew: float, bend: float) -> Callable[[Points], Points]:
    """Return the map from (s, v) in -1..1 to a spindle-shaped trunk one unit long."""

    def at(sv: Points) -> Points:
        s, v = np.clip(sv[:, 0], -1, 1), sv[:, 1]
        width = height * np.maximum(0, 1 - np.abs(s) ** 2.4) ** 0.62 * (1 + skew * s)
        return np.stack([0.5 * s, bend * (s * s - 0.4) + width * v], 1)

    return at


OUTLINE = np.concatenate(
    [
        np.stack([np.linspace(-1, 1, 16), np.ones(16)], 1),
        np.stack([np.linspace(1, -1, 16), -np.ones(16)], 1),
    ]
)
