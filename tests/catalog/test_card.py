"""What others wrote shows as text in the card, whatever it is."""

import csv
import re

import pytest
import yaml

from curation import build, recipe
from tests.drawings import photo

HOSTILE = "<script>alert(1)</script>|[x](javascript:y)`*_a_*`\u202e# \\"
TITLE = 'A "title": {evil}\n---\nconfigs: []\n# <b>not a heading</b>'
RECIPE = """
name = "hostile"
[[source]]
kind = "own"
name = "o"
path = "t.csv"
licence = "CC0"
[verdict]
min_rank = "any"
min_side_px = 20
"""


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """The card of a dataset whose names and title attack it, and the folder of the dataset."""
    folder = tmp_path_factory.mktemp("hostile")
    with (folder / "t.csv").open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["identifier", "scientificName", "kingdom", "datasetName", "creator"])
        for k in range(3):
            photo(k).save(folder / f"{k}.png")
            table.writerow([f"{k}.png", "Aus bus", HOSTILE, "=HYPERLINK(1)", HOSTILE])
    (folder / "r.toml").write_text(RECIPE)
    chosen = recipe.changed(recipe.read(str(folder / "r.toml")), "title", TITLE)
    made = build.build(chosen, folder / "root")["shard"][0]
    return (made.dir / "README.md").read_text(encoding="utf-8"), made.dir


def test_the_head_of_the_card_is_one_document_and_holds_the_title_as_text(card):
    text, _ = card
    head = text.split("---\n")[1]
    found = yaml.safe_load(head)
    assert found["pretty_name"] == TITLE and found["configs"][0]["config_name"] == "default"


def test_names_are_neither_markup_nor_links_nor_columns(card):
    body = card[0].split("---\n", 2)[2]
    assert "<script" not in body and "<b>" not in body and "\u202e" not in body
    assert not re.search(r"(?<!\\)\[x(?<!\\)\]\(", body)
    kingdoms = body.partition("## Kingdoms")[2].partition("##")[0]
    (row,) = [line for line in kingdoms.splitlines() if "alert(1)" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5, "four cells, whatever the name holds"
    for line in body.splitlines():
        assert "alert(1)" not in line or not re.search(r"(?<!\\)[`*]", line), line


def test_the_card_loads(card):
    import datasets

    data = datasets.load_dataset(str(card[1]))
    assert sum(part.num_rows for part in data.values()) == 3
