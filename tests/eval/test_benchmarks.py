"""Declared benchmarks: sizes of their real label files, what is missing of them, figures of others."""

import dataclasses
import json

import numpy as np
import pytest

from catalog.benchmarks import BENCHMARKS, BY_NAME, MEANS
from eval import listing, run
from eval.examples import read
from eval.tasks import awa2


def test_published_figures_stand_beside_whole_benchmarks_asked_their_way(
    ask, tmp_path, monkeypatch, capsys
):
    names = ("plantdoc", "fungi", "rare-species")
    whole = {name: dataclasses.replace(BY_NAME[name], n_images=48) for name in names}
    monkeypatch.setattr(listing, "BY_NAME", {**BY_NAME, **whole})
    assert ask("--on", "plantdoc", "fungi", "--tasks", "plantdoc", "zero-shot") == 0
    told = {
        (one["benchmark"], one["track"]): one["published"]
        for one in json.loads((tmp_path / "metrics.json").read_text())
    }
    assert told["plantdoc", "compat"]["BioCLIP 2"] == 40.4
    assert told["fungi", "compat"]["BioCLIP 2 ViT-L/14"] == 83.8
    assert not told["plantdoc", "fixed"] and not told["fungi", "fixed"]
    said = capsys.readouterr().out
    assert "published: CLIP ViT-L/14 0.076" in said and "do not compare" not in said
    assert ask("--on", "rare-species", "--tasks", "zero-shot", "--labels", "com") == 0
    assert all(
        not one["published"] for one in json.loads((tmp_path / "metrics.json").read_text())
    ), "asked by common names"
    monkeypatch.setattr(
        listing, "BY_NAME", {**BY_NAME, "fungi": dataclasses.replace(BY_NAME["fungi"], n_images=50)}
    )
    assert ask("--on", "fungi", "--tasks", "zero-shot") == 0
    assert "48 pictures can be used; the benchmark has 50" in capsys.readouterr().out


def test_the_list_says_what_to_put_where(tmp_path, mini, capsys):
    assert run.main(["--list", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for benchmark in BENCHMARKS:
        assert f"{benchmark.name}  {benchmark.title}" in said and benchmark.get in said
    assert (
        f"{tmp_path / 'newt' / 'newt2021_labels.csv'}" in said and "class_splits.json or " in said
    )
    assert run.main(["--list", "--data", str(mini)]) == 0
    assert "not there" not in capsys.readouterr().out


def test_published_means_add_up():
    """The means of the model card are those of its own columns."""
    camera, ten, _, _, beyond = MEANS
    for model, mean in ten.published.items():
        columns = [BY_NAME[name].published[model] for name in ten.members if isinstance(name, str)]
        assert np.mean([*columns, camera.published[model]]) == pytest.approx(mean, abs=0.06)
    for model, mean in beyond.published.items():
        assert beyond.of(
            {name: BY_NAME[name].published[model] for name in beyond.members}
        ) == pytest.approx(mean, abs=0.06)
    assert ten.of({}) is None and len(ten.members) == 10
    assert (
        beyond.is_of("newt", "SVM")
        and not beyond.is_of("zero-shot", "")
        and not ten.is_of("few-shot", "1-shot")
    )


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "path"), [
    ("nabirds", "nabirds/metadata.csv.gz"), ("rare-species", "rare_species/metadata.csv"), ("plankton", "meta-album/PLK_Mini/metadata.csv"),
    ("insects", "meta-album/INS_Mini/metadata.csv"), ("insects-2", "meta-album/INS_2_Mini/metadata.csv"), ("plantnet", "meta-album/PLT_NET_Mini/metadata.csv"),
    ("fungi", "meta-album/FNG_Mini/metadata.csv"), ("plantvillage", "meta-album/PLT_VIL_Mini/metadata.csv"), ("medicinal-leaf", "meta-album/MED_LF_Mini/metadata.csv")])  # fmt: skip
def test_real_label_files_have_the_declared_sizes(real_data, tmp_path, name, path):
    source = real_data / "eval" / "bioclip2_annotation" / path
    _, lines = read(source)
    folder = tmp_path / name
    (folder / "images").mkdir(parents=True)
    (folder / source.name).write_bytes(source.read_bytes())
    first = folder / "images" / lines[0]["filepath"]
    first.parent.mkdir(parents=True, exist_ok=True)
    first.write_bytes(b"")  # the pictures are not here
    found = listing.read(name, tmp_path)
    labels = found.column("label")
    assert (len(found), len(set(labels)), found.left_out) == (
        BY_NAME[name].n_images,
        BY_NAME[name].n_classes,
        (),
    )
    from eval import zero_shot

    for track in ("compat", "fixed"):
        said = zero_shot.strings(found, found.kind, track)
        assert len(set(said)) == BY_NAME[name].n_classes, "cleaning merges no classes"
    if name == "fungi":
        assert set(zero_shot.strings(found, "asis", "fixed")) >= {
            "Amanita muscaria",
            "Clitocybe fragrans",
        }


@pytest.mark.real_data
def test_real_attributes_and_tasks_have_the_declared_sizes(real_data):
    found = awa2.matrix(real_data / "eval" / "awa2")
    assert len(found) == 50 and {len(row) for row in found.values()} == {85} and "antelope" in found
    _, lines = read(real_data / "eval" / "newt" / "newt_task_clusters.csv")
    assert len({line["name"] for line in lines}) == 164 == BY_NAME["newt"].n_classes
