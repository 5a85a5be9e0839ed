"""The page of `scaling`: every figure over scale, and what its slope says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval import page
from eval.drawings import COLOURS, INK
from eval.page import Section, number

if TYPE_CHECKING:
    from eval.emergent.scaling import Figure

ABOUT = (
    "Models of nested parts of one dataset, all trained and judged alike. `of pictures` keeps a share of the pictures of all taxa, "
    "`of taxa` all pictures of a share of the taxa. `equal steps` trains all as long, `equal epochs` goes as often through what there is, "
    "so that less data also means less training: what grows there only may be training, not scale.",
    "Each line is a mean over seeds, its points are the seeds; dotted are models that learned nothing: colours and edges, and random weights.",
    "A slope is per tenfold more, the mean over seeds; 95 % by Student's t. What is `not told from level` may still rise or fall.",
)
Trend = Mapping[tuple[str, str, str], tuple[float, float, float]]


def write(out: Path, rows: Sequence[Figure], controls: Sequence[tuple[str, str, float]], trend: Trend, undone: Sequence[str] = ()) -> Path:  # fmt: skip
    """scaling.html and scaling.md with their figure, in `out`; returns the former."""
    from eval.emergent.scaling import says

    (out / "figures").mkdir(parents=True, exist_ok=True)
    path = out / "figures" / "scaling.png"
    draw(path, rows, controls)
    told = [(of, equal, figure, f"{slope:+.3f}", f"{low:+.3f} to {high:+.3f}", says(low, high)) for (of, equal, figure), (slope, low, high) in trend.items()]  # fmt: skip
    shares = sorted({row.share for row in rows})
    means = [(figure, of, equal, *(number(_mean(rows, figure, of, equal, share)) for share in shares), *(number(_control(controls, name, figure)) for name in _names(controls)))
             for figure in _figures(rows) for of, equal in _ways(rows)]  # fmt: skip
    parts = [
        Section("What this is", ABOUT, figure=path),
        Section("Does it rise or fall?", (), ("of", "equal", "figure", "slope per tenfold", "95 %", "says"), told),
        Section("Means over seeds", (), ("figure", "of", "equal", *(f"{share:g}" for share in shares), *_names(controls)), means),
    ]  # fmt: skip
    return page.write(out, "scaling", "Scale", parts, [f"not done: {why}" for why in undone])


def draw(path: Path, rows: Sequence[Figure], controls: Sequence[tuple[str, str, float]]) -> None:
    """A panel per figure, a line per way of dividing and training."""
    from matplotlib.figure import Figure as Drawing

    figures, ways = _figures(rows), _ways(rows)
    columns = min(3, len(figures))
    drawing = Drawing(
        figsize=(4.2 * columns, 3.1 * -(-len(figures) // columns)), dpi=110, layout="constrained"
    )
    panels = drawing.subplots(-(-len(figures) // columns), columns, squeeze=False).ravel()
    legend: dict[str, Any] = {}
    for axes, figure in zip(panels, figures, strict=False):
        for k, (of, equal) in enumerate(ways):
            its = [row for row in rows if (row.figure, row.of, row.equal) == (figure, of, equal) and row.value == row.value]  # fmt: skip
            shares = sorted({row.share for row in its})
            colour = COLOURS[k % len(COLOURS)]
            axes.plot([row.share for row in its], [row.value for row in its], "o", markersize=3, color=colour, alpha=0.6)  # fmt: skip
            (legend[f"of {of}, equal {equal}"],) = axes.plot(shares, [_mean(rows, figure, of, equal, share) for share in shares], color=colour)  # fmt: skip
        for k, name in enumerate(_names(controls)):
            value = _control(controls, name, figure)
            if value == value:
                legend[name] = axes.axhline(value, color=INK, linewidth=1, linestyle=(":", "--")[k % 2])  # fmt: skip
        if any(row.value == row.value for row in rows if row.figure == figure):
            axes.set(xscale="log")
        axes.set_title(figure, fontsize=9, color=INK, parse_math=False)
        axes.set_xlabel("share of the dataset", fontsize=8)
    for axes in panels:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in panels[len(figures) :]:
        axes.set_axis_off()
    drawing.legend(list(legend.values()), list(legend), loc="outside upper center", ncols=3, fontsize=8, frameon=False)  # fmt: skip
    drawing.savefig(path, metadata={"Software": None})


def _figures(rows: Sequence[Figure]) -> list[str]:
    return list(dict.fromkeys(row.figure for row in rows))


def _ways(rows: Sequence[Figure]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row.of, row.equal) for row in rows))


def _names(controls: Sequence[tuple[str, str, float]]) -> list[str]:
    return list(dict.fromkeys(name for name, _, _ in controls))


def _control(controls: Sequence[tuple[str, str, float]], name: str, figure: str) -> float:
    return next((value for n, f, value in controls if (n, f) == (name, figure)), float("nan"))


def _mean(rows: Sequence[Figure], figure: str, of: str, equal: str, share: float) -> float:
    its = [row.value for row in rows if (row.figure, row.of, row.equal, row.share) == (figure, of, equal, share)]  # fmt: skip
    known = [value for value in its if value == value]
    return float(np.mean(known)) if known else float("nan")
