"""Sample worlds of any size as finished datasets, built when first needed and kept for the next benchmark."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation import build, recipe

PLACE = Path(os.environ.get("TREEOFLIFE_WORLDS", Path.home() / ".cache" / "treeoflife-benchmarks" / "worlds"))  # fmt: skip
ABOVE = ("kingdom", "phylum", "class", "order", "family")


def dataset(n_pictures: int, *, inherited: bool = True, unseen_genera: float = 0.05) -> Path:
    """The dataset folder of a sample world of about so many pictures; without `inherited`, the control world."""
    root = PLACE / f"{n_pictures}-{'inherited' if inherited else 'control'}"
    made = recipe.read("sample")
    assert made.sample is not None
    world = dataclasses.replace(made.sample, n_pictures=n_pictures, inherited=inherited)
    shard = dataclasses.replace(made.shard, n_buckets=max(2, n_pictures // 2_500), unseen_genera=unseen_genera)  # fmt: skip
    view = f"unseen-{unseen_genera}"
    build.build(dataclasses.replace(made, sample=world, shard=shard), root, view=view)
    return root / "datasets" / view


def shuffled(folder: Path, seed: int = 0) -> Path:
    """The same dataset with the lineages above the genus dealt out anew among the genera: a tree that means nothing."""
    target = folder.with_name(f"{folder.name}-shuffled-{seed}")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.jpg", "*.png"))
    files = sorted(target.rglob("data/**/*.parquet")) + sorted(target.rglob("metadata/**/taxa-*.parquet"))  # fmt: skip
    known: dict[str, tuple[str | None, ...]] = {}
    for file in files:
        for row in pq.read_table(file, columns=["genus", *ABOVE]).to_pylist():
            if row["genus"]:
                known.setdefault(row["genus"], tuple(row[rank] for rank in ABOVE))
    genera, lineages = sorted(known), [known[genus] for genus in sorted(known)]
    random.Random(seed).shuffle(lineages)
    dealt = dict(zip(genera, lineages, strict=True))
    for file in files:
        table = pq.read_table(file)
        rows = table.select(["genus", *ABOVE]).to_pylist()
        for i, rank in enumerate(ABOVE):
            values = [dealt[row["genus"]][i] if row["genus"] else None for row in rows]
            at = table.column_names.index(rank)
            table = table.set_column(at, table.schema.field(rank), pa.array(values, table.schema.field(rank).type))  # fmt: skip
        file.unlink()  # it is a hard link of an artifact
        pq.write_table(table, file, row_group_size=256, compression="none")
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").unlink()
    (target / "manifest.json").write_text(json.dumps({**manifest, "address": f"{manifest['address']}-shuffled-{seed}"}))  # fmt: skip
    return target


if __name__ == "__main__":
    import sys

    dataset(int(sys.argv[1]), inherited=sys.argv[2] != "control")
