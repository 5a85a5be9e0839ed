"""FishNet: nine traits of a fish from its picture: does it feed in open water, and where does it live?

F. F. Khan et al., "FishNet", ICCV 2023. A probe on features that are not normalised; metric: all nine answers right.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from eval import probes, results
from eval.examples import Examples, from_rows, read
from eval.features import Features
from eval.results import Outcome

TRAITS = ("FeedingPath", "Tropical", "Temperate", "Subtropical", "Boreal", "Polar", "freshwater", "saltwater", "brackish")  # fmt: skip
IMAGE_COLUMN, FOLDER_COLUMN = 3, 12  # where the original's code looks for them, from 0
YES = {"1", "1.0", "true", "yes", "pelagic"}
NO = {"0", "0.0", "-1", "-1.0", "false", "no", "benthic"}
RATE, SEEDS = 1e-4, (0, 1, 2)


def examples(folder: Path) -> Examples:
    """Pictures of both tables; `label` is nine times 0 or 1. Rows with a trait unknown are left out, as in the original."""
    rows, left_out = list[dict[str, str | None]](), list[tuple[str, str]]()
    for split in ("train", "test"):
        path = folder / f"{split}.csv"
        fields, lines = read(path if path.is_file() else path.with_name(f"{path.name}.gz"))
        lower = {name.lower(): name for name in fields}
        if missing := [trait for trait in TRAITS if trait.lower() not in lower]:
            raise ValueError(f"{path} lacks the column {missing[0]!r}")
        image = lower.get("image") or _nth(fields, IMAGE_COLUMN, path)
        place = lower.get("folder") or _nth(fields, FOLDER_COLUMN, path)
        for line in lines:
            example = f"Image_Library/{line[place]}/{PurePosixPath(line[image]).name}"
            said = [line[lower[trait.lower()]].strip().lower() for trait in TRAITS]
            if all(value in YES | NO for value in said):
                rows.append({"example": example, "label": "".join("01"[value in YES] for value in said), "split": split})  # fmt: skip
            else:
                left_out.append((example, "trait_unknown"))
    return from_rows("fishnet", folder, rows, left_out)


def _nth(fields: list[str], at: int, path: Path) -> str:
    if at >= len(fields):
        raise ValueError(f"{path} has no column image or folder, and only {len(fields)} columns")
    return fields[at]


def fishnet(model: str, asked: Examples, features: Features, track: str, seeds: tuple[int, ...] = SEEDS) -> Iterator[Outcome]:  # fmt: skip
    """One outcome over all seeds."""
    yield probed(
        model, asked, features, track, "fishnet", RATE, seeds, "exact match", 2.0 ** -len(TRAITS)
    )


def probed(model: str, asked: Examples, features: Features, track: str, task: str, rate: float, seeds: tuple[int, ...],
           metric: str, chance: float | None) -> Outcome:  # fmt: skip
    """A probe learned from the pictures of the split `train`, asked on those of `test`; labels are texts of 0 and 1.

    `chance` None is that of a coin for F1. Raises ValueError where either split has no readable picture.
    """
    names, labels, split = (
        asked.column("example"),
        asked.column("label"),
        np.array(asked.column("split")),
    )
    taught, test = (np.flatnonzero((split == part) & features.good) for part in ("train", "test"))
    if not len(taught) or not len(test):
        raise ValueError(f"{asked.name} has {len(taught)} pictures to learn from and {len(test)} to ask; it needs both")  # fmt: skip
    truth = np.array([[c == "1" for c in label] for label in labels])
    rows: dict[str, list[object]] = {key: [] for key in ("run", "example", "truth", "answer", "correct")}  # fmt: skip
    for seed in seeds:
        found = probes.probe(features.vectors[taught], truth[taught], features.vectors[test], rate=rate, track=track, seed=seed)  # fmt: skip
        rows["run"] += [seed] * len(test)
        rows["example"] += [names[i] for i in test]
        rows["truth"] += [labels[i] for i in test]
        rows["answer"] += ["".join("01"[bit] for bit in row) for row in found.astype(int).tolist()]
        rows["correct"] += (found == truth[test]).all(1).astype(float).tolist()
    return Outcome(
        model,
        asked.name,
        task,
        track,
        "probe",
        metric,
        chance,
        results.answers(rows),
        beside=("macro-F1",) if metric == "exact match" else (),
    )
