"""The trainer's command line, for tests and benchmarks that start it in a process of its own."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def command(data: Path | str, out: Path, *more: str) -> list[str]:
    """`python -m training.train sample` on a dataset; to be run in ROOT."""
    return [sys.executable, "-m", "training.train", "sample", "--data", str(data), "--out", str(out), *more]  # fmt: skip


def sets(**fields: Any) -> list[str]:
    """Fields of a run as arguments; `a__b` is a.b, a string is TOML or stands for itself."""
    pairs = (
        f"{key.replace('__', '.')}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in fields.items()
    )
    return [part for pair in pairs for part in ("--set", pair)]
