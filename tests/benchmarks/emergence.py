"""What emerges, on the sample world, across scale: is it there, is it more than ancestry, does it grow with data?

`eval.emergent.scaling` on a world of 20,000 drawings: a sixteenth, a quarter and the whole, of pictures and of taxa, as many
steps and as many epochs, three seeds; judged on organisms drawn for it, of either sex and age. Ours: the mean of the whole's
models; peer: that of the smallest part's, as many steps; limit: the same model with random weights. Told, whatever it is:
whether rho falls and Fisher's ratio rises. Judged: a trait that came down the same tree and is in no picture must not be
reported as alignment of any model; one that fills the picture, the habitat, must.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from eval import run as eval_run
from eval.emergent import judge, scaling
from tests.benchmarks import _tiny, _variants, _worlds
from tests.benchmarks.harness import Result, Row, Target, target

N_PICTURES, STEPS, SHARES, SEEDS = 20_000, 100, (0.0625, 0.25, 1.0), (1, 2, 3)
QUICK = (1_000, 4, (1.0,), (1,))
TOLD = ("rho", "Fisher's ratio")


def run(*, quick: bool) -> Result:
    """Train all models and judge them; about 45 minutes on two cores."""
    n, steps, shares, seeds = QUICK if quick else (N_PICTURES, STEPS, SHARES, SEEDS)
    place = _worlds.dataset(n)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        labels, traits = _variants.make(work / "drawn", step=12 if quick else 1)
        sets = {"image.side_px": _tiny.SIDE_PX, "data.batch": 32 if quick else _tiny.BATCH, "data.workers": 1, "optimizer.lr": 2e-3}  # fmt: skip
        args = [str(place), "--on", str(labels), "--traits", str(traits), "--out", str(work / "scaling"), "--steps", str(steps),
                "--shares", *map(str, shares), "--seeds", *map(str, seeds), *(part for key, value in sets.items() for part in ("--set", f"{key}={value}"))]  # fmt: skip
        if quick:
            args += ["--of", "pictures", "--equal", "steps"]
        figures, _ = scaling.run(scaling.parser().parse_args(args))
        told = json.loads((work / "scaling" / "scaling.json").read_text())["controls"]
        bare = {row["figure"]: row["value"] for row in told if row["model"] == "random weights"}
        rows = [_row(name, figures, min(shares), bare.get(name)) for name in dict.fromkeys(f.figure for f in figures if f.value == f.value)]  # fmt: skip
        slopes = scaling.slopes(figures)
        targets = [
            target(f"of {of}, equal {equal}: {figure} over scale", None,
                   f"{scaling.says(low, high)}: {slope:+.3f} per tenfold ({low:+.3f} to {high:+.3f})", judged=False)
            for (of, equal, figure), (slope, low, high) in slopes.items() if figure.startswith(TOLD)
        ]  # fmt: skip
        if not quick:
            targets += _page(work, labels, traits)
    return Result("emergence", "smallest share", "random weights", tuple(rows), tuple(targets))


def _row(name: str, figures: list[scaling.Figure], least: float, bare: float | None) -> Row:
    its = [f for f in figures if f.figure == name and (f.of, f.equal) == ("pictures", "steps")]
    whole, small = (float(np.nanmean([f.value for f in its if f.share == share])) for share in (1.0, least))  # fmt: skip
    return Row(name, "", whole, small, bare)


def _page(work: Path, labels: Path, traits: Path) -> list[Target]:
    """`eval.run --emergence` on the smallest and the largest model."""
    names = (f"pictures-{SHARES[0]:g}-equal-steps-1-*", "whole-1-*")
    runs = [str(next((work / "scaling" / "runs").glob(name))) for name in names]
    args: argparse.Namespace = eval_run.parser().parse_args(
        [*runs, "--emergence", "--on", str(labels), "--traits", str(traits), "--out", str(work / "page")])  # fmt: skip
    found = judge.judge(args)
    beyond = {(model, trait) for _, model, trait, _, one in found.alignments if one.verdict == "beyond ancestry"}  # fmt: skip
    kin = sorted(model for model, trait in beyond if trait == "kin")
    seen = {model for model, trait in beyond if trait == "habitat"}
    return [
        target("a trait that is in no picture is alignment of no model", not kin, f"of {len(kin)} of {len(runs) + 2}"),
        target("a trait that fills the picture is alignment of all", len(seen) == len(runs) + 2, f"of {len(seen)} of {len(runs) + 2}"),
    ]  # fmt: skip
