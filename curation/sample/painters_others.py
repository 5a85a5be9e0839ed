"""Painters of plants, fungi, single cells and bacteria, and the table of all painters."""

import math
from collections.abc import Callable

import numpy as np

from curation.sample.body import OUTLINE, Body, pattern, ring
from curation.sample.canvas import Pen, Points, blend
from curation.sample.painters_animals import beast, bug, radial, shell


def _plant(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    lean = float(pose.normal(0, 0.10))
    t = np.linspace(0, 1, 8)
    stem = np.stack([lean * t * t + 0.02 * np.sin(5 * t), -0.72 + 1.05 * t], 1)
    pen.line(stem, blend(b.base, b.dark, 0.3), 0.014 + 0.03 * b.aspect)
    leaves = b.limb_count + 1
    for k in range(leaves):
        at = (k + 0.6 + float(b.rng.normal(0, 0.12))) / (leaves + 0.8)
        x, y = lean * at * at, -0.72 + 1.0 * at
        side = 1 if (k % 2) else -1
        long = (0.18 + 0.34 * b.limb_length) * (1.15 - 0.6 * at)
        up = 0.15 + 0.9 * b.crest + float(pose.normal(0, 0.12))
        along = np.array([side * math.cos(up), math.sin(up)]) * long
        across = np.array([-along[1], along[0]]) * (0.10 + 0.28 * b.wing)
        root, tip = np.array([x, y]), np.array([x, y]) + along
        lobes = 2 + int(4 * b.texture)
        edge = []
        for q in range(lobes * 2 + 1):
            f = (q + 0.5) / (lobes * 2 + 1)
            bulge = math.sin(math.pi * f**0.8) * (1 if q % 2 == 0 else 1 - 0.6 * b.texture)
            edge.append((f, bulge))
        rim = [root + f * along + w * across for f, w in edge] + [tip]
        rim += [root + f * along - w * across for f, w in edge[::-1]]
        leaf = blend(b.base, b.pale if side > 0 else b.dark, 0.22)
        pen.poly(np.array([root, *rim]), leaf, 120 + 8 * (k % 5), outline=b.dark)
        pen.line(np.array([root, tip]), blend(b.base, b.pale, 0.45), 0.008)
        if b.pattern in ("spots", "bars", "blotches"):
            for f in (0.3, 0.5, 0.7):
                c = root + f * along
                dot = 0.10 * long * (0.5 + b.pattern_freq)
                pen.poly(ring(c[0], c[1], dot, dot * 0.7, 8), blend(leaf, b.pale, 0.5), 130)
    heads = [(stem[-1], 1.0)]
    if b.tail > 0.4:
        heads.insert(0, (stem[5] + [0.24 * (1 if lean < 0 else -1), 0.12], 0.6))
        pen.line(np.array([stem[4], heads[0][0]]), blend(b.base, b.dark, 0.3), 0.018)
    petals, turn = b.limb_count + 1, float(pose.uniform(0, 6.28))
    for spot, size in heads:
        reach = (0.10 + 0.20 * b.head) * size
        for layer, shrink in ((0, 1.0), (1, 0.66))[: 2 if b.wing > 0.5 else 1]:
            for k in range(petals):
                a = turn + 2 * math.pi * (k + 0.5 * layer) / petals + float(b.rng.normal(0, 0.05))
                half = (0.55 + 0.6 * b.aspect) * math.pi / petals
                angle = a + np.array([0, -half, -half * 0.7, 0, half * 0.7, half])
                blunt = 1.18 - 0.55 * (1 - b.beak)
                r = reach * shrink * np.array([0.1, 0.6, 0.95, max(0.85, 1.45 * blunt), 0.95, 0.6])
                petal = np.stack([r * np.cos(angle), 0.85 * r * np.sin(angle)], 1) + spot
                tone = blend(b.accent, (255, 250, 240), 0.14 * (k % 2) + 0.25 * layer)
                pen.poly(petal, tone, 190 + 6 * (k % 3), outline=blend(b.accent, b.dark, 0.5))
                if b.pattern in ("stripes", "rings"):
                    pen.line(np.array([petal[0], petal[3]]), blend(b.accent, b.dark, 0.5), 0.008)
        core = reach * (0.22 + 0.22 * b.eye)
        pen.poly(ring(spot[0], spot[1], core, core * 0.85), (222, 178, 52), 235, outline=b.dark)


def _fungus(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    flesh = blend((240, 228, 204), b.base, 0.15)
    group = [(0.0, 0.0, 1.0)]
    for side in (-1, 1)[: 1 + int(2 * b.rng.random())]:
        group.insert(
            0, (side * float(b.rng.uniform(0.3, 0.5)), 0.0, float(b.rng.uniform(0.4, 0.65)))
        )
    for x, y, k in group:
        tall, thick = (0.35 + 0.40 * b.limb_length) * k, (0.05 + 0.09 * b.aspect) * k
        wide, high = (0.22 + 0.26 * b.head) * k, (0.10 + 0.34 * b.crest) * k
        tip = x + float(pose.normal(0, 0.06))
        foot, top = y - 0.55, y - 0.55 + tall
        stem = [[x - thick * 1.4, foot], [tip - thick * 0.8, top], [tip + thick * 0.8, top]]
        pen.poly(
            np.array([*stem, [x + thick * 1.5, foot]]),
            flesh,
            130,
            outline=blend(flesh, b.dark, 0.6),
        )
        if b.tail > 0.4:
            skirt_y = top - 0.3 * tall
            skirt = [[tip - thick, skirt_y + 0.04], [tip + thick, skirt_y + 0.04]]
            skirt += [[tip + thick * 1.9, skirt_y - 0.05], [tip - thick * 1.8, skirt_y - 0.06]]
            pen.poly(np.array(skirt), blend(flesh, b.accent, 0.25), 160)
        under = 0.22 * wide
        pen.poly(ring(tip, top, wide, under, 20), blend(flesh, b.accent, 0.3), 150, outline=b.dark)
        for f in np.linspace(-0.9, 0.9, 9 + b.limb_count):
            rim = [tip + f * wide, top - under * math.sqrt(1 - f * f) * 0.9]
            pen.line(np.array([[tip + 0.2 * f * wide, top], rim]), blend(flesh, b.dark, 0.5), 0.006)

        def at(
            sv: Points, tip: float = tip, top: float = top, w: float = wide, h: float = high
        ) -> Points:
            s = np.clip(sv[:, 0], -1, 1)
            rise = np.maximum(0, 1 - np.abs(s) ** (1.4 + 1.6 * b.wing)) ** 0.6
            peak = 0.5 * b.beak * h * np.maximum(0, 1 - 3 * np.abs(s))
            up = (sv[:, 1] + 1) / 2
            return np.stack([tip + w * s * 1.03, top + up * (h * rise + peak) - 0.05 * h], 1)

        pen.poly(at(OUTLINE), b.base, 215, outline=b.dark)
        pattern(pen, b, at)


def _cell(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    amoeba = b.form == "protozoan"
    n = 40
    t = np.linspace(0, 2 * math.pi, n, endpoint=False)
    height = 0.20 + 0.22 * b.aspect
    lobes = 0.06 * np.sin(t + b.beak * 6) * b.crest
    if amoeba:
        lobes = 0.10 + 0.30 * b.limb_length * np.maximum(0, np.sin(b.limb_count * t / 1.5)) ** 2
        lobes += b.rng.normal(0, 0.03, n) + pose.normal(0, 0.04) * np.sin(3 * t)
    rim = np.stack([(0.42 + lobes) * np.cos(t), (height + lobes) * np.sin(t)], 1)
    clear = blend(b.base, (240, 240, 230), 0.45)
    if not amoeba:
        hairs = rim[:: 1 if b.texture > 0.5 else 2]
        for p in hairs:
            end = p * (1.12 + 0.22 * b.limb_length) + pose.normal(0, 0.015, 2)
            pen.line(np.array([p, end]), blend(b.dark, clear, 0.3), 0.008)
    if b.tail > 0.3:
        wave = np.linspace(0, 1, 14)
        whip = -0.42 - (0.15 + 0.5 * b.tail) * wave
        bend = 0.08 * wave * np.sin(9 * wave + float(pose.uniform(0, 6.28)))
        pen.line(np.stack([whip, bend], 1), b.dark, 0.014)
    pen.poly(rim, clear, 120, outline=b.dark)
    pen.line(np.concatenate([rim, rim[:1]]), blend(b.base, b.dark, 0.35), 0.014 + 0.03 * b.wing)
    count = 4 + int(14 * b.pattern_freq)
    organ = b.accent if not amoeba else blend(b.accent, clear, 0.4)
    for a, r in zip(b.rng.uniform(0, 6.28, count), b.rng.uniform(0.2, 0.8, count), strict=True):
        x, y = 0.40 * r * math.cos(a), height * r * math.sin(a)
        s = (0.022 + 0.03 * b.head) * (1.6 if amoeba else 1.0)
        pen.poly(ring(x, y, s * (1.7 if not amoeba else 1), s, 10), organ, 165, outline=b.dark)
    pattern(pen, b, lambda sv: sv * [0.30, height * 0.6]) if b.pattern in (
        "bars",
        "rings",
    ) else None
    core = 0.05 + 0.07 * b.eye
    pen.poly(ring(0.12, 0.03, core, core * 0.85), blend(b.dark, b.accent, 0.25), 215)
    pen.poly(ring(0.13, 0.04, core * 0.4, core * 0.35, 8), b.dark, 230)


def _bacterium(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    count = 10 + 3 * b.limb_count
    long, thick = 0.03 + 0.22 * b.limb_length, 0.035 + 0.035 * b.aspect
    chain = b.pattern in ("bars", "stripes", "rings")
    spot, angle = pose.uniform(-0.7, 0.7, 2), float(pose.uniform(0, 6.28))
    for k in range(count):
        if chain and k % (4 + b.limb_count):
            angle += float(pose.normal(0, 0.25))
            step = long + 1.7 * thick
            spot = spot + step * np.array([math.cos(angle), math.sin(angle)])
        else:
            spot, angle = pose.uniform((-0.95, -0.7), (0.95, 0.7)), float(pose.uniform(0, 6.28))
        along = np.array([math.cos(angle), math.sin(angle)]) * long / 2
        if b.tail > 0.45:
            t = np.linspace(0, 1, 8)
            side = np.array([-along[1], along[0]]) / long
            whip = spot - along * (1 + 5 * b.tail * t[:, None] * 0.05 / max(0.05, long / 2))
            whip = whip + (side * 0.05)[None, :] * np.sin(12 * t)[:, None]
            pen.line(whip, blend(b.base, b.pale, 0.2), 0.007)
        turn = np.linspace(-math.pi / 2, math.pi / 2, 6) + angle
        cap = thick * np.stack([np.cos(turn), np.sin(turn)], 1)
        tone = blend(b.base, b.dark, 0.35 * float(b.rng.random()))
        pen.poly(
            np.concatenate([spot + along + cap, spot - along - cap]), tone, 170, outline=b.dark
        )
        if b.eye > 0.4:
            core = ring(spot[0], spot[1], thick * 0.5, thick * 0.5, 8)
            pen.poly(core, blend(b.accent, b.pale, 0.3), 190)


PAINTERS: dict[str, Callable[[Pen, Body, np.random.Generator], None]] = {
    "beast": beast,
    "bird": beast,
    "crawler": beast,
    "fish": beast,
    "bug": bug,
    "shell": shell,
    "radial": radial,
    "plant": _plant,
    "fungus": _fungus,
    "chromist": _cell,
    "protozoan": _cell,
    "bacterium": _bacterium,
}
