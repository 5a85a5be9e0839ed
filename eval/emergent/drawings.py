"""Figures of what emerged: species in the plane that shows them best, variants across it, what deviations cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval.drawings import COLOURS, INK
from eval.emergent import orthogonality as orth
from eval.emergent.orthogonality import Orthogonality
from eval.emergent.theory import Check

if TYPE_CHECKING:
    from eval.emergent.judge import Means
    from eval.emergent.variants import Variants
    from eval.examples import Examples
    from eval.features import Features
    from eval.model import Model

N_THUMBNAILS, THUMBNAIL_PX = 18, 40
PERPLEXITY, TSNE_LEAST = 15.0, 30  # of t-SNE, and how many species it takes to be of any use

Floats = NDArray[np.float64]


def species(path: Path, title: str, examples: Examples, shown: Sequence[tuple[str, Means, Floats]], classes: Sequence[str]) -> None:  # fmt: skip
    """A column per model: its species on their first two principal axes and by t-SNE, coloured by the trait, with pictures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(shown), 8.4), dpi=110, layout="constrained")
    axes = figure.subplots(2, len(shown), squeeze=False)
    for column, (model, own, values) in enumerate(shown):
        centred = own.vectors - own.vectors.mean(0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        planes = [("principal axes", u[:, :2] * s[:2]), ("t-SNE", _tsne(centred))]
        for row, (name, plane) in enumerate(planes):
            one = axes[row][column]
            if plane is None:
                one.text(0.5, 0.5, f"fewer than {TSNE_LEAST} species", ha="center")
                one.set_axis_off()
                continue
            _scatter(figure, one, plane, values, classes)
            if row == 0:
                _thumbnails(one, plane, examples, own.example)
            one.set_title(f"{model}\n{name}", fontsize=8, color=INK, parse_math=False)
    figure.suptitle(title, fontsize=10, color=INK, parse_math=False)
    _finish(figure, path)


def variants(path: Path, title: str, seen: Sequence[tuple[Model, Features]], kind: Variants) -> None:  # fmt: skip
    """A panel per model: pictures of three species along their main direction and across it, along what varies within."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(seen), 4.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(seen), squeeze=False)[0]
    for one, (model, its) in zip(panels, seen, strict=True):
        vectors = its.unit().astype(np.float64)
        keep = np.where(its.good, kind.variant, -1)
        cells = sorted(orth.cells(kind.species, keep), key=lambda both: -min(map(len, both)))[:3]
        halves = [[(part[::2], part[1::2]) for part in both] for both in cells]
        means = np.stack([np.mean([vectors[a].mean(0) for a, _ in both], axis=0) for both in halves])  # fmt: skip
        _, _, v = np.linalg.svd(means - means.mean(0), full_matrices=False)
        basis = v[:2]
        across = np.mean([vectors[both[1]].mean(0) - vectors[both[0]].mean(0) for both in cells], axis=0)  # fmt: skip
        across -= basis.T @ (basis @ across)
        across /= max(float(np.linalg.norm(across)), 1e-12)
        for k, (both, half) in enumerate(zip(cells, halves, strict=True)):
            ends = []
            for v_, (_, other) in enumerate(
                half
            ):  # drawn are pictures that the plane was not found on
                x, y = (vectors[other] - means.mean(0)) @ basis[0], (vectors[other] - means.mean(0)) @ across  # fmt: skip
                one.scatter(x, y, s=14, marker="ox"[v_], color=COLOURS[k], alpha=0.7, linewidths=1)
                ends.append((x.mean(), y.mean()))
            one.plot(*zip(*ends, strict=True), color=INK, linewidth=1.6)
            name = kind.names[int(kind.species[both[0][0]])]
            one.annotate(name, ends[1], fontsize=7, color=COLOURS[k], parse_math=False)
        one.set_title(model.name, fontsize=8, color=INK, parse_math=False)
        one.set(xlabel="between species", ylabel=f"across them: {kind.words[0]} (o), {kind.words[1]} (x)")  # fmt: skip
    figure.suptitle(title, fontsize=10, color=INK, parse_math=False)
    _finish(figure, path)


def rho(path: Path, told: Sequence[tuple[str, str, str, str, Orthogonality]]) -> None:
    """Of every set and variant, three species at a time: rho and Fisher's ratio of every model, with intervals and chance."""
    from matplotlib.figure import Figure

    its = [row for row in told if row[3] == "unit" and row[4].space == "three species"]
    groups = list(dict.fromkeys((row[0], row[2]) for row in its))
    models = list(dict.fromkeys(row[1] for row in its))
    figure = Figure(
        figsize=(9, 1.6 + 0.5 * len(groups) * (1 + 0.4 * len(models))),
        dpi=120,
        layout="constrained",
    )
    left, right = figure.subplots(1, 2)
    height = 0.8 / len(models)
    legend: dict[str, Any] = {}
    for asked, model, kind, _, one in its:
        g, m = groups.index((asked, kind)), models.index(model)
        y = g + (m - (len(models) - 1) / 2) * height
        for axes, value in ((left, one.rho), (right, one.fdr)):
            legend[model] = axes.barh(y, value.value, height * 0.9, color=COLOURS[m % len(COLOURS)])
            axes.plot([value.low, value.high], [y, y], color=INK, linewidth=1.4)
        left.plot([one.by_chance] * 2, [y - height / 2, y + height / 2], color="#a33", linewidth=1.2)  # fmt: skip
        left.plot(one.rho_noise, y, "D", markersize=3, color=INK, fillstyle="none")
    for axes, name in ((left, "rho: lower is across species\n(red: a random space; diamond: a space of noise)"), (right, "Fisher's ratio: higher is apart")):  # fmt: skip
        axes.set_yticks(range(len(groups)), [f"{kind}\n{asked}" for asked, kind in groups], fontsize=7, parse_math=False)  # fmt: skip
        axes.invert_yaxis()
        axes.set_xlabel(name, fontsize=8)
    left.set_xlim(-0.1, 1.1)  # intervals of what is noise go far beyond
    left.legend(list(legend.values()), list(legend), fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)  # fmt: skip
    _finish(figure, path)


def costs(path: Path, checks: Sequence[tuple[str, Check]]) -> None:
    """What a deviation within and across adds to the loss, by its size; a column per prototypes, unit vectors below."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for name, _ in checks))
    figure = Figure(figsize=(3.4 * len(names), 5.8), dpi=110, layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False)
    for name, check in checks:
        one = panels[int(check.normalised)][names.index(name)]
        size = [cost.size for cost in check.costs]
        scales = [c.scale for n, c in checks if (n, c.normalised) == (name, check.normalised)]
        shade = COLOURS[scales.index(check.scale) % len(COLOURS)]
        one.plot(size, [cost.within for cost in check.costs], "-", color=shade, label=f"scale {check.scale:.0f}, within")  # fmt: skip
        one.plot(size, [cost.across for cost in check.costs], ":", color=shade, label=f"scale {check.scale:.0f}, across")  # fmt: skip
        one.set_title(f"{name}\n{'unit' if check.normalised else 'plain'} vectors", fontsize=8, parse_math=False)  # fmt: skip
        one.set(xlabel="size of the deviation", ylabel="rise of the loss")
        one.tick_params(labelsize=7)
    for axes in panels[0]:
        axes.legend(fontsize=6, frameon=False)
    _finish(figure, path)


def _tsne(vectors: Floats) -> Floats | None:
    from sklearn.manifold import TSNE

    if len(vectors) < TSNE_LEAST:
        return None
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    made: Floats = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors.astype(np.float32))  # fmt: skip
    return made


def _scatter(figure: Any, axes: Any, plane: Floats, values: Floats, classes: Sequence[str]) -> None:
    if classes:
        for c, name in enumerate(classes):
            its = values == c
            axes.scatter(*plane[its].T, s=16, color=COLOURS[c % len(COLOURS)], marker="osD^v"[c // len(COLOURS) % 5], label=name, alpha=0.85)  # fmt: skip
        axes.legend(fontsize=6, frameon=False)
    else:
        ranks = values.argsort().argsort()
        axes.scatter(*plane.T, s=16, c=ranks, cmap="viridis", alpha=0.9)
    axes.set_xticks([])
    axes.set_yticks([])


def _thumbnails(axes: Any, plane: Floats, examples: Examples, places: Sequence[int]) -> None:
    """A few species' pictures where the species lie, far from one another."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    from catalog import pixels

    scaled = (plane - plane.mean(0)) / np.maximum(plane.std(0), 1e-12)
    chosen = [int((scaled**2).sum(1).argmax())]
    while len(chosen) < min(N_THUMBNAILS, len(plane)):
        far = ((scaled[:, None] - scaled[chosen]) ** 2).sum(2).min(1)
        chosen.append(int(far.argmax()))
    for at in chosen:
        try:
            image = pixels.decode(examples.source.image(places[at])).image
        except (pixels.Undecodable, OSError):
            continue
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        box = AnnotationBbox(OffsetImage(np.asarray(image), zoom=0.8), plane[at], pad=0.1, frameon=False)  # fmt: skip
        axes.add_artist(box)


def _finish(figure: Any, path: Path) -> None:
    for axes in figure.axes:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for text in axes.get_legend().get_texts() if axes.get_legend() else ():
            text.set_parse_math(False)  # names as they are: a dollar sign in one is no formula
    figure.savefig(path, metadata={"Software": None})
