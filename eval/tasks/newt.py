"""NeWT: 164 yes-or-no questions about natural pictures, each with its own training and test pictures.

G. Van Horn et al., "Benchmarking Representation Learning for Natural World Image Collections", CVPR 2021. Metric: micro
accuracy over the test pictures of all questions. Track `compat`: a random search of 100 settings per question; `fixed`:
a grid of 35, a third of the work (see `probes.svm`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eval import probes, results
from eval.examples import Examples, from_rows, read
from eval.features import Features
from eval.results import Outcome

SEEDS = (0, 1, 2)
COLUMNS = ("id", "task", "label", "split")


def examples(folder: Path) -> Examples:
    """Its pictures; `label` is the answer, and the column `question`, `split` say the rest. Raises ValueError for another form."""
    path = folder / "newt2021_labels.csv"
    path = path if path.is_file() else path.with_name(f"{path.name}.gz")
    fields, lines = read(path)
    if missing := [name for name in COLUMNS if name not in fields]:
        raise ValueError(f"{path} lacks the column {missing[0]!r}")
    rows = [{"example": f"newt2021_images/{line['id']}.jpg", "label": line["label"], "question": line["task"],
             "cluster": line.get("task_cluster") or None, "split": line["split"]} for line in lines]  # fmt: skip
    return from_rows("newt", folder, rows)


def newt(model: str, asked: Examples, features: Features, track: str, seeds: tuple[int, ...] = SEEDS, workers: int = -1) -> Iterator[Outcome]:  # fmt: skip
    """One outcome: all questions, all seeds. Questions without both answers among their training pictures are told."""
    names, labels = asked.column("example"), np.array(asked.column("label"))
    question, split = np.array(asked.column("question")), np.array(asked.column("split"))
    vectors = features.unit()
    rows: dict[str, list[object]] = {key: [] for key in ("run", "example", "truth", "answer", "correct")}  # fmt: skip
    lacking = 0
    for one in dict.fromkeys(question.tolist()):
        is_its = (question == one) & features.good
        taught, test = np.flatnonzero(is_its & (split == "train")), np.flatnonzero(is_its & (split == "test"))  # fmt: skip
        if not len(taught) or not len(test) or len(set(labels[taught])) < 2:
            lacking += 1
            continue
        for seed in seeds:
            answer = probes.svm(vectors[taught], labels[taught], vectors[test], track=track, seed=seed, workers=workers)  # fmt: skip
            rows["run"] += [seed] * len(test)
            rows["example"] += [names[i] for i in test]
            rows["truth"] += [f"{one}: {labels[i]}" for i in test]
            rows["answer"] += [f"{one}: {said}" for said in answer]
            rows["correct"] += (answer == labels[test]).astype(float).tolist()
    notes = (f"{lacking} questions have no training or test pictures of both answers",) if lacking else ()  # fmt: skip
    yield Outcome(model, asked.name, "newt", track, "SVM", "accuracy", 0.5, results.answers(rows), notes, ("macro accuracy",))  # fmt: skip
