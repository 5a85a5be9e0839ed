"""A small build of labels, specimens, faces and camera-trap frames, for tests of what is scored."""

from pathlib import Path

import pyarrow.parquet as pq

from curation import build, recipe
from curation.sample import draw
from curation.sample.naming import ALL_SPECIES
from tests.own_table import RECIPE

ALL = """[museum]
model = "pixels"
support = "support"
[quality]
measure = true
[faces]
detector = "haar"
"""
LOOKS = draw.looks(ALL_SPECIES, seed=2)


def made(world, more=ALL, verdict="", **options):
    options = {"engine": "serial", **options}  # so few pictures are not worth new processes
    path = world / "r.toml"
    path.write_text(f"{RECIPE}{verdict}\n[dedup]\nclasses = []\n{more}")
    return build.build(recipe.read(str(path)), world / "root", **options)


def catalog(done):
    (path,) = done["shard"][0].dir.glob("metadata/*/catalog-*.parquet")
    return {Path(row["identifier"]).stem: row for row in pq.read_table(path).to_pylist()}
