"""Sample worlds of any size as finished datasets, built when first needed and kept for the next benchmark."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import build, recipe

PLACE = Path(os.environ.get("TREEOFLIFE_WORLDS", Path.home() / ".cache" / "treeoflife-benchmarks" / "worlds"))  # fmt: skip
ACCEPTED = ("exact", "synonym", "key", "variant", "fuzzy")
ABOVE = ("kingdom", "phylum", "class", "order", "family")


def dataset(
    n_pictures: int, *, seed: int = 1, inherited: bool = True, unseen_genera: float = 0.05
) -> Path:
    """The dataset folder of a sample world of about so many pictures; without `inherited`, the control world.

    Its `seed` draws looks, individuals and noise anew, and the split.
    """
    root = PLACE / f"{n_pictures}-{'inherited' if inherited else 'control'}-{seed}"
    made = recipe.read("sample")
    assert made.sample is not None
    world = dataclasses.replace(made.sample, n_pictures=n_pictures, seed=seed, inherited=inherited)
    shard = dataclasses.replace(made.shard, n_buckets=max(2, n_pictures // 2_500), unseen_genera=unseen_genera,
                                seed=made.shard.seed + seed - 1)  # fmt: skip
    view = f"unseen-{unseen_genera}"
    build.build(dataclasses.replace(made, sample=world, shard=shard), root, view=view)
    return root / "datasets" / view


def accepted(folder: Path) -> Path:
    """The same dataset with only those pictures whose species a taxonomy accepts.

    What is left out hides species under misspelt names, or names of their genus or family.
    """

    def kept(table: pa.Table) -> pa.Table:
        known = (
            pc.is_in(table["match_rule"], pa.array(ACCEPTED))
            if "match_rule" in table.column_names
            else True
        )
        return table.filter(pc.and_(known, pc.is_valid(table["species"])))

    return _rewritten(folder, "accepted", kept)


def shuffled(folder: Path, seed: int = 0) -> Path:
    """The same dataset with the lineages above the genus dealt out anew among the genera: a tree that means nothing."""
    known: dict[str, tuple[str | None, ...]] = {}
    for file in _files(folder):
        for row in pq.read_table(file, columns=["genus", *ABOVE]).to_pylist():
            if row["genus"]:
                known.setdefault(row["genus"], tuple(row[rank] for rank in ABOVE))
    genera, lineages = sorted(known), [known[genus] for genus in sorted(known)]
    random.Random(seed).shuffle(lineages)
    dealt = dict(zip(genera, lineages, strict=True))

    def moved(table: pa.Table) -> pa.Table:
        own = table["genus"].to_pylist()
        for i, rank in enumerate(ABOVE):
            field = table.schema.field(rank)
            values = pa.array([dealt[genus][i] if genus else None for genus in own], field.type)
            table = table.set_column(table.column_names.index(rank), field, values)
        return table

    return _rewritten(folder, f"shuffled-{seed}", moved)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("data/**/*.parquet")) + sorted(
        folder.rglob("metadata/**/taxa-*.parquet")
    )


def _rewritten(folder: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> Path:
    """A copy of a dataset, its pictures and taxa changed, its manifest right."""
    target = folder.with_name(f"{folder.name}-{name}")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.jpg", "*.png"))
    n_rows = {}
    for file in _files(target):
        table = change(pq.read_table(file))
        file.unlink()  # it is a hard link of an artifact
        pq.write_table(table, file, row_group_size=256, compression="none")
        n_rows[file.relative_to(target).as_posix()] = table.num_rows
    manifest = json.loads((target / "manifest.json").read_text())
    for listed in manifest["files"]:
        listed["rows"] = n_rows.get(listed["name"], listed.get("rows"))
    manifest["address"] += f"-{name}"
    (target / "manifest.json").unlink()
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target


if __name__ == "__main__":
    import sys

    dataset(int(sys.argv[1]), inherited=sys.argv[2] != "control")
