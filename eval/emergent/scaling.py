"""Does it grow with scale? Models of nested parts of a dataset, trained and judged alike by one command.

    python -m eval.emergent.scaling DATASET --on my_labels.csv --traits traits.csv
    python -m eval.emergent.scaling ORG/NAME --on … --shares 0.01 0.1 1 --seeds 1 2 3 --run my_run.toml --steps 20000

Parts are of the pictures, or of the taxa; of one seed a smaller one lies in any larger. Trained are all of them for as many
steps, and again for as many epochs, lest scale be taken for optimisation: the original's largest model also trained longest.
A model that was trained in the very same way is not trained again. Each model is asked what `eval.run --emergence` asks, and zero- and few-shot; the
page (scaling.html, scaling.md, scaling.json) draws every figure over scale, with models that learned nothing beside, and
says whether it rises or falls: the mean slope over seeds per tenfold, and its 95 % (Student's t). The exit status is 1 where
something could not be asked.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.run import DATA, answered

if TYPE_CHECKING:
    from eval.emergent.traits import Trait
    from eval.examples import Examples
    from eval.model import Model

SHARES, SEEDS = (0.0625, 0.25, 1.0), (1, 2, 3)
WAYS, EQUAL = ("pictures", "taxa"), ("steps", "epochs")
SHOTS = 5


@dataclass(frozen=True)
class Trained:
    """A model to be trained: a share of pictures or of taxa, with as many steps or epochs as the whole."""

    of: str
    equal: str
    share: float
    seed: int
    steps: int
    how: str  # names the rows of the dataset, and the run: what else a model depends on

    @property
    def name(self) -> str:
        """Of its folder; the whole is the same however it is divided."""
        what = "whole" if self.share == 1 else f"{self.of}-{self.share:g}-equal-{self.equal}"
        return f"{what}-{self.seed}-{hashlib.sha256(f'{self.how}:{self.steps}'.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Figure:
    """One figure of one model."""

    of: str
    equal: str
    share: float
    seed: int
    figure: str
    value: float


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m eval.emergent.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("dataset", metavar="DATASET", help="what to train on: folder, or ORG/NAME on the Hub")  # fmt: skip
    made.add_argument("--on", required=True, metavar="SET", help="labelled pictures to judge by, as of eval.run")  # fmt: skip
    made.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="where benchmarks lie")
    made.add_argument("--traits", type=Path, metavar="TABLE", help="as of eval.run")
    made.add_argument("--trait", nargs="+", default=[], metavar="NAME", help="which of its columns")
    made.add_argument("--shares", nargs="+", type=float, default=list(SHARES), metavar="SHARE", help="of the dataset, 0 to 1")  # fmt: skip
    made.add_argument("--of", nargs="+", default=list(WAYS), choices=WAYS, help="what is divided")
    made.add_argument("--equal", nargs="+", default=list(EQUAL), choices=EQUAL, help="what all models have as much of")  # fmt: skip
    made.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="SEED")
    made.add_argument("--run", default="sample", help="as of training.train: a name, or a TOML file")  # fmt: skip
    made.add_argument("--steps", type=int, default=150, metavar="N", help="of the whole")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of training.train")  # fmt: skip
    made.add_argument("--out", type=Path, default=Path("treeoflife-data/scaling"), metavar="DIR")
    return made


def planned(args: argparse.Namespace) -> list[Trained]:
    """Every model, the whole once for each seed; of equal epochs, with as many steps as it has rows to go through.

    Raises ValueError for shares that are none, a run that is none, and a dataset that is not there.
    """
    from training import config, order
    from training.reading import Published

    if not all(0 < share <= 1 for share in args.shares) or args.steps < 1:
        raise ValueError("--shares lie above 0 and up to 1, --steps from 1")
    place = Published(args.dataset)
    how = json.dumps([place.revision, config.as_dict(config.read(args.run)), sorted(args.set)])
    n_rows = int(place.sizes.sum())
    taxa = place.taxon_codes() if "taxa" in args.of else None
    found = dict[str, Trained]()
    for seed, of, equal, share in itertools.product(args.seeds, args.of, args.equal, sorted(set(args.shares))):  # fmt: skip
        kept = order.part(n_rows, share, seed, taxa if of == "taxa" else None).sum() / n_rows
        steps = args.steps if equal == "steps" else max(1, round(args.steps * kept))
        one = Trained(of, equal, share, seed, steps, how)
        found.setdefault(one.name, one)
    return list(found.values())


def train(one: Trained, args: argparse.Namespace) -> Path:
    """Train and export it, unless that is done; returns its folder. Raises ValueError where that fails."""
    out: Path = args.out / "runs" / one.name
    if (out / "export" / "open_clip_config.json").is_file():
        return out
    fields = {"data.share": one.share, "data.share_of": f'"{one.of}"', "seed": one.seed, "optimizer.steps": one.steps,
              "validation.every_steps": 0}  # fmt: skip
    sets = [part for key, value in fields.items() for part in ("--set", f"{key}={value}")]
    own = [part for change in args.set for part in ("--set", change)]
    resume = ["--resume"] if (out / "checkpoints").is_dir() else []
    commands = (["-m", "training.train", args.run, "--data", args.dataset, "--out", str(out), *own, *sets, *resume],
                ["-m", "training.export", str(out), "--data", args.dataset])  # fmt: skip
    for command in commands:
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            raise ValueError(f"{one.name}: {' '.join(command)} failed: {done.stderr.strip().rpartition(chr(10))[2]}")  # fmt: skip
    return out


def figures(model: Model, asked: Examples, known: Sequence[Trait], out: Path, undone: dict[str, None]) -> Iterator[tuple[str, float]]:  # fmt: skip
    """Every figure of a model: name and value; what cannot be asked goes to `undone`."""
    import numpy as np

    from eval import few_shot, results, zero_shot
    from eval.emergent import alignment, judge, orthogonality, variants
    from eval.features import features
    from training import text

    its = features(model, asked, out)
    if model.has_text:
        one = zero_shot.zero_shot(model, asked, its, asked.kind, "fixed", templates=[text.PROMPT.format])  # fmt: skip
        yield "zero-shot", results.value(one.answers, "accuracy")
    for one in few_shot.few_shot(model.name, asked, its, (SHOTS,)):
        yield f"{SHOTS}-shot", results.value(one.answers, "accuracy")
    for kind in variants.found(asked):
        keep = np.where(its.good, kind.variant, -1)
        apart = orthogonality.units(its.unit().astype(np.float64), kind.species, keep, asked.column("group_id"))  # fmt: skip
        try:
            told = orthogonality.orthogonality(*apart, by_three=True)
        except ValueError as error:
            undone[f"{kind.name}: {error}"] = None
            continue
        yield f"rho, {kind.name}", told.rho.value
        yield f"rho of noise, {kind.name}", told.rho_noise
        yield f"Fisher's ratio, {kind.name}", told.fdr.value
    for trait in known:
        own = judge.means(asked, its, list(trait.values))
        try:
            values, _ = judge.coded(own, trait)
            space = alignment.Space.of(own.vectors, own.lineages)
        except ValueError as error:
            undone[f"{trait.name}: {error}"] = None
            continue
        yield f"{trait.name}, read on other clades", alignment.on_other_clades(space, values, is_number=trait.is_number)  # fmt: skip


def slopes(rows: Sequence[Figure]) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """By what is divided, what is equal, and figure: the mean slope over seeds per tenfold, and its 95 %; NaN of one seed."""
    import numpy as np
    from scipy.stats import t

    found: dict[tuple[str, str, str], list[float]] = {}
    for key, same in _grouped(rows, ("of", "equal", "figure", "seed")).items():
        points = [(math.log10(r.share), r.value) for r in same if r.value == r.value]
        if len({x for x, _ in points}) > 1:
            x, y = np.array(points).T
            found.setdefault(key[:3], []).append(float(np.polyfit(x, y, 1)[0]))
    made = {}
    for group, values in found.items():
        n = len(values)
        far = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5) if n > 1 else math.nan
        mean = float(np.mean(values))
        made[group] = (mean, mean - far, mean + far)
    return made


def says(low: float, high: float) -> str:
    """What an interval of a slope says."""
    return "rises" if low > 0 else "falls" if high < 0 else "not told from level"


def _grouped(rows: Sequence[Figure], fields: Sequence[str]) -> dict[tuple[Any, ...], list[Figure]]:
    made: dict[tuple[Any, ...], list[Figure]] = {}
    for row in rows:
        made.setdefault(tuple(getattr(row, name) for name in fields), []).append(row)
    return made


def run(args: argparse.Namespace) -> tuple[list[Figure], list[str]]:
    """Everything; returns the figures of all models, and what could not be asked. Raises ValueError for what the user has to mend."""
    from catalog import terminal
    from eval import listing
    from eval.emergent import scaling_page, traits
    from eval.model import PIXELS, UNTRAINED, opened
    from eval.page import number

    plans = planned(args)
    asked = listing.read(args.on, args.data)
    known = traits.traits(args.traits, args.trait) if args.traits else []
    rows, undone = list[Figure](), dict[str, None]()
    controls = [(PIXELS, *found) for found in figures(opened(PIXELS), asked, known, args.out, undone)]  # fmt: skip
    for why in undone:  # before any training
        terminal.tell(f"not done: {why}")
    for k, one in enumerate(plans):
        folder = train(one, args)
        if k == 0:
            bare = figures(opened(f"{UNTRAINED}{folder}"), asked, known, args.out, undone)
            controls += [("random weights", *found) for found in bare]
        found = list(figures(opened(str(folder)), asked, known, args.out, undone))
        ways = itertools.product(args.of, args.equal) if one.share == 1 else [(one.of, one.equal)]
        rows += [Figure(of, equal, one.share, one.seed, *pair) for of, equal in ways for pair in found]  # fmt: skip
        terminal.tell(f"{k + 1} of {len(plans)}  {one.name}: " + ", ".join(f"{name} {number(value)}" for name, value in found))  # fmt: skip
    trend = slopes(rows)
    told = {"figures": [dataclasses.asdict(row) for row in rows],
            "controls": [{"model": model, "figure": name, "value": value} for model, name, value in controls]}  # fmt: skip
    for row in [*told["figures"], *told["controls"]]:
        row["value"] = None if row["value"] != row["value"] else row["value"]
    (args.out / "scaling.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")  # fmt: skip
    for (of, equal, figure), (slope, low, high) in trend.items():
        terminal.tell(f"of {of}, equal {equal}: {figure} {slope:+.3f} per tenfold ({low:+.3f} to {high:+.3f}): {says(low, high)}")  # fmt: skip
    terminal.tell(f"page: {scaling_page.write(args.out, rows, controls, trend, list(undone))}")
    return rows, list(undone)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 where something that was asked for could not be done."""
    args = parser().parse_args(argv)
    return answered(lambda: 1 if run(args)[1] else 0)


if __name__ == "__main__":
    sys.exit(main())
