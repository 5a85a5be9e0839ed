"""PlantDoc: diseases of leaves, one picture of each learned from.

D. Singh et al., "PlantDoc", CODS-COMAD 2020. SimpleShot from one picture per class of the training folder, asked on the
whole test folder, five times. One class has no test pictures; the original numbers the classes of the two folders apart,
so that those behind it are compared with their neighbours. Track `compat` does the same, `fixed` compares names.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eval import results
from eval.examples import Examples, from_folders, from_rows
from eval.features import Features
from eval.few_shot import classify
from eval.results import Outcome

N_REPEATS, SHOTS = 5, 1


def examples(folder: Path) -> Examples:
    """Pictures of both folders."""
    rows, left_out = list[dict[str, str | None]](), list[tuple[str, str]]()
    for split in ("train", "test"):
        part = from_folders(folder / split)
        left_out += [(f"{split}/{example}", why) for example, why in part.left_out]
        rows += [{"example": f"{split}/{example}", "label": label, "split": split}
                 for example, label in zip(part.column("example"), part.column("label"), strict=True)]  # fmt: skip
    return from_rows("plantdoc", folder, rows, left_out)


def plantdoc(model: str, asked: Examples, features: Features, track: str) -> Iterator[Outcome]:
    """One outcome over five draws."""
    names, labels, split = (
        asked.column("example"),
        asked.column("label"),
        np.array(asked.column("split")),
    )
    vectors = features.vectors if track == "compat" else features.unit()  # as the published figures
    taught, test = (np.flatnonzero((split == part) & features.good) for part in ("train", "test"))
    if not len(taught) or not len(test):
        raise ValueError(f"{asked.name} has {len(taught)} readable pictures to learn from and {len(test)} to ask; it needs both")  # fmt: skip
    classes, of_test = sorted({labels[i] for i in taught}), sorted({labels[i] for i in test})
    number = {name: i for i, name in enumerate(classes)}
    if track == "compat":
        truth = np.array([of_test.index(labels[i]) for i in test])
    else:
        test = np.array([i for i in test if labels[i] in number], dtype=np.int64)
        truth = np.array([number[labels[i]] for i in test])
    rows: dict[str, list[object]] = {key: [] for key in ("run", "example", "truth", "answer", "correct", "score")}  # fmt: skip
    for repeat in range(N_REPEATS):
        draw = random.Random(repeat)
        chosen = [draw.choice([int(i) for i in taught if labels[i] == name]) for name in classes]
        answer, far = classify(
            vectors[chosen], np.arange(len(classes)), vectors[test], len(classes)
        )
        rows["run"] += [repeat] * len(test)
        rows["example"] += [names[i] for i in test]
        rows["truth"] += [labels[i] for i in test]
        rows["answer"] += [classes[i] for i in answer]
        rows["score"] += (-far).tolist()
        rows["correct"] += (answer == truth).astype(float).tolist()
    only = [name for name in classes if name not in of_test]
    notes = (f"no test picture of: {', '.join(only)}",) if only else ()
    yield Outcome(model, asked.name, "plantdoc", track, f"{SHOTS}-shot", "accuracy", 1 / len(classes), results.answers(rows), notes)  # fmt: skip
