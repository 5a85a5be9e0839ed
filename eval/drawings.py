"""Figures of a report: bars with intervals beside published figures, where mistakes meet the truth, pictures of mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from catalog import pixels
from catalog.ranks import RANKS
from eval.listing import Planned
from eval.metrics import Scored
from eval.results import Outcome

COLOURS = ("#2f7d4f", "#c58b2a", "#3d6fa5", "#8a4f7d", "#6b6b6b")
RANK_COLOURS = (
    "#2f7d4f",
    "#7fb069",
    "#c9d99a",
    "#e8d9a0",
    "#e0b070",
    "#c97b55",
    "#a0503f",
    "#6b3030",
)
INK = "#22302a"
DASHES = ("-", "--", ":", "-.")
MARKS = ("^", "s", "D", "v", "o", "P", "X")
N_MISTAKES = 12


def draw(folder: Path, outcomes: Sequence[Outcome], told: Sequence[Mapping[str, Any]]) -> list[tuple[str, Path]]:  # fmt: skip
    """Every figure there is something to draw for, as PNG in `folder`; title and path of each."""
    made = []
    kinds = dict.fromkeys((t["task"], t["track"], t["metric"]) for t in told)
    for task, track, metric in kinds:
        its = [t for t in told if (t["task"], t["track"], t["metric"]) == (task, track, metric)]
        path = folder / f"{task}-{track}.png"
        _bars(path, its, metric)
        made.append((f"{task}, {track}", path))
    if meets := [o for o in outcomes if o.task == "confidence" and ", without " not in o.setting]:
        _meeting(folder / "mistakes-by-rank.png", meets)
        made.append(("Where answers meet the truth", folder / "mistakes-by-rank.png"))
        _selective(folder / "accuracy-over-coverage.png", meets)
        made.append(("Accuracy of the surest answers", folder / "accuracy-over-coverage.png"))
    return made


def _bars(path: Path, told: Sequence[Mapping[str, Any]], metric: str) -> None:
    """One group of bars per set and setting, one bar per model with its interval; marks for what others published."""
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys((t["benchmark"], t["setting"]) for t in told))
    models = list(dict.fromkeys(t["model"] for t in told))
    others = sorted({who for t in told for who in t["published"]})
    legend: dict[str, Any] = {}
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(groups) * (len(models) + 1)), dpi=130)
    axes = figure.add_subplot()
    height = 0.8 / len(models)
    for t in told:
        g, m = groups.index((t["benchmark"], t["setting"])), models.index(t["model"])
        y = g + (m - (len(models) - 1) / 2) * height
        legend[t["model"]] = axes.barh(y, t["value"] or 0, height * 0.9, color=COLOURS[m % len(COLOURS)])  # fmt: skip
        if t["low"] is not None and t["high"] is not None:
            axes.plot([t["low"], t["high"]], [y, y], color=INK, linewidth=1.5, solid_capstyle="butt")  # fmt: skip
        if t["chance"]:
            axes.plot([t["chance"]] * 2, [g - 0.45, g + 0.45], color="#999", linewidth=1, linestyle=":")  # fmt: skip
        for who, value in t["published"].items():
            mark = MARKS[others.index(who) % len(MARKS)]
            (legend[who],) = axes.plot(value / 100, g + 0.43, mark, markersize=4, color=INK, fillstyle="none")  # fmt: skip
    axes.set_yticks(range(len(groups)), [f"{name}\n{setting}" for name, setting in groups], fontsize=7)  # fmt: skip
    axes.set(xlabel=metric, xlim=(min(0, *(t["value"] or 0 for t in told)), None), ylim=(len(groups) - 0.4, -0.6))  # fmt: skip
    _finish(figure, axes, legend, path, 4)


def _meeting(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Of every model and set: shares of pictures whose likeliest species is right, or right only down to some rank."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.4 + 0.5 * len(outcomes)), dpi=130)
    axes = figure.add_subplot()
    names, legend = [*reversed(RANKS), "nothing"], dict[str, Any]()
    for y, outcome in enumerate(outcomes):
        scored = Scored(outcome.answers)
        _, _, right = scored.lineages
        lowest = np.where(right.any(1), len(RANKS) - 1 - right[:, ::-1].argmax(1), -1)[
            scored.is_known()
        ]
        left = 0.0
        for k, name in enumerate(names):
            share = float(np.mean(lowest == len(RANKS) - 1 - k)) if len(lowest) else 0.0
            legend[name] = axes.barh(y, share, left=left, color=RANK_COLOURS[k])
            left += share
    axes.set_yticks(
        range(len(outcomes)), [f"{o.model}\n{o.benchmark}" for o in outcomes], fontsize=7
    )
    axes.set(xlabel="share of pictures of known species, by the lowest rank at which the answer is right", xlim=(0, 1))  # fmt: skip
    axes.invert_yaxis()
    _finish(figure, axes, legend, path, 8)


def _selective(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Of every model and set: how often the surest answers are right, over the share of all that they are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=130)
    axes = figure.add_subplot()
    legend = dict[str, Any]()
    for k, outcome in enumerate(outcomes):
        scored = Scored(outcome.answers)
        right = scored.correct[np.argsort(-scored.scores(), kind="stable")]
        n = np.arange(1, len(right) + 1)
        (legend[f"{outcome.model}, {outcome.benchmark}"],) = axes.plot(
            n / len(right), right.cumsum() / n, color=COLOURS[k % len(COLOURS)], linestyle=DASHES[k // len(COLOURS) % len(DASHES)])  # fmt: skip
    axes.set(xlabel="share of pictures answered, the surest first", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))  # fmt: skip
    _finish(figure, axes, legend, path, 2)


def _finish(figure: Any, axes: Any, legend: Mapping[str, Any], path: Path, n_columns: int) -> None:
    """No frame, a legend above, names as they are (a dollar sign in one is no formula); written as PNG."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    made = axes.legend(list(legend.values()), [f" {name}" for name in legend], ncols=n_columns, fontsize=7, frameon=False,
                       loc="lower left", bbox_to_anchor=(0, 1))  # fmt: skip
    for text in [*axes.get_yticklabels(), *made.get_texts()]:
        text.set_parse_math(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})


