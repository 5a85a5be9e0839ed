"""Lists of species: read with words for what is wrong, matched as the pictures' names are, and their coverage told."""

import gzip

import pyarrow.parquet as pq
import pytest

from curation import build, recipe, species_list
from curation.recipe import SpeciesList
from tests.drawings import photo

CHECKLIST = """taxonID\tparentNameUsageID\tacceptedNameUsageID\ttaxonomicStatus\ttaxonRank\tscientificName\tkingdom
1\t\t\taccepted\tkingdom\tAnimalia\tAnimalia
2\t1\t\taccepted\tfamily\tCorvidae\tAnimalia
3\t2\t\taccepted\tgenus\tCorvus\tAnimalia
4\t3\t\taccepted\tspecies\tCorvus corax\tAnimalia
5\t3\t\taccepted\tspecies\tCorvus corone\tAnimalia
6\t3\t4\tsynonym\tspecies\tCorvus maximus\tAnimalia
"""
LIST = "scientificName,redlistCategory,kingdomName\nCorvus maximus,Vulnerable,ANIMALIA\nCorvus corone,Least Concern,ANIMALIA\nDodo dodo,Extinct,ANIMALIA\nCorvidae,,ANIMALIA\n"


@pytest.fixture
def folder(tmp_path):
    """Three pictures of two species, a checklist with a synonym, and a list that knows one by it."""
    (tmp_path / "taxa.tsv").write_text(CHECKLIST)
    (tmp_path / "list.csv").write_text(LIST)
    rows = ["identifier,scientificName,family"]
    for k, name in enumerate(("Corvus corax", "Corvus corax", "Corvus frugilegus")):
        photo(k).save(tmp_path / f"{k}.png")
        rows.append(f"{k}.png,{name},Corvidae")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "r.toml").write_text(
        'name = "r"\n[[source]]\nkind = "own"\nname = "o"\npath = "t.csv"\nlicence = "CC0"\n[[taxonomy]]\nname = "tax"\npath = "taxa.tsv"\n'
        '[[coverage]]\nname = "Red List"\npath = "list.csv"\n[verdict]\nmin_side_px = 20\nmin_rank = "family"\n'
    )
    return tmp_path


def told(folder, facet="list: Red List"):
    made = build.build(recipe.read(str(folder / "r.toml")), folder / "root")
    rows = pq.read_table(made["shard"][0].dir / "metadata/v1/statistics-000000.parquet").to_pylist()
    return {row["value"]: row for row in rows if row["facet"] == facet}, made["shard"][0].dir


def test_coverage_counts_listed_species_by_category_through_synonyms(folder):
    found, dataset = told(folder)
    assert {k: (v["n_listed"], v["n_taxa"], v["n_open"]) for k, v in found.items()} == {
        "Vulnerable": (1, 1, 2), "Least Concern": (1, 0, 0), "Extinct": (1, 0, 0)}  # fmt: skip
    card = (dataset / "README.md").read_text()
    assert (
        "## Coverage of the list: Red List" in card and "| Vulnerable | 1 | 1 | 100.0 | 2 |" in card
    )


def test_a_list_that_changes_is_read_again_and_nothing_is_fetched_again(folder):
    told(folder)
    (folder / "list.csv").write_text(LIST.replace("Vulnerable", "Endangered"))
    assert "Endangered" in told(folder)[0]


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [("name\nA b\n", {}, "no column 'scientificName'; it has name"), ("scientificName\n\n", {}, "names no species"),
     ("scientificName\nA b\n", {"category": "status"}, "no column 'status'"), ("scientificName\nA b\n", {"colour": "x"}, "columns.colour is no term"),
     (b"\xff\xfe\x00", {}, "no text in UTF-8"), (None, {}, "does not exist")],
)  # fmt: skip
def test_a_list_that_cannot_be_read_is_an_error_before_any_work(folder, text, columns, said):
    path = folder / "bad.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"coverage 'L'") as error:
        species_list.coverage_rows(SpeciesList("L", "bad.csv", columns), path)
    assert said in str(error.value)
    extra = "".join(f'{k} = "{v}"\n' for k, v in columns.items())
    (folder / "r.toml").write_text(
        (folder / "r.toml").read_text()
        + f'[[coverage]]\nname = "L"\npath = "bad.csv"\n[coverage.columns]\n{extra}'
    )
    with pytest.raises(ValueError, match="coverage 'L'"):
        build.build(recipe.read(str(folder / "r.toml")), folder / "root")
    assert not list(folder.glob("root/source/*")), "nothing was begun"


def test_two_lists_of_one_name_are_refused(folder):
    (folder / "r.toml").write_text(
        (folder / "r.toml").read_text() + '[[coverage]]\nname = "Red List"\npath = "list.csv"\n'
    )
    with pytest.raises(ValueError, match="coverage names must differ"):
        recipe.read(str(folder / "r.toml"))


def test_a_broken_gzip_is_said(tmp_path):
    path = tmp_path / "l.csv.gz"
    path.write_bytes(gzip.compress(b"scientificName\nA b\n")[:-6])
    with pytest.raises(ValueError, match="no text"):
        species_list.coverage_rows(SpeciesList("L", "l.csv.gz"), path)


@pytest.mark.real_data
def test_the_real_red_list_categories_of_all_birds_are_read_and_covered(folder, real_data):
    path = real_data / "taxonomy/birds_avilist/avilist_2025.csv.gz"
    rows = species_list.coverage_rows(SpeciesList("birds", str(path)), path)
    assert len(rows) > 10_000 and {"LC", "VU", "CR"} <= {row["category"] for row in rows}
    (folder / "r.toml").write_text(
        (folder / "r.toml").read_text().replace('"list.csv"', f'"{path}"')
    )
    found, _ = told(folder)
    assert found["LC"]["n_listed"] > 7_000 and found["LC"]["n_taxa"] == 1, (
        "the raven; its kingdom and family are known"
    )
