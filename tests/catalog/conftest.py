"""Datasets that tests of the catalogue read: the sample world, and one whose words attack whoever shows them."""

import csv

import pytest

from curation import build, recipe
from tests.browser import serving
from tests.drawings import photo
from tests.own_table import RECIPE

HOSTILE = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>|[x](javascript:pwn)`*_a_*`\u202e\x1b[2J'; drop table catalog; --"
TITLE = 'A "title": {evil}\n---\nconfigs: []\n# <b>not a heading</b>\x1b[31m'


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """The dataset folder of three pictures whose names, title, credit and address attack the reader."""
    folder = tmp_path_factory.mktemp("hostile")
    columns = [
        "identifier",
        "scientificName",
        "kingdom",
        "datasetName",
        "creator",
        "references",
        "license",
        "eventDate",
    ]
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(columns)
        for k in range(3):
            photo(k).save(folder / f"{k}.png")
            table.writerow(
                [
                    f"{k}.png",
                    "Aus bus",
                    HOSTILE,
                    "=HYPERLINK(1)",
                    HOSTILE,
                    "javascript:window.pwned=1",
                    "CC0",
                    HOSTILE,
                ]
            )
        table.writerow(["../../etc/passwd", HOSTILE, HOSTILE, "", HOSTILE, "", HOSTILE, ""])
    (folder / "r.toml").write_text(RECIPE)
    chosen = recipe.changed(recipe.read(str(folder / "r.toml")), "title", TITLE)
    return build.build(chosen, folder / "root")["shard"][0].dir


@pytest.fixture(scope="session")
def base(sample):
    with serving(sample) as base:
        yield base


@pytest.fixture(scope="session")
def hostile_base(hostile):
    with serving(hostile) as base:
        yield base
