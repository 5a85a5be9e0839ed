"""Animals with Attributes 2: 85 attributes of animals whose classes the probe never saw.

Y. Xian et al., "Zero-Shot Learning: A Comprehensive Evaluation", TPAMI 2018. Learned from pictures of 40 classes, asked on
those of ten others. Track `compat` gives the figure that BioCLIP 2 publishes: macro-F1 of the first two attributes alone,
since its call of scikit-learn's f1_score takes {0, 1} for the columns to score. Track `fixed` scores all 85.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eval.examples import Examples, from_folders, from_rows
from eval.features import Features
from eval.results import Outcome
from eval.tasks.fishnet import probed

RATE, SEEDS = 1e-5, (0, 1, 2)


def matrix(folder: Path) -> dict[str, str]:
    """Attributes of each class, a text of 0 and 1. Raises ValueError where the two files do not fit."""
    names = [line.split()[-1] for line in _lines(folder / "classes.txt")]
    rows = ["".join(line.split()) for line in _lines(folder / "predicate-matrix-binary.txt")]
    if len(names) != len(rows) or len({len(row) for row in rows}) != 1 or set("".join(rows)) - {"0", "1"}:  # fmt: skip
        raise ValueError(f"{folder}: predicate-matrix-binary.txt has {len(rows)} rows for {len(names)} classes, of 0 and 1 each as long")  # fmt: skip
    return dict(zip(names, rows, strict=True))


def examples(folder: Path) -> Examples:
    """Its pictures, with the attributes of their class for a label."""
    attributes = matrix(folder)
    split = {name: part for part in ("train", "test") for name in (line.split()[-1] for line in _lines(folder / f"{part}classes.txt"))}  # fmt: skip
    found = from_folders(folder / "JPEGImages")
    rows, left_out = list[dict[str, str | None]](), list(found.left_out)
    for example, name in zip(found.column("example"), found.column("label"), strict=True):
        if name in attributes and name in split:
            rows.append({"example": f"JPEGImages/{example}", "label": attributes[name], "split": split[name]})  # fmt: skip
        else:
            left_out.append((example, "class_unknown"))
    return from_rows("awa2", folder, rows, left_out)


def awa2(model: str, asked: Examples, features: Features, track: str, seeds: tuple[int, ...] = SEEDS) -> Iterator[Outcome]:  # fmt: skip
    """One outcome over all seeds."""
    metric = "macro-F1 of two attributes" if track == "compat" else "macro-F1"
    yield probed(model, asked, features, track, "awa2", RATE, seeds, metric, None)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
