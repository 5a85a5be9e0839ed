"""Painters of animals: beasts, birds, crawlers and fish on one plan, bugs, shells, radial forms."""

import math

import numpy as np

from curation.sample.body import OUTLINE, Body, eye, pattern, ring, trunk
from curation.sample.canvas import Pen, Points, blend


def beast(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    """Paint beasts, birds, crawlers and fish: one plan with the parts of each form."""
    fish, bird, crawler = (b.form == kind for kind in ("fish", "bird", "crawler"))
    height = (0.08 + 0.10 * b.aspect) if crawler else (0.13 + 0.17 * b.aspect)
    at = trunk(height, 0.25 * b.wing - 0.1, (b.crest - 0.5) * 0.16 + pose.normal(0, 0.02))
    wag = pose.normal(0, 0.10)
    tail = (0.30 if crawler else 0.12) + 0.50 * b.tail
    spread = 0.02 + (0.10 * b.wing if fish or bird else 0.0) + (0.10 if fish else 0.0)
    tip, root = -0.42 - tail, height * (0.55 if crawler else 0.35)
    root = root if fish or bird or crawler else 0.035 + 0.03 * b.texture
    lift = (b.texture - 0.4) * 0.4 * (0 if fish else 1) + wag
    notch = [tip + tail * 0.35 * (1 if fish else b.beak), lift * 0.8]
    fan = [[-0.38, root], [tip, lift + spread], notch, [tip, lift - spread], [-0.38, -root]]
    pen.poly(np.array(fan), blend(b.base, b.accent, 0.55), 120)
    leg = (0.10 + 0.42 * b.limb_length) * (0.6 if crawler else 1.0) * (1 + 0.1 * (not bird))
    pairs = 1 if bird or (fish and b.limb_count < 5) else 2
    if fish:
        for x, side in ((0.05, 1), (0.12, -1), (-0.2, -1))[: 1 + pairs]:
            y = side * height * 0.85
            fin = [[x + 0.12, y], [x - 0.14, y + side * leg * 0.8], [x - 0.17, y]]
            pen.poly(np.array(fin), blend(b.accent, b.base, 0.25), 110)
    else:
        for far in (True, False):
            for k in range(pairs):
                x = (0.22 - 0.48 * k) if pairs == 2 else 0.02
                knee = x + pose.normal(0.03, 0.07) + (0.08 if far else -0.02)
                foot = knee + pose.normal(0, 0.07)
                y = -height * 0.5
                skin = blend(b.dark, b.accent, 0.5 if pairs == 1 else 0.1)
                skin = blend(skin, (20, 18, 20), 0.35) if far else skin
                joints = [[x, y], [knee, y - leg * 0.5], [foot, y - leg]]
                pen.line(np.array([*joints, [foot + 0.06, y - leg]]), skin, 0.03 + 0.04 * b.aspect)
    pen.poly(at(OUTLINE), b.base, 165, outline=b.dark)
    belly = np.stack([np.linspace(-0.8, 0.95, 12), np.full(12, -0.95)], 1)
    pen.poly(at(np.concatenate([belly, [[0.9, -0.2], [0, -0.45], [-0.7, -0.5]]])), b.pale, 165)
    pattern(pen, b, at)
    strokes = int(50 * b.texture) if not fish else int(30 * b.texture)
    for s, v in b.rng.uniform(-0.85, 0.85, (strokes, 2)):
        ends = np.array([[s, v], [s - 0.08, v - 0.05]])
        pen.line(at(ends), blend(b.base, b.dark if v < 0.3 else b.pale, 0.5), 0.006)
    if bird or (fish and b.wing > 0.35):
        span = b.wing * (0.7 if fish else 1.0)
        wing = [[0.28, 0.1], [0.1, 0.85], [-0.5 * span, 0.5]]
        wing += [[-0.5 - 0.6 * span, -0.15], [-0.2, -0.5]]
        pen.poly(at(np.array(wing)), blend(b.base, b.accent, 0.75), 200, outline=b.dark)
    size = 0.085 + 0.11 * b.head
    neck = 0.0 if fish or crawler else 0.02 + 0.16 * (1 - b.aspect) + 0.03 * float(pose.normal())
    hx, hy = (0.46 if fish else 0.50) + 0.3 * neck, (0.02 if fish or crawler else 0.10) + neck
    if not fish:
        collar = [[0.30, height * 0.7], [hx, hy + size * 0.8], [hx, hy - size * 0.9], [0.38, -0.08]]
        ruff = blend(b.base, b.accent, 0.0 if bird else 0.55)
        pen.poly(np.array(collar), ruff, 170)
    sharp = bird or fish
    beak, bh = 0.03 + (0.36 if sharp else 0.24) * b.beak, size * (0.75 - 0.35 * b.beak)
    jaw = [
        [hx + size * 0.6, hy + bh],
        [hx + size * 0.8 + beak, hy - 0.03],
        [hx + size * 0.6, hy - bh],
    ]
    pen.poly(
        np.array(jaw),
        blend((226, 170, 60) if sharp else b.base, b.accent, 0.35 if sharp else 0.12),
        190,
        outline=b.dark,
    )
    if not (fish or bird or crawler):
        for x in (hx - 0.75 * size, hx + 0.1 * size):
            tall = size * (0.9 + 1.0 * b.crest)
            ear = [[x - 0.05, hy + 0.5 * size], [x - 0.04, hy + tall], [x + 0.06, hy + 0.6 * size]]
            pen.poly(np.array(ear), blend(b.base, b.dark, 0.3), 180, outline=b.dark)
    elif b.crest > 0.55:
        for k in range(3):
            x, h = hx - size * (0.6 - 0.45 * k), size * (0.8 + 1.1 * b.crest)
            tuft = [[x - 0.03, hy + size * 0.6], [x - 0.05, hy + h], [x + 0.04, hy + size * 0.7]]
            pen.poly(np.array(tuft), b.accent, 200)
    pen.poly(ring(hx, hy, size, size * 0.92), blend(b.base, b.dark, 0.2), 225, outline=b.dark)
    if b.pattern_contrast > 0.5:
        pen.poly(
            ring(hx, hy - 0.35 * size, 0.7 * size, 0.45 * size), blend(b.base, b.pale, 0.8), 225
        )
    eye(pen, b, hx + 0.25 * size, hy + 0.2 * size, 0.018 + 0.045 * b.eye)


def bug(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    """Paint an arthropod from above."""
    height = 0.08 + 0.15 * b.aspect
    at = trunk(height, -0.2, float(pose.normal(0, 0.03)))
    reach = 0.16 + 0.34 * b.limb_length
    pairs = 3 if b.limb_count < 7 else 4
    for side in (1.0, -1.0):
        for k in range(pairs):
            x = 0.26 - 0.15 * k
            step = x + (1.2 - k) * 0.12 + float(pose.normal(0, 0.035))
            knee = [step, side * (height + reach * 0.5)]
            foot = [step + (1.2 - k) * 0.12, side * (height + reach)]
            pen.line(np.array([[x, 0], knee, foot]), b.dark, 0.016 + 0.014 * b.aspect)
        feeler = [[0.6, 0], [0.78, side * 0.10], [0.8 + 0.3 * b.crest, side * 0.22]]
        pen.line(np.array(feeler) + pose.normal(0, 0.015, (3, 2)), b.dark, 0.014)
        if b.tail > 0.4:
            pen.line(np.array([[-0.45, 0], [-0.5 - 0.35 * b.tail, side * 0.1]]), b.dark, 0.016)
    jaw = [[0.6, 0.05], [0.68 + 0.36 * b.beak, 0.0], [0.6, -0.05]]
    pen.poly(np.array(jaw), blend(b.dark, b.accent, 0.4), 150)
    pen.poly(at(OUTLINE), b.base, 165, outline=b.dark)
    pattern(pen, b, at)
    pen.poly(ring(0.33, 0, 0.14, height * 0.9), blend(b.base, b.dark, 0.55), 190, outline=b.dark)
    size = 0.06 + 0.08 * b.head
    pen.poly(ring(0.5 + size * 0.4, 0, size, size * 1.05), blend(b.base, b.dark, 0.3), 210)
    for side in (1.0, -1.0):
        r = 0.016 + 0.035 * b.eye
        pen.poly(ring(0.52 + size * 0.6, side * size * 0.75, r * 1.2, r), b.accent, 240)
    if b.wing > 0.3:
        span, fold = 0.16 + 0.62 * b.wing, float(pose.normal(0, 0.05))
        for side in (1.0, -1.0):
            for back in (True, False):
                root, ax = (0.16, -0.30) if back else (0.30, 0.10)
                out = span * (0.8 if back else 1.0)
                sweep = ax + fold * side + 0.12 * b.crest
                edge = [[root, 0.03], [sweep + 0.22, out * 0.85], [sweep + 0.12, out]]
                edge += [[sweep - 0.12, out * 0.9], [root - 0.28, 0.25 * out], [root - 0.22, 0.04]]
                wing = np.array(edge) * [1, side]
                tone = blend(b.accent, b.base, 0.45 if back else 0.0)
                pen.poly(wing, tone, 135 if back else 175, outline=b.dark)
                mid = wing.mean(0)
                if b.pattern != "plain":
                    spot = ring(mid[0], mid[1], 0.05, 0.18 * out, 12)
                    pen.poly(spot, blend(tone, b.dark, b.pattern_contrast), 175)
                pen.line(np.array([wing[0], wing[2]]), b.dark, 0.008)
                pen.line(np.array([wing[0], mid, wing[3]]), b.dark, 0.008)


def shell(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    """Paint a snail-like animal with a coiled shell."""
    foot = [[-0.5 - 0.3 * b.tail, -0.25], [-0.2, -0.12], [0.35, -0.1], [0.6, 0.05], [0.68, -0.08]]
    pen.poly(np.array([*foot, [0.6, -0.26]]), blend(b.pale, b.base, 0.4), 140, outline=b.dark)
    for k in range(2):
        tip = np.array([0.70 + 0.06 * k, 0.12 + 0.25 * b.limb_length - 0.06 * k])
        tip += pose.normal(0, 0.02, 2)
        pen.line(np.array([[0.6, 0.0], tip]), blend(b.pale, b.dark, 0.3), 0.03)
        eye(pen, b, float(tip[0]), float(tip[1]), 0.015 + 0.03 * b.eye)
    t = np.linspace(0, 1, 34)
    height, spire = 0.28 + 0.20 * b.aspect, 0.05 + 0.45 * b.beak

    def at(sv: Points) -> Points:
        s, v = sv[:, 0], sv[:, 1]
        rim = np.sqrt(np.maximum(0, 1 - s * s))
        y = 0.14 + height * v * rim
        return np.stack([0.40 * s - 0.05 - spire * 0.6 * np.maximum(0, v * rim), y], 1)

    pen.poly(at(OUTLINE), b.base, 190, outline=b.dark)
    pattern(pen, b, at)
    turns, radius = 1.4 + 0.25 * b.limb_count, 1 - t
    spiral = np.stack([radius * np.cos(turns * 6.28 * t), radius * np.sin(turns * 6.28 * t)], 1)
    pen.line(at(spiral * 0.92), blend(b.dark, b.accent, 0.3), 0.02 + 0.02 * b.texture)


def radial(pen: Pen, b: Body, pose: np.random.Generator) -> None:
    """Paint an animal of arms around a disc."""
    arms = b.limb_count + 2
    disc, reach = 0.14 + 0.20 * b.head, 0.22 + 0.34 * b.limb_length
    width = (0.5 + 0.7 * b.aspect) * math.pi / arms
    swing = pose.normal(0, 0.10, arms)
    for k in range(arms):
        a = 2 * math.pi * k / arms
        out = disc + reach * (1 + 0.12 * float(b.rng.normal()))
        angle = [a - width, a - width * 0.5, a, a + width * 0.5, a + width]
        shift = np.array([0, 0.8, 1.2, 0.8, 0]) * swing[k]
        r = np.array([disc * 0.8, 0.5 * (out + disc), out, 0.5 * (out + disc), disc * 0.8])
        limb = np.stack([r * np.cos(angle + shift), r * np.sin(angle + shift)], 1)
        pen.poly(limb, blend(b.base, b.accent, 0.35 * (k % 2)), 120 + 4 * (k % 9), outline=b.dark)
        for q in range(1 + int(3 * b.pattern_freq)):
            d, tilt = disc + (out - disc) * (0.15 + 0.2 * q), a + 0.7 * swing[k]
            r2 = (0.012 + 0.02 * b.eye) * (1 - 0.15 * q)
            pen.poly(ring(d * math.cos(tilt), d * math.sin(tilt), r2, r2, 8), b.accent, 150)
        if b.tail > 0.45:
            wave = np.linspace(out * 0.9, out + 0.3 * b.tail, 5)
            bend = a + swing[k] + 0.12 * np.sin(9 * wave + float(pose.uniform(0, 6)))
            thread = np.stack([wave * np.cos(bend), wave * np.sin(bend)], 1)
            pen.line(thread, blend(b.base, b.pale, 0.5), 0.012)
    pen.poly(ring(0, 0, disc, disc * 0.96, 24), b.base, 200, outline=b.dark)

    def at(sv: Points) -> Points:
        rim = np.sqrt(np.maximum(0, 1 - sv[:, 0] ** 2))
        return np.stack([disc * sv[:, 0], disc * 0.95 * sv[:, 1] * rim], 1)

    pattern(pen, b, at)
    core = 0.03 + 0.10 * b.beak
    pen.poly(ring(0.02, -0.01, core, core * 0.85), blend(b.dark, b.accent, 0.4), 240)
