"""Sample worlds of any size as finished datasets, built when first needed and kept for the next benchmark."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from curation import build, recipe

PLACE = Path(os.environ.get("TREEOFLIFE_WORLDS", Path.home() / ".cache" / "treeoflife-benchmarks" / "worlds"))  # fmt: skip


def dataset(n_pictures: int, *, inherited: bool = True) -> Path:
    """The dataset folder of a sample world of about so many pictures; without `inherited`, the control world."""
    root = PLACE / f"{n_pictures}-{'inherited' if inherited else 'control'}"
    made = recipe.read("sample")
    assert made.sample is not None
    world = dataclasses.replace(made.sample, n_pictures=n_pictures, inherited=inherited)
    shard = dataclasses.replace(made.shard, n_buckets=max(2, n_pictures // 2_500))
    build.build(dataclasses.replace(made, sample=world, shard=shard), root)
    return root / "datasets" / made.name


if __name__ == "__main__":
    import sys

    dataset(int(sys.argv[1]), inherited=sys.argv[2] != "control")
