"""Traits and variants from the tables and labels that people have."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.emergent import traits, variants
from eval.examples import from_table


def table(tmp_path, rows):
    path = tmp_path / "traits.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_numbers_classes_and_what_is_neither(tmp_path):
    path = table(tmp_path, ["Species1,mass,diet,sits,note", "Parus major,18.5,seeds,1,a", "Parus_major,19.5,seeds,1,b", "Strix aluco (L.),480,meat,0,c",
                            "Anas crecca,NA,seeds,1,d", "Larus canus,400,meat,,e", *(f"Genus s{i},3{i}.5,seeds,0,n{i}" for i in range(12))])  # fmt: skip
    found = {one.name: one for one in traits.traits(path)}
    assert set(found) == {"mass", "diet", "sits"}, "a note of its own for every row is no trait"
    assert found["mass"].is_number and found["mass"].values["Parus major"] == 19.0
    assert found["mass"].values["Strix aluco"] == 480.0 and "Anas crecca" not in found["mass"].values  # fmt: skip
    assert not found["sits"].is_number and "Larus canus" not in found["sits"].values
    assert [one.name for one in traits.traits(path, ["diet"])] == ["diet"]
    pq.write_table(pa.table({"species": ["A b", "A b", "C d"], "beak": [1.0, 3.0, None], "home": ["x", "x", "y"]}), tmp_path / "t.parquet")  # fmt: skip
    (home,) = traits.traits(tmp_path / "t.parquet", ["home"])
    assert home.values == {"A b": "x", "C d": "y"}


def test_a_hybrid_is_neither_of_its_parents():
    assert traits.binomial("Anas platyrhynchos x Anas acuta") != traits.binomial("Anas platyrhynchos")  # fmt: skip
    assert traits.binomial("Quercus ×rosacea Bechst.") != traits.binomial("Quercus ×hispanica Lam.")
    assert traits.binomial("Parus_major Linnaeus, 1758") == "Parus major"


@pytest.mark.parametrize(("rows", "wanted", "said"), [
    (["name,mass", "A b,1"], [], "no column of names"),
    (["species,mass", "A b,1", "C d,2", "E f,3"], ["mas"], "mass"),
    (["species,note", *(f"A {i},n{i}" for i in range(20))], ["note"], "is no trait"),
    (["species,note", "A b,x"], [], "no column that is a trait"),
    (["species," + ",".join(f"t{i}" for i in range(20)), *(f"A {k}," + ",".join([str(k + 0.5)] * 20) for k in range(5))], [], "name some with --trait"),
])  # fmt: skip
def test_what_is_wrong_with_a_table_is_said(tmp_path, rows, wanted, said):
    with pytest.raises(ValueError, match=said):
        traits.traits(table(tmp_path, rows), wanted)
    with pytest.raises(ValueError, match="cannot be read"):
        traits.traits(tmp_path / "absent.parquet")


def labelled(tmp_path, rows, heads):
    (tmp_path / "pictures").mkdir(exist_ok=True)
    lines = []
    for i, row in enumerate(rows):
        (tmp_path / "pictures" / f"{i}.jpg").write_bytes(b"x")
        lines.append(f"pictures/{i}.jpg,{row}")
    (tmp_path / "labels.csv").write_text("\n".join([f"filepath,{heads}", *lines]))
    return from_table(tmp_path / "labels.csv")


def test_sexes_and_ages_in_darwin_cores_words(tmp_path):
    found = variants.found(labelled(tmp_path, ["Parus major,Female,Juvenile", "Parus major,MALE,adult", "Parus major,,", "Strix aluco,hermaphrodite,nestling"],
                                    "class,sex,lifeStage"))  # fmt: skip
    sex, age = found
    assert sex.names == ("Parus major",) and sex.variant.tolist() == [0, 1, -1, -1]
    assert age.names == ("Parus major", "Strix aluco") and age.variant.tolist() == [0, 1, -1, 0]
    assert age.species.tolist() == [0, 0, 0, 1]
    assert variants.found(labelled(tmp_path, ["a", "b"], "class")) == []


@pytest.mark.real_data
def test_the_labels_of_nabirds_tell_sexes_and_ages(real_data, tmp_path):
    source = next((real_data / "eval" / "bioclip2_annotation" / "nabirds").glob("*.csv.gz"))
    lines = gzip.decompress(source.read_bytes()).decode().splitlines()
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    first = lines[1].split(",")[1]
    (tmp_path / first).parent.mkdir(parents=True)
    (tmp_path / first).write_bytes(b"x")
    found = {one.name: one for one in variants.found(from_table(tmp_path / "metadata.csv"))}
    both = {
        name: sum(
            {0, 1} <= set(one.variant[one.species == s].tolist()) for s in range(len(one.names))
        )
        for name, one in found.items()
    }
    assert both["sex, by the label"] > 40 and both["age, by the label"] > 10, both
    sex = found["sex, by the label"]
    assert "Common Eider" in sex.names and "Northern Cardinal" in sex.names


@pytest.mark.real_data
def test_avonet_is_a_table_of_traits(real_data):
    path = next((real_data / "eval" / "avonet").glob("*.csv.gz"))
    depth, habitat = traits.traits(path, ["Beak.Depth", "Habitat"])
    assert depth.is_number and len(depth.values) > 10_900
    assert depth.values["Accipiter albogularis"] == pytest.approx(14.7)
    assert habitat.values["Accipiter albogularis"] == "Forest"
