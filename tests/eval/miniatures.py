"""Every benchmark in miniature: the layout of its own files, with organisms of the sample world, drawn for it.

python -m tests.eval.miniatures DIR     then: python -m eval.run MODEL --data DIR
"""

from __future__ import annotations

import csv
import itertools
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.benchmarks import BENCHMARKS
from catalog.ranks import RANKS
from curation.sample import draw, shot
from curation.sample.taxa import SPECIES
from eval.tasks.fishnet import TRAITS

N_CLASSES, N_EACH = 6, 8
Row = dict[str, Any]


def pictures() -> list[list[Row]]:
    """N_CLASSES species far from each other, N_EACH individuals of each: ranks, common name, bytes, a number."""
    looks = draw.looks(SPECIES, seed=1)
    chosen = [one for one in SPECIES if one.vernacular][:: len(SPECIES) // (2 * N_CLASSES)][
        :N_CLASSES
    ]
    classes = []
    for k, one in enumerate(chosen):
        row = {**dict(zip(RANKS, one.lineage, strict=True)), "vernacularName": one.vernacular}
        classes.append([{**row, "id": f"{k}{i:03d}", "bytes": shot.render(shot.Shot("organism", one.species, 100 * k + i, size=(96, 72)), looks)}
                        for i in range(N_EACH)])  # fmt: skip
    return classes


def make(out: Path) -> Path:
    """All of them under `out`; returns it."""
    classes = pictures()
    for benchmark in BENCHMARKS:
        folder = out / benchmark.name
        if benchmark.name.startswith("camera-") or benchmark.name == "rare-species":
            _ranked(folder, classes, has_class=benchmark.name == "rare-species")
        elif benchmark.tasks[0] == "zero-shot":
            _album(folder, classes, benchmark.name)
    _newt(out / "newt", classes)
    _fishnet(out / "fishnet", classes)
    _awa2(out / "awa2", classes)
    _herbarium(out / "herbarium19", classes)
    _plantdoc(out / "plantdoc", classes)
    return out


def _put(path: Path, row: Row) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(row["bytes"])
    return path.name


def _table(path: Path, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([heads, *rows])


def _label(row: Row, name: str) -> str:
    """Spelt as the benchmark spells its classes."""
    species = str(row["species"])
    if name in ("plankton", "plantnet"):
        return species.replace(" ", "_")
    if name == "fungi":
        return f"{species} (L.) Fr."
    if name == "insects":
        return f"La bête ({species})"
    return str(row["vernacularName"] or species)


def _album(folder: Path, classes: list[list[Row]], name: str) -> None:
    rows = []
    for k, its in enumerate(classes):
        for row in its:
            label = _label(its[0], name) + (" (Adult Male)" if name == "nabirds" and k % 2 else "")
            path = f"{k:04d}/{row['id']}.jpg" if name == "nabirds" else f"{label}/{row['id']}.jpg"
            _put(folder / "images" / path, row)
            rows.append((len(rows), path, label))
    _table(folder / "metadata.csv", ("", "filepath", "class"), rows)


def _ranked(folder: Path, classes: list[list[Row]], *, has_class: bool) -> None:
    rows = []
    for row in itertools.chain(*classes):
        path = f"2024-03-20/{row['id']}.jpg"
        _put(folder / "images" / path, row)
        epithet = row["species"].removeprefix(f"{row['genus']} ")
        names = [*(row[rank] or "" for rank in RANKS[:-1]), epithet, row["vernacularName"] or ""]
        rows.append(
            [
                len(rows),
                *(names if has_class else [n.lower() for n in names]),
                path,
                *([row["species"]] if has_class else []),
            ]
        )
    heads = [
        "",
        "kingdom",
        "phylum",
        "cls",
        "order",
        "family",
        "genus",
        "species",
        "common_name",
        "filepath",
    ]
    _table(folder / "metadata.csv", heads + ["class"] * has_class, rows)


def _newt(folder: Path, classes: list[list[Row]]) -> None:
    rows = []
    for k in range(3):
        for answer, its in enumerate((classes[2 * k], classes[2 * k + 1])):
            for i, row in enumerate(its):
                name = f"{k}-{row['id']}"
                _put(folder / "newt2021_images" / f"{name}.jpg", row)
                rows.append(
                    (
                        name,
                        "species",
                        "any",
                        f"which_{k}",
                        answer,
                        row["species"],
                        "test" if i % 2 else "train",
                        96,
                        96,
                    )
                )
    heads = (
        "id",
        "task_cluster",
        "task_subcluster",
        "task",
        "label",
        "text_label",
        "split",
        "height",
        "width",
    )
    _table(folder / "newt2021_labels.csv", heads, rows)


def _fishnet(folder: Path, classes: list[list[Row]]) -> None:
    heads = ["a", "b", "c", "image", *"defghijk", "Folder", "l", *TRAITS]
    for split, odd in (("train", 0), ("test", 1)):
        rows = []
        for k, its in enumerate(classes):
            for row in its[odd::2]:
                family = row["family"]
                _put(folder / "Image_Library" / family / f"{row['id']}.jpg", row)
                traits = [
                    "pelagic" if k % 2 else "benthic",
                    *((k >> (b % 3)) & 1 for b in range(8)),
                ]
                rows.append(
                    ["", "", "", f"some/where/{row['id']}.jpg", *[""] * 8, family, "", *traits]
                )
        rows.append(
            ["", "", "", "gone.jpg", *[""] * 8, "Nowhere", "", "", *[0] * 8]
        )  # a trait is not known
        _table(folder / f"{split}.csv", heads, rows)


def _awa2(folder: Path, classes: list[list[Row]]) -> None:
    names = [its[0]["species"].replace(" ", "+").lower() for its in classes]
    for name, its in zip(names, classes, strict=True):
        for row in its:
            _put(folder / "JPEGImages" / name / f"{name}_{row['id']}.jpg", row)
    (folder / "classes.txt").write_text(
        "".join(f"{i:>8}\t{name}\n" for i, name in enumerate(names, 1))
    )
    (folder / "trainclasses.txt").write_text("\n".join(names[:4]) + "\n")
    (folder / "testclasses.txt").write_text("\n".join(names[4:]) + "\n")
    rows = [" ".join(str((k + a) * (a + 3) // 2 % 2) for a in range(85)) for k in range(len(names))]
    (folder / "predicate-matrix-binary.txt").write_text("\n".join(rows) + "\n")


def _herbarium(folder: Path, classes: list[list[Row]]) -> None:
    for k, its in enumerate(classes):
        for row in its:
            _put(folder / "small-train" / str(k) / f"{row['id']}.jpg", row)
    half = len(classes) // 2
    with (folder / "herbarium_19_class_splits.pkl").open("wb") as out:
        pickle.dump({"Old": list(range(half)), "New": list(range(half, len(classes)))}, out)


def _plantdoc(folder: Path, classes: list[list[Row]]) -> None:
    for k, its in enumerate(classes):
        for i, row in enumerate(its):
            split = "train" if i % 2 or k == 2 else "test"  # one class has nothing to ask
            _put(folder / split / f"leaf {chr(97 + k)}" / f"{row['id']}.jpg", row)


if __name__ == "__main__":
    sys.stdout.write(f"{make(Path(sys.argv[1]))}\n")
