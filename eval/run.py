"""Judge models on benchmarks, or on pictures of your own: one command, one table, one report.

    python -m eval.run local-dir:treeoflife-data/runs/sample/export --on treeoflife-data/datasets/sample
    python -m eval.run hf-hub:imageomics/bioclip-2 ViT-B-32:laion2b_s34b_b79k --data benchmarks/
    python -m eval.run MODEL --on my_pictures/ my_labels.csv --tasks zero-shot few-shot
    python -m eval.run MODEL --emergence --on my_labels.csv --traits avonet.csv --trait Beak.Depth Habitat
    python -m eval.run --list

MODEL is anything that open_clip opens (local-dir:, hf-hub:, ARCHITECTURE:TAG, ARCHITECTURE:random, a training run) or
timm:NAME, a vision backbone. Without --on, every benchmark that is under --data. What comes of it goes to --out: a report
(report.html, report.md), the figures (metrics.json), every answer (predictions/), the pictures that few-shot learned from
(splits/) and those that could not be used (left_out.csv). Features are kept there too, and found once. The exit status is
1 where something could not be done (a set without a readable picture): the rest is done, and says so.

--emergence asks instead what an embedding knows that nobody named: whether the space of pictures follows traits of the
species beyond what ancestry explains (--traits), whether sexes and ages lie across the directions in which species differ,
and what the theorem behind it says of this model. Models that learned nothing are judged beside; see emergence.html.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from catalog.benchmarks import TASKS, listing

DATA, OUT = Path("treeoflife-data/benchmarks"), Path("treeoflife-data/eval")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m eval.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("models", nargs="*", metavar="MODEL", help="what to judge")
    made.add_argument("--on", nargs="+", default=[], metavar="SET", help="benchmarks by name; folders, tables or datasets of your own")  # fmt: skip
    made.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help=f"of {', '.join(TASKS)}; default: all that apply")  # fmt: skip
    made.add_argument("--list", action="store_true", help="print every benchmark, what is missing of it and how to get it")  # fmt: skip
    made.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="where benchmarks lie, a folder each")  # fmt: skip
    made.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where everything goes")
    made.add_argument("--track", choices=("compat", "fixed", "both"), default="both", help="compat: as BioCLIP 2's published figures, quirks included; fixed: right")  # fmt: skip
    made.add_argument("--labels", default="", metavar="TYPE", help="how classes are named: asis, sci, com, taxon, sci_com, taxon_com; default: as the set says")  # fmt: skip
    made.add_argument("--shots", nargs="+", type=int, default=[1, 5], metavar="K", help="pictures per class that few-shot learns from")  # fmt: skip
    made.add_argument("--splits", type=Path, metavar="FILE", help="few-shot learns from these (shots, fold, example), for one SET")  # fmt: skip
    made.add_argument("--against", default="", metavar="DATASET", help="the dataset the models were trained on: also scores without what it shares")  # fmt: skip
    made.add_argument("--precision", default="", help="fp32, bf16 or fp16; default: fp16 on a GPU, fp32 without")  # fmt: skip
    made.add_argument("--workers", type=int, default=-1, metavar="N", help="processes that decode; default: one per core")  # fmt: skip
    made.add_argument("--batch", type=int, default=256, metavar="N", help="pictures the model sees at once")  # fmt: skip
    made.add_argument("--emergence", action="store_true", help="what the space of pictures knows of traits, sexes and ages, with controls")  # fmt: skip
    made.add_argument("--traits", type=Path, metavar="TABLE", help="with --emergence: species and a column per trait (CSV, TSV, parquet)")  # fmt: skip
    made.add_argument("--trait", nargs="+", default=[], metavar="NAME", help="which of its columns; default: all that are traits")  # fmt: skip
    return made


def answered(work: Callable[[], int]) -> int:
    """The exit status of what a command does; 2, and a message, for what the user has to mend."""
    from catalog import terminal

    try:
        return work()
    except ModuleNotFoundError as error:
        terminal.error(f"{error.name} is not installed: pip install -c constraints.txt -e '.[eval]'")  # fmt: skip
        return 2
    except ValueError as error:
        terminal.error(error)
        return 2


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 where something that was asked for could not be done."""
    args = parser().parse_args(argv)
    return answered(lambda: _main(args))


def _main(args: argparse.Namespace) -> int:
    from catalog import terminal

    if args.list:
        terminal.tell(listing(args.data))
        return 0
    if args.emergence:
        from eval.emergent import judge as emergent

        return 1 if emergent.judge(args).undone else 0
    if args.traits or args.trait:
        raise ValueError("--traits and --trait go with --emergence")
    from eval import judge

    return 1 if judge.judge(args).undone else 0


if __name__ == "__main__":
    sys.exit(main())
