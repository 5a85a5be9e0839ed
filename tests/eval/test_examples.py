"""Test sets in the forms that people have them, with everything that is wrong with them told."""

import gzip
import os
from pathlib import Path

import pytest

from eval import examples as sets
from eval.features import features
from tests.drawings import photo


def _pictures(folder, names):
    for k, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(k).save(path)


def test_one_folder_per_class(tmp_path):
    _pictures(tmp_path, ["Puma concolor/a.jpg", "Puma concolor/deep/b.png", "Lynx rufus/c.jpg"])
    (tmp_path / "Lynx rufus" / "notes.txt").write_text("x")
    (tmp_path / "Felis catus").mkdir()
    found = sets.found(str(tmp_path))
    assert dict(zip(found.column("example"), found.column("label"), strict=True)) == {
        "Lynx rufus/c.jpg": "Lynx rufus", "Puma concolor/a.jpg": "Puma concolor", "Puma concolor/deep/b.png": "Puma concolor"}  # fmt: skip
    assert sorted(found.left_out) == [
        ("Felis catus", "empty_class"),
        ("Lynx rufus/notes.txt", "not_a_picture"),
    ]
    with pytest.raises(ValueError, match="no folder per class"):
        sets.found(str(tmp_path / "Felis catus"))


def test_a_table_with_all_that_can_be_wrong_with_it(tmp_path):
    _pictures(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"])
    table = tmp_path / "labels.csv.gz"
    lines = [
        "filepath,class",
        "a.jpg,Aus bus",
        "a.jpg,Aus bus",
        "b.jpg,Aus bus",
        "b.jpg,Cus dus",
        "c.jpg,Cus dus",
        "d.jpg,",
        ",Aus bus",
    ]
    table.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = sets.found(str(table))
    assert found.column("example") == ["a.jpg", "c.jpg"] and found.name == tmp_path.name
    assert sorted(why for _, why in found.left_out) == [
        "conflicting_labels", "conflicting_labels", "duplicate_row", "no_label", "no_path"]  # fmt: skip


@pytest.mark.parametrize(("head", "row", "rank", "label"), [
    ("filepath,class,kingdom,species", "a.jpg,Aves,Animalia,Parus major", "Aves", "Parus major"),
    ("filepath,class,kingdom,cls", "a.jpg,great tit,animalia,aves", "Aves", "great tit"),
    ("file\tscientificName\tclass", "a.jpg\tParus major\tgreat tit", None, "great tit"),
    ("filepath,kingdom,genus,species,common_name", "a.jpg,animalia,parus,major,great tit", None, "Parus major"),
    ("filepath,kingdom,genus,species,common_name", "a.jpg,animalia,,,bird", None, "bird"),
])  # fmt: skip
def test_the_word_class_is_read_as_what_it_must_mean(tmp_path, head, row, rank, label):
    _pictures(tmp_path, ["a.jpg"])
    (tmp_path / "t.csv").write_text(f"{head}\n{row}\n")
    found = sets.found(str(tmp_path / "t.csv"))
    assert found.column("label") == [label] and found.column("class") == [rank]


@pytest.mark.parametrize(("text", "said"), [
    ("filepath\na.jpg\n", "needs a column of paths"), ("class,x\nA,1\n", "needs a column of paths"),
    ("filepath,class\nz.jpg,A\n", "none of the 1 pictures"), ("filepath,class\n", "none of the 0 pictures"), ("", "needs a column")])  # fmt: skip
def test_what_is_no_test_set_says_why(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        sets.found(str(tmp_path / "t.csv"))
    with pytest.raises(ValueError, match=r"no folder, table or dataset|is no dataset"):
        sets.found(str(tmp_path / "gone"))


def test_a_published_dataset_by_split(sample, model, tmp_path):
    found = sets.found(f"{sample}#train")
    assert len(found) > 50 and all(found.column("species"))
    assert found.column("label") == found.column("species") and found.kind == "taxon_com"
    assert {why for _, why in found.left_out} == {"not_known_to_species"}
    with pytest.raises(ValueError, match="no picture in its split 'nowhere'"):
        sets.found(f"{sample}#nowhere")
    vectors = features(model, found, tmp_path, workers=1, batch=32)
    assert vectors.good.all() and vectors.vectors.shape == (len(found), model.dim)


def test_a_path_that_leads_out_of_the_folder_is_not_read_and_a_linked_folder_is(tmp_path, model):
    _pictures(tmp_path / "in", ["a.jpg"])
    _pictures(tmp_path, ["secret.jpg", "elsewhere/b.jpg"])
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")  # large sets lie on other disks
    lines = [
        "filepath,class",
        "a.jpg,A",
        "../secret.jpg,B",
        "more/../../secret.jpg,B",
        f"{tmp_path}/secret.jpg,B",
        "more/b.jpg,C",
    ]
    (tmp_path / "in" / "t.csv").write_text("\n".join(lines) + "\n")
    found = features(model, sets.found(str(tmp_path / "in" / "t.csv")), tmp_path / "out", workers=0)
    assert found.good.tolist() == [True, False, False, False, True]
    assert "out of the folder" in found.pictures["error"][1].as_py()


def test_a_file_whose_name_is_no_text_is_left_out(tmp_path):
    _pictures(tmp_path / "set", ["A/a.jpg"])
    (Path(os.fsdecode(os.fsencode(tmp_path / "set" / "A") + b"/caf\xe9.jpg"))).write_bytes(b"x")
    found = sets.found(str(tmp_path / "set"))
    assert found.column("example") == ["A/a.jpg"] and [why for _, why in found.left_out] == [
        "name_not_utf8"
    ]


def test_a_damaged_archive_of_a_table_is_told(tmp_path):
    data = bytearray(gzip.compress(b"filepath,class\na.jpg,A\n" * 400))
    data[20:40] = bytes(20)
    (tmp_path / "t.csv.gz").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="cannot be read as a table"):
        sets.found(str(tmp_path / "t.csv.gz"))
