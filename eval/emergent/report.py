"""The page about what emerged: emergence.html and emergence.md, in words that a biologist reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.ranks import RANKS
from eval import page
from eval.emergent import alignment, drawings
from eval.emergent.orthogonality import Estimate
from eval.model import PIXELS, RANDOM, UNTRAINED
from eval.page import Section, number

if TYPE_CHECKING:
    from eval.emergent.judge import Found

ABOUT = (
    "A model that was trained on names alone may still know how species live, and keep apart what varies within one. This page "
    "measures both, and how much of it would be there anyway.",
    "Two models that learned nothing stand beside those asked about: `pixels`, which is colours and edges, and the first model with "
    "random weights. What they can do, nobody had to learn.",
)
TRAITS = (
    "Does the space of pictures follow the trait? Each species is the mean of its pictures. `axis read on other clades` asks the "
    "hardest question: of species whose relatives were all kept out, how well does the axis order the trait (rank correlation, or "
    "area under the curve: 0 and 0.5 are nothing, 1 is all)?",
    "Relatives look alike and live alike, so some of it is ancestry. `by kin` is what the figure would be for a trait that came "
    "down the same tree by itself, apart from the looks, with as much of it shared among relatives; p (kin) is how rarely that does "
    "as well, p (all) the same for all figures of the trait asked at once. Only `beyond ancestry` (p (all) below 0.05) says more than "
    "that relatives are alike; where many traits or models are asked, one in twenty says it by chance. 95 % come from leaving out one clade after another.",
)
SHARES = (
    "How much of the trait species share at each rank, from the top; `own` is what no relatives have in common. A trait that is "
    "all shared high up cannot be told from ancestry with so few clades, whatever the model.",
)
VARIANTS = (
    "What tells sexes or ages of one species apart: does it lie across the directions in which species differ? rho is the share of "
    "the difference within the species' space: near the share that a random space holds, it is across; near 1, what makes a male "
    "different also makes a species different. Fisher's ratio says how well the variants are told apart, 0 is not at all.",
    "A low rho is no merit by itself: read it with Fisher's ratio (where variants are not told apart there is no rho), and beside "
    "`space of noise`, what a space found from differences of no meaning holds. What chance adds to the means of few pictures is taken off. "
    "95 % by leaving out one species after another.",
)
OTHERS = (
    "The same on vectors as the model gives them, and by other definitions: `as published` is the mean of shares over species with the noise "
    "of few pictures left in; `of the spread` takes the variance within variants for the difference between them; the angles are those between "
    "the species' space and that of as many differences; `variants shuffled` is Fisher's ratio with variants dealt out anew.",
)
THEORY = (
    "Theorem 5.1 of BioCLIP 2 says that contrastive training does not see what of a picture's deviation lies across the differences of the "
    "species' prototypes. `gradient outside` is how much of the gradient lies there after all: 0 where the theorem holds. With unit "
    "vectors, as CLIP has them, it does not hold as it stands, and what a deviation across costs beside one within is told instead; "
    "where prototypes span all dimensions, nothing lies across and it says nothing.",
    "`within` and `across` are what a deviation as long as a prototype adds to the loss. `effective` is how many dimensions the "
    "prototypes fill (participation ratio).",
)


def write(out: Path, found: Found) -> Path:
    """Both files; returns the HTML."""
    parts = [Section("What this is", ABOUT), *_in_short(found)]
    if found.alignments:
        parts.append(Section("Traits of species", TRAITS, ("set", "trait", "species", "figure", "model", "value", "95 %", "by chance", "p (chance)", "by kin", "p (kin)", "p (all)", "says"), _traits(found)))  # fmt: skip
        rows = [(asked, trait, str(n), *map(number, shares), number(1 - sum(shares))) for asked, trait, n, shares in found.shares]  # fmt: skip
        parts.append(Section("How much of a trait is ancestry", SHARES, ("set", "trait", "species", *RANKS[:-1], "own"), rows))  # fmt: skip
    if found.variants:
        path = out / "figures" / "variants-rho.png"
        drawings.rho(path, found.variants)
        heads = ("set", "variant", "model", "species' space", "species", "r", "random space", "rho", "95 %", "space of noise", "Fisher's ratio", "95 %")  # fmt: skip
        parts.append(Section("Variation within species", VARIANTS, heads, _variants(found), path))
    parts += [Section(title, figure=path) for title, path in found.drawn]
    if found.checks:
        path = out / "figures" / "theory.png"
        drawings.costs(
            path, [(f"{check.name}\n{model}", check) for _, model, check in found.checks]
        )
        columns = ("prototypes", "model", "number", "dimensions", "span", "effective", "mean |cos|", "scale", "vectors", "gradient outside", "Hessian outside", "within", "across", "theorem")  # fmt: skip
        parts.append(Section("The theorem, checked", THEORY, columns, _checks(found), path))
    if found.variants:
        more = ("set", "variant", "model", "vectors", "species' space", "rho", "as published", "of the spread", "mean cos² of angles", "Fisher's ratio", "as published", "variants shuffled")  # fmt: skip
        parts.append(
            Section("Variation within species: other definitions", OTHERS, more, _others(found))
        )
    return page.write(out, "emergence", "What emerged", parts, [*(f"not done: {why}" for why in found.undone), *found.notes])  # fmt: skip


def _is_control(model: str) -> bool:
    return model == PIXELS or model.startswith(UNTRAINED) or model.endswith(f":{RANDOM}")


def _in_short(found: Found) -> list[Section]:
    """What a reader wants first: of every model asked about, the figure that asks most, beside what nobody had to learn."""
    traits, kinds = list[Sequence[str]](), list[Sequence[str]]()
    hardest = [row for row in found.alignments if row[4].figure.startswith(alignment.HARDEST)]
    for asked, model, trait, _, one in hardest:
        if not _is_control(model):
            bare = [(m, o.value) for a, m, t, _, o in hardest if (a, t) == (asked, trait) and _is_control(m)]  # fmt: skip
            traits.append((trait, asked, model, number(one.value), _interval(one.low, one.high), _listed(bare), _learned(one, bare)))  # fmt: skip
    by_three = [row for row in found.variants if row[3] == "unit" and row[4].space == "three species"]  # fmt: skip
    for asked, model, kind, _, measured in by_three:
        if not _is_control(model):
            bare = [(m, o.fdr.value) for a, m, k, _, o in by_three if (a, k) == (asked, kind) and _is_control(m)]  # fmt: skip
            kinds.append((kind, asked, model, *_told(measured.fdr), _listed(bare), *_told(measured.rho), number(measured.rho_noise), number(measured.by_chance)))  # fmt: skip
    made = []
    if traits:
        heads = (
            "trait",
            "set",
            "model",
            "read on other clades",
            "95 %",
            "without learning",
            "says",
        )
        made.append(Section("In short: traits", (), heads, traits))
    if kinds:
        columns = ("variant", "set", "model", "Fisher's ratio", "95 %", "without learning", "rho, of three species", "95 %", "of noise", "random space")  # fmt: skip
        made.append(Section("In short: variation within species", (), columns, kinds))
    return made


def _listed(bare: Sequence[tuple[str, float]]) -> str:
    """What models that learned nothing reach."""
    return ", ".join(f"{PIXELS if name == PIXELS else 'random weights'} {number(value)}" for name, value in bare)  # fmt: skip


def _learned(one: alignment.Alignment, bare: Sequence[tuple[str, float]]) -> str:
    """The verdict, and whether it is more than nobody had to learn."""
    if one.verdict != alignment.BEYOND:
        return one.verdict
    if one.low > max((value for _, value in bare), default=0.0):
        return f"{one.verdict}, and more than without learning"
    return f"{one.verdict}, but not told from what needs no learning"


def _traits(found: Found) -> list[Sequence[str]]:
    ordered = sorted(found.alignments, key=lambda row: (row[0], row[2], row[4].figure))  # the models of a figure together  # fmt: skip
    return [(asked, trait, str(n), one.figure, model, number(one.value), _interval(one.low, one.high), number(one.chance), number(one.p_random),
             number(one.kin), number(one.p_kin), number(one.p_together), one.verdict) for asked, model, trait, n, one in ordered]  # fmt: skip


def _variants(found: Found) -> list[Sequence[str]]:
    ordered = sorted(found.variants, key=lambda row: (row[0], row[2], row[4].space != "three species"))  # fmt: skip
    return [(asked, kind, model, one.space, str(one.n_species), f"{one.r:.1f}", number(one.by_chance), *_told(one.rho), number(one.rho_noise), *_told(one.fdr))
            for asked, model, kind, words, one in ordered if words == "unit"]  # fmt: skip


def _others(found: Found) -> list[Sequence[str]]:
    return [(asked, kind, model, words, one.space, number(one.rho.value), number(one.rho_published), number(one.rho_spread.value), number(one.angle),
             number(one.fdr.value), number(one.fdr_published), number(one.fdr_shuffled)) for asked, model, kind, words, one in found.variants]  # fmt: skip


def _checks(found: Found) -> list[Sequence[str]]:
    return [(check.name, model or "-", str(check.n), str(check.dim), str(check.span), f"{check.filled:.1f}", number(check.cosine), f"{check.scale:.1f}",
             "unit" if check.normalised else "plain", f"{check.gradient_outside:.1e}", f"{check.hessian_outside:.1e}",
             number(check.costs[-1].within), number(check.costs[-1].across), check.says) for _, model, check in found.checks]  # fmt: skip


def _told(value: Estimate) -> tuple[str, str]:
    return number(value.value), _interval(value.low, value.high)


def _interval(low: float, high: float) -> str:
    return "-" if low != low else f"{number(low)} to {number(high)}"
