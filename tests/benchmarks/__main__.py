"""Run benchmarks: `python -m tests.benchmarks [NAME ...] [--quick]`.

Each prints one table (ours, peer, bare limit, ratios), then a line per target. Exit status 1 when a
target is missed, 2 when one is unmeasured (1 wins), 0 otherwise. `--quick` ends within 60 s and
judges no target that depends on size. Full results also go to tests/benchmarks/results.json, from
which the README's table is made.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from tests.benchmarks.harness import Result, printed, with_table

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE.parents[1] / "README.md"


def names() -> list[str]:
    """Every benchmark program."""
    return sorted(
        p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_") and p.stem != "harness"
    )


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}; none: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="end within 60 s; sizes are not judged"
    )
    args = parser.parse_args()
    if unknown := set(args.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(names())}")
    results: list[Result] = []
    for name in args.names or names():
        module = importlib.import_module(f"tests.benchmarks.{name}")
        result = module.run(quick=args.quick)
        sys.stdout.write(printed(result) + "\n")
        sys.stdout.flush()
        results.append(result)
    if not args.quick:
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known |= {result.name: result.as_json() for result in results}
        RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        text = README.read_text(encoding="utf-8")
        README.write_text(with_table(text, known), encoding="utf-8")
    states = {target.state for result in results for target in result.targets}
    return 1 if "missed" in states else 2 if "unmeasured" in states else 0


if __name__ == "__main__":
    sys.exit(main())
