"""Organisms of a sample world drawn for the question: as many of either sex and age, and traits of their species.

`beak` and `habitat` are drawn; `kin` came down the same tree in the same way and is in no picture: what goes with it is
ancestry alone.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.ranks import RANKS
from curation.sample import draw, shot
from curation.sample.taxa import SPECIES

N_EACH, N_PLAIN = 5, 6  # individuals of each sex and age of an animal; adults of others
OTHER_WORLD = 1_000_000  # added to a seed, for a trait that is drawn elsewhere
FIRST = 900_000  # individuals that no world has


def make(folder: Path, *, seed: int = 1, inherited: bool = True, n_each: int = N_EACH, step: int = 1) -> tuple[Path, Path]:  # fmt: skip
    """labels.csv with pictures beside it, and traits.csv, under `folder`; every `step`-th species."""
    looks = draw.looks(SPECIES, seed=seed, inherited=inherited)
    elsewhere = draw.looks(SPECIES, seed=seed + OTHER_WORLD, inherited=inherited)
    rows, traits = list[Sequence[Any]](), list[Sequence[Any]]()
    for k, one in enumerate(SPECIES[::step]):
        ways = [(sex, stage) for sex in ("female", "male") for stage in ("juvenile", "adult")]
        ways = [way for way in ways for _ in range(n_each)] if one.kingdom == "Animalia" else [("", "")] * N_PLAIN  # fmt: skip
        for i, (sex, stage) in enumerate(ways):
            name = f"pictures/{k:03d}/{i:02d}.jpg"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(shot.render(shot.Shot("organism", one.species, FIRST + 100 * k + i, sex=sex, stage=stage, size=(160, 120)), looks))  # fmt: skip
            rows.append((name, one.species, *one.lineage, sex, stage))
        look = looks[one.species]
        traits.append((one.species, look.beak, draw.HABITATS[look.habitat], elsewhere[one.species].beak))  # fmt: skip
    _table(folder / "labels.csv", ("filepath", "label", *RANKS, "sex", "lifeStage"), rows)
    _table(folder / "traits.csv", ("species", "beak", "habitat", "kin"), traits)
    return folder / "labels.csv", folder / "traits.csv"


def _table(path: Path, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([heads, *rows])


if __name__ == "__main__":
    import sys

    make(Path(sys.argv[1]))
