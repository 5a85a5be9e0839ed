"""Draws made-up organisms whose looks are inherited down the taxonomic tree, with mutation.

Every rank of a lineage adds a random step to a latent vector, and a species' Look is read off the
vector's quantiles: sister species share all steps but the last. The pictures are cartoons with a
photographic finish (background, light, blur, noise, from `canvas`), wholly determined by integers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from curation.sample.body import Body
from curation.sample.canvas import (
    HABITATS,
    Pen,
    Points,
    Size,
    backdrop,
    blend,
    develop,
    from_hsv,
    generator,
)
from curation.sample.painters_others import PAINTERS
from curation.sample.scenes import (
    empty_frame,
    face,
    flat,
    museum_label,
    placeholder,
    site_view,
)
from curation.sample.taxa import Species

FORMS = tuple(PAINTERS)
PATTERNS = ("plain", "spots", "bars", "stripes", "blotches", "rings")

__all__ = [
    "FORMS",
    "HABITATS",
    "PATTERNS",
    "Look",
    "camera_trap_frame",
    "draw",
    "empty_frame",
    "face",
    "flat",
    "looks",
    "museum_label",
    "placeholder",
    "sea_scene",
]

# Share of the variance that each rank, kingdom to species, adds to every latent; the sum is 1.
_SHARES = (0.10, 0.12, 0.14, 0.22, 0.26, 0.10, 0.06)
_LATENTS: tuple[str, ...] = (
    *("aspect", "hue", "sat", "val", "accent_hue", "pattern", "pattern_freq", "pattern_contrast"),
    *("limb_count", "limb_length", "beak", "eye", "tail", "head", "texture", "wing", "crest"),
    "habitat",
)


@dataclass(frozen=True)
class Look:
    """The inherited appearance of a species.

    `form`, `pattern` and `habitat` index FORMS, PATTERNS and HABITATS; `limb_count` is 3 to 9;
    every other field is a trait in 0..1 (hues are fractions of the colour circle).
    """

    form: int
    habitat: int
    pattern: int
    limb_count: int
    aspect: float
    hue: float
    sat: float
    val: float
    accent_hue: float
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


def _form(species: Species) -> int:
    by_phylum = {"Arthropoda": "bug", "Mollusca": "shell", "Chordata": "crawler"}
    by_kingdom = {"Plantae": "plant", "Fungi": "fungus", "Chromista": "chromist"}
    by_kingdom |= {"Protozoa": "protozoan", "Bacteria": "bacterium"}
    if species.kingdom != "Animalia":
        return FORMS.index(by_kingdom[species.kingdom])
    by_class = {"Aves": "bird", "Mammalia": "beast", "Actinopterygii": "fish"}
    by_class |= {"Elasmobranchii": "fish", "Cephalopoda": "fish"}
    form = by_class.get(species.class_) or by_phylum.get(species.phylum, "radial")
    return FORMS.index("fish" if species.order == "Cetacea" else form)


def _look(latent: Points, form: int, marine: bool) -> Look:
    u = {k: 0.5 * (1 + math.erf(z / math.sqrt(2))) for k, z in zip(_LATENTS, latent, strict=True)}
    habitat = 2 if marine else (0, 1, 3, 4, 5)[min(4, int(5 * u.pop("habitat")))]
    u.pop("habitat", None)
    pattern = min(5, int(6 * u.pop("pattern")))
    limbs = 3 + min(6, int(7 * u.pop("limb_count")))
    return Look(form=form, habitat=habitat, pattern=pattern, limb_count=limbs, **u)


def looks(species: Sequence[Species], *, seed: int, inherited: bool = True) -> dict[str, Look]:
    """Return the Look of each species, keyed by binomial.

    With `inherited` the latents walk down the tree, so relatives resemble each other. Without it
    every species draws its own latents from the same marginal distribution, and the growth forms
    and marine flags are dealt out at random: the taxonomy then says nothing about the picture.
    """
    size = len(_LATENTS)
    steps: dict[tuple[str, ...], Points] = {}
    build = [(_form(one), one.marine) for one in species]
    if not inherited:
        order = generator("deal", seed).permutation(len(build))
        build = [build[int(i)] for i in order]
    out: dict[str, Look] = {}
    for one, (form, marine) in zip(species, build, strict=True):
        latent = np.zeros(size)
        if inherited:
            for depth, share in enumerate(_SHARES, start=1):
                node = one.lineage[:depth]
                if node not in steps:
                    rng = generator("node", seed, "/".join(node))
                    steps[node] = rng.standard_normal(size) * math.sqrt(share)
                latent = latent + steps[node]
        else:
            latent = generator("alone", seed, "/".join(one.lineage)).standard_normal(size)
        out[one.species] = _look(latent, form, marine)
    return out


_ENLARGED = {"plant": 1.25, "fungus": 1.2, "chromist": 1.15, "protozoan": 1.15, "bacterium": 1.1}
_YOUNG = frozenset({"juvenile", "immature", "larva", "nymph", "pupa", "seedling"})


def _body(look: Look, individual: int, sex: str | None, life_stage: str | None) -> Body:
    """Return the individual: small jitter on the look, then the shifts of sex and life stage.

    Males have a purer and brighter accent and a longer tail than females; the young are smaller
    and paler with a bigger head and a shorter tail. Both shifts are the same for every look.
    """
    rng = generator("body", individual, round(look.hue * 1e9), round(look.aspect * 1e9))
    male = {"male": 1.0, "female": -1.0}.get((sex or "").lower(), 0.0)
    young = 1.0 if (life_stage or "").lower() in _YOUNG else 0.0

    def near(value: float, step: float = 0.035) -> float:
        return min(1.0, max(0.0, value + step * float(rng.normal())))

    form = FORMS[look.form]
    hue, sat, val = (
        near(look.hue, 0.008),
        0.18 + 0.62 * near(look.sat),
        0.34 + 0.58 * near(look.val),
    )
    if form == "plant":  # foliage stays between yellow-green and blue-green
        hue, sat, val = 0.22 + 0.20 * hue, 0.35 + 0.5 * sat, 0.25 + 0.45 * val
    elif form == "fungus":  # caps stay between crimson and ochre
        hue, sat = 0.17 * hue - 0.04, 0.25 + 0.7 * sat
    base = from_hsv(hue, sat * (1 - 0.35 * young), val + (0.95 - val) * 0.35 * young)
    glow = float(rng.normal(0, 0.03))
    accent = from_hsv(
        near(look.accent_hue, 0.01), 0.66 + 0.26 * male - 0.2 * young, 0.78 + 0.17 * male + glow
    )
    return Body(
        form=form,
        pattern=PATTERNS[look.pattern],
        limb_count=look.limb_count,
        aspect=near(look.aspect),
        pattern_freq=near(look.pattern_freq),
        pattern_contrast=near(look.pattern_contrast),
        limb_length=near(look.limb_length),
        beak=near(look.beak, 0.02),
        eye=near(look.eye),
        tail=near(look.tail) * (1 + 0.30 * male) * (1 - 0.25 * young) + 0.06 * (male + 1),
        head=0.1 + 0.8 * near(look.head) + 0.35 * young,
        texture=near(look.texture),
        wing=near(look.wing),
        crest=near(look.crest),
        scale=(1 + 0.03 * float(rng.normal())) * (1 + 0.05 * male) * (1 - 0.30 * young),
        base=base,
        accent=accent,
        dark=blend(base, (12, 10, 16), 0.55),
        pale=blend(base, (250, 246, 235), 0.5),
        rng=rng,
    )


def _pose(pen: Pen, form: str, rng: np.random.Generator) -> None:
    if form in ("plant", "fungus"):
        pen.turn(float(rng.normal(0, 0.12)), mirrored=bool(rng.random() < 0.5))
    elif form in ("beast", "bird", "crawler", "fish", "shell"):
        pen.turn(float(rng.normal(0, 0.22)), mirrored=bool(rng.random() < 0.5))
    else:
        pen.turn(float(rng.uniform(0, 2 * math.pi)), mirrored=bool(rng.random() < 0.5))


def draw(
    look: Look,
    *,
    individual: int,
    shot: int = 0,
    sex: str | None = None,
    life_stage: str | None = None,
    size: Size = (480, 360),
) -> Image.Image:
    """Return an RGB picture, `size` pixels wide and high, of one individual in one shot.

    `individual` fixes its own small differences from the look; `shot` fixes the pose, background,
    light, blur and noise. `sex` knows "male" and "female", `life_stage` "juvenile" and its kin;
    anything else leaves the look alone.
    """
    body = _body(look, individual, sex, life_stage)
    rng = generator("shot", individual, shot, round(look.hue * 1e9), round(look.aspect * 1e9))
    microbe = body.form in ("chromist", "protozoan", "bacterium")
    image = backdrop(rng, "slide" if microbe else HABITATS[look.habitat], size)
    unit = min(size) * body.scale * float(rng.uniform(0.50, 0.74)) * _ENLARGED.get(body.form, 1.0)
    x = size[0] * float(rng.uniform(0.38, 0.62))
    y = size[1] * float(rng.uniform(0.42, 0.60))
    pen = Pen(image, (x, y), unit)
    _pose(pen, body.form, rng)
    PAINTERS[body.form](pen, body, rng)
    return develop(image, pen.relief, rng)


def camera_trap_frame(
    look: Look, site: int, individual: int, shot: int, size: Size = (480, 360)
) -> Image.Image:
    """Return the empty frame of `site` and `shot` with one small animal in it.

    The animal stands at a different place, from 8 to 24 % of the frame's height, in every shot.
    """
    view = site_view(site, shot, size)
    body = _body(look, individual, None, None)
    rng = generator("visit", site, individual, shot)
    unit = size[1] * body.scale * float(rng.uniform(0.12, 0.26))
    x, y = size[0] * float(rng.uniform(0.12, 0.88)), size[1] * float(rng.uniform(0.45, 0.82))
    pen = Pen(view.image, (x, y), unit)
    _pose(pen, body.form, rng)
    PAINTERS[body.form](pen, body, rng)
    return view.finish(pen.relief)


def sea_scene(
    animals: Sequence[tuple[Look, int, tuple[int, int, int, int]]], scene: int, size: Size
) -> Image.Image:
    """Return one underwater picture with several animals: (look, individual, box of x, y, w, h)."""
    rng = generator("scene", scene)
    image = backdrop(rng, "water", size)
    relief: Image.Image | None = None
    for look, individual, (x, y, w, h) in animals:
        body = _body(look, individual, None, None)
        own = generator("swim", scene, individual, round(look.hue * 1e9))
        pen = Pen(image, (x + w / 2, y + h / 2), min(w, h) * 0.62 * body.scale)
        _pose(pen, body.form, own)
        PAINTERS[body.form](pen, body, own)
        relief = pen.relief if relief is None else ImageChops.lighter(relief, pen.relief)
    return develop(image, relief, rng)
