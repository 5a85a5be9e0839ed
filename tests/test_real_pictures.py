"""Real pictures with real checklists: one's own tables become a dataset that loads."""

import csv

import pytest

from catalog.load import load
from curation import build, recipe

HEAD = """
name = "real"
title = "Real pictures"

[[taxonomy]]
name = "AviList v2025"
path = "{data}/taxonomy/birds_avilist/avilist_2025.csv.gz"
[taxonomy.columns]
taxonID = "Sequence"
scientificName = "Scientific_name"
taxonRank = "Taxon_rank"
order = "Order"
family = "Family"
scientificNameAuthorship = "Authority"
vernacularName = "English_name_AviList"
[taxonomy.constants]
kingdom = "Animalia"
phylum = "Chordata"
class = "Aves"
language = "en"

[[taxonomy]]
name = "GBIF Backbone (Asterales)"
path = "{data}/taxonomy/asterales/gbif/taxonomy.tsv.gz"
[taxonomy.columns]
taxonID = "uid"
parentNameUsageID = "parent_uid"
scientificName = "name"
taxonRank = "rank"
[taxonomy.constants]
kingdom = "Plantae"
phylum = "Tracheophyta"
class = "Magnoliopsida"

[[taxonomy]]
name = "CITES Appendix I"
path = "{data}/taxonomy/cites_appendix1_coldp"

[verdict]
min_rank = "any"       # most of these names are in no checklist at hand
min_side_px = 120
"""

SOURCE = """
[[source]]
kind = "own"
name = "{name}"
path = "{path}"
licence = "CC BY 4.0"  # for this test only: nothing of it is published
creator = "see the folder's README"
"""


def written(data, folder, names):
    """A recipe over picture folders of the real data, as a file in `folder`."""
    text = HEAD.format(data=data)
    for name in names:
        text += SOURCE.format(name=name, path=data / "images" / name / "labels.csv")
    path = folder / "real.toml"
    path.write_text(text)
    return path


@pytest.mark.real_data
def test_real_pictures_become_a_dataset(real_data, tmp_path):
    names = ["cc_animals", "orchids_naturalis", "butterflies_leeds", "birds_full_photos"]
    made = build.build(recipe.read(str(written(real_data, tmp_path, names))), tmp_path / "root")
    n_given = 0
    for name in names:
        with (real_data / "images" / name / "labels.csv").open(encoding="utf-8") as stream:
            n_given += sum(1 for _ in csv.DictReader(stream))
    assert made["media"][0].counts["rows"] == n_given == 260
    data = load(tmp_path / "root" / "datasets" / "real", cache_dir=str(tmp_path / "cache"))
    rows = [row for part in data.values() for row in part]
    rejects = load(tmp_path / "root" / "datasets" / "real", config="rejects",
                   cache_dir=str(tmp_path / "cache"))["train"].to_list()  # fmt: skip
    assert len(rows) + len(rejects) == n_given and len(rows) > 200
    crow = next(row for row in rows if row["verbatimScientificName"] == "Corvus brachyrhynchos")
    assert (crow["family"], crow["vernacularName"]) == ("Corvidae", "American Crow")
    assert (crow["match_rule"], crow["taxonomy"]) == ("exact", "AviList v2025")
    kinds = {row["media_type"] for row in rows}
    assert {"image/jpeg", "image/png", "image/webp", "image/avif"} <= kinds
    assert all(row["image"].mode == "RGB" for row in rows)