@dataclass(frozen=True)
class Mistakes:
    """Pictures that a model was surest of and wrong: JPEG, truth, answer."""

    title: str
    pictures: tuple[tuple[bytes, str, str], ...]


def mistakes(outcomes: Sequence[Outcome], plans: Sequence[Planned]) -> list[Mistakes]:
    """For every model and set the surest wrong answers, of zero-shot where there is one, else of few-shot."""
    made = []
    sets = {plan.examples.name: plan.examples for plan in plans}
    seen = set[tuple[str, str]]()
    whole = sorted(
        (o for o in outcomes if ", without " not in o.setting), key=lambda o: o.track != "fixed"
    )
    for task in ("zero-shot", "few-shot", "plantdoc"):
        for outcome in whole:
            key = (outcome.model, outcome.benchmark)
            if outcome.task != task or key in seen:
                continue
            seen.add(key)
            examples = sets[outcome.benchmark]
            at = {name: i for i, name in enumerate(examples.column("example"))}
            wrong = sorted((r for r in outcome.answers.to_pylist() if not r["correct"]), key=lambda r: (-(r["score"] or 0), r["example"]))  # fmt: skip
            once = list({r["example"]: r for r in reversed(wrong)}.values())[::-1][:N_MISTAKES]
            pictures = tuple((pixels.thumbnail(pixels.decode(examples.source.image(at[r["example"]]))), r["truth"], r["answer"]) for r in once)  # fmt: skip
            if pictures:
                made.append(Mistakes(f"Surest mistakes: {outcome.model} on {outcome.benchmark} ({task}, {outcome.track})", pictures))  # fmt: skip
    return made
