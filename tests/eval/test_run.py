"""The command: everything on miniatures, the report, mistakes of the user; real label files and real pictures."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalog.benchmarks import BENCHMARKS, BY_NAME, MEANS
from eval import few_shot, judge, listing, results, run
from eval.examples import read
from eval.tasks import awa2
from tests.drawings import photo

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def judged(mini, tmp_path_factory):
    """Two models judged on some miniatures; the folder of what came of it, and what was printed."""
    out = tmp_path_factory.mktemp("judged")
    args = ["tiny-vit:random", "timm:vit_tiny_patch16_224:random", "--data", str(mini), "--out", str(out),
            "--on", "rare-species", "nabirds", "plantdoc"]  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "eval.run", *args], cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_every_figure_can_be_computed_again_from_the_answers(judged):
    out, _ = judged
    told = json.loads((out / "metrics.json").read_text())
    answers = {}
    for path in (out / "predictions").glob("*.parquet"):
        table = pq.read_table(path)
        keys = list(
            zip(
                *(table[c].to_pylist() for c in ("model", "benchmark", "task", "track", "setting")),
                strict=True,
            )
        )
        for key in dict.fromkeys(keys):
            answers[key] = table.filter([k == key for k in keys])
    assert {(o["benchmark"], o["task"], o["track"]) for o in told} >= {
        ("rare-species", "zero-shot", "compat"), ("rare-species", "confidence", "fixed"), ("nabirds", "few-shot", "fixed"), ("plantdoc", "plantdoc", "compat")}  # fmt: skip
    for one in told:
        table = answers[one["model"], one["benchmark"], one["task"], one["track"], one["setting"]]
        assert results.value(table, one["metric"]) == pytest.approx(one["value"], abs=1e-9)
        assert one["low"] <= one["value"] + 1e-9 and one["value"] <= one["high"] + 1e-9
        assert results.interval(table, one["metric"]) == pytest.approx((one["low"], one["high"]))


def test_the_report_says_it_all_in_words_and_pictures(judged):
    out, printed = judged
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert (
        "timm:vit_tiny_patch16_224:random has no text tower: zero-shot and back-off are left out"
        in printed
    )
    assert "figures of others do not compare" in printed and "; published:" not in printed
    for said in (
        "Models compared",
        "first less second",
        "Surest mistakes: tiny-vit:random on nabirds",
        "no test picture of: leaf c",
    ):
        assert said in page
    assert (
        page.count("data:image/jpeg;base64,") > 10
        and "src=http" not in page
        and "<script" not in page
    )
    for figure in re.findall(r"\(figures/(.+?)\)", text):
        assert np.asarray(Image.open(out / "figures" / figure).convert("L")).std() > 5
    assert (out / "figures" / "mistakes-by-rank.png").exists()


def test_the_splits_it_writes_can_be_given_back(judged, mini, tmp_path):
    out, _ = judged
    path = out / "splits" / "nabirds--compat.csv"
    given = few_shot.read_splits(path, listing.read("nabirds", mini).column("example"))
    assert set(given) == {(k, fold) for k in (1, 5) for fold in range(5)}
    args = [
        "tiny-vit:random",
        "--data",
        str(mini),
        "--out",
        str(tmp_path),
        "--workers",
        "0",
        "--on",
        "nabirds",
        "--tasks",
        "few-shot",
        "--splits",
        str(path),
    ]
    assert run.main(args) == 0
    again = {
        one["setting"]: one["value"] for one in json.loads((tmp_path / "metrics.json").read_text())
    }
    told = {o["setting"]: o["value"] for o in json.loads((out / "metrics.json").read_text())
            if (o["model"], o["benchmark"], o["task"], o["track"]) == ("tiny-vit:random", "nabirds", "few-shot", "compat")}  # fmt: skip
    assert again == pytest.approx(told)


def test_pictures_that_cannot_be_used_are_listed(tmp_path, capsys):
    for k in range(6):
        path = tmp_path / "mine" / f"class {k % 2}" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(k).save(path)
    (tmp_path / "mine" / "class 1" / "bad.jpg").write_bytes(b"<html>")
    assert (
        run.main(
            [
                "tiny-vit:random",
                "--on",
                str(tmp_path / "mine"),
                "--out",
                str(tmp_path / "out"),
                "--workers",
                "0",
                "--shots",
                "1",
            ]
        )
        == 0
    )
    assert "mine: 1 rows left out" in capsys.readouterr().out
    lines = (tmp_path / "out" / "left_out.csv").read_text().splitlines()
    assert len(lines) == 2 and lines[1].startswith("mine,class 1/bad.jpg,")


def test_what_turns_out_impossible_is_told_and_the_rest_is_done(tmp_path, capsys):
    for name in ("good", "bad"):
        for k in range(6):
            path = tmp_path / name / f"class {k % 2}" / f"{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo(k).save(path) if name == "good" else path.write_bytes(b"<html>")
    args = [
        "tiny-vit:random",
        "--on",
        str(tmp_path / "bad"),
        str(tmp_path / "good"),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "0",
        "--shots",
        "9",
    ]
    assert run.main(args) == 1
    said = capsys.readouterr().out
    assert "not done: tiny-vit:random on bad: bad: not one of 6 pictures can be read" in said
    assert "few-shot: no class has more pictures than are learned from; the largest has 3" in said
    assert run.main([*args, "--tasks", "back-off"]) == 1
    assert "back-off: the set states no lineages" in capsys.readouterr().out
    assert run.main(args) == 1
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {one["task"] for one in told} == {"zero-shot"} and told[0]["n_examples"] == 6
    assert "not done: tiny-vit:random on bad" in (tmp_path / "out" / "report.html").read_text()


def test_published_figures_stand_beside_whole_benchmarks_asked_their_way(
    mini, tmp_path, monkeypatch, capsys
):
    whole = {
        name: dataclasses.replace(BY_NAME[name], n_images=48) for name in ("plantdoc", "fungi")
    }
    monkeypatch.setattr(listing, "BY_NAME", {**BY_NAME, **whole})
    args = [
        "tiny-vit:random",
        "--data",
        str(mini),
        "--out",
        str(tmp_path),
        "--workers",
        "0",
        "--on",
        "plantdoc",
        "fungi",
        "--tasks",
        "plantdoc",
        "zero-shot",
    ]
    assert run.main(args) == 0
    told = {
        (one["benchmark"], one["track"]): one["published"]
        for one in json.loads((tmp_path / "metrics.json").read_text())
    }
    assert (
        told["plantdoc", "compat"]["BioCLIP 2"] == 40.4
        and told["fungi", "compat"]["BioCLIP 2 ViT-L/14"] == 83.8
    )
    assert not told["plantdoc", "fixed"] and not told["fungi", "fixed"]
    assert "published: CLIP ViT-L/14 0.076" in capsys.readouterr().out
    assert run.main([*args, "--on", "fungi", "--labels", "asis"]) == 0
    monkeypatch.setattr(
        listing,
        "BY_NAME",
        {**BY_NAME, "rare-species": dataclasses.replace(BY_NAME["rare-species"], n_images=48)},
    )
    assert (
        run.main([*args[:7], "--on", "rare-species", "--tasks", "zero-shot", "--labels", "com"])
        == 0
    )
    assert all(
        not one["published"] for one in json.loads((tmp_path / "metrics.json").read_text())
    ), "asked by common names"


def test_results_say_what_they_were_computed_from(judged):
    out, _ = judged
    one = json.loads((out / "metrics.json").read_text())[0]
    assert (
        len(one["provenance"]["weights"]) == 32
        and one["provenance"]["precision"] == "fp32"
        and one["provenance"]["torch"]
    )
    path = next((out / "predictions").glob("*.parquet"))
    assert pq.read_schema(path).metadata[b"pictures"]


def test_files_of_different_names_are_different_files():
    names = [
        "鸟类",
        "植物",
        "runs/a/export",
        "runs-a-export",
        "x" * 90 + "1",
        "y" + "x" * 89 + "1",
        "plain",
    ]
    assert (
        len({judge.file_of(name) for name in names}) == len(names)
        and judge.file_of("plain") == "plain"
    )


def test_a_name_with_a_dollar_sign_is_drawn(tmp_path):
    for k in range(4):
        path = tmp_path / "_cost_$5_and_$x_" / f"class {k % 2}" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(k).save(path)
    args = [
        "tiny-vit:random",
        "--on",
        str(tmp_path / "_cost_$5_and_$x_"),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "0",
        "--tasks",
        "zero-shot",
    ]
    assert run.main(args) == 0 and (tmp_path / "out" / "figures" / "zero-shot-fixed.png").exists()


@pytest.mark.parametrize(("args", "said"), [
    ([], "name at least one model"), (["M", "--on", "nowhere"], "neither a file or folder nor a benchmark"), (["M", "--on", "nabird"], "did you mean 'nabirds'"),
    (["M", "--tasks", "zeroshot"], "did you mean 'zero-shot'"), (["M"], "no benchmark is under"), (["M", "--labels", "latin"], "choose of asis"),
    (["M", "--shots", "0"], "whole numbers from 1"), (["M", "--on", "nabirds"], "metadata.csv"), (["nothing:random", "--on", "HERE"], "knows no architecture"),
    (["timm:vit_tiny_patch16_224:random", "--on", "HERE", "--tasks", "zero-shot"], "cannot be asked zero-shot"),
    (["tiny-vit:random", "--on", "HERE", "--labels", "taxon"], "states no ranks"), (["M", "--on", "HERE", "--tasks", "newt"], "has the task newt"),
    (["M", "--on", "HERE", "--splits", "nowhere.csv"], "cannot be read")])  # fmt: skip
def test_what_the_user_has_to_mend_is_told_at_once(tmp_path, capsys, args, said):
    for k in range(2):
        (tmp_path / "here" / f"c{k}").mkdir(parents=True)
        photo(k).save(tmp_path / "here" / f"c{k}" / "a.jpg")
    args = [str(tmp_path / "here") if a == "HERE" else a for a in args]
    assert (
        run.main(
            [
                *args,
                "--data",
                str(tmp_path / "none"),
                "--out",
                str(tmp_path / "out"),
                "--workers",
                "0",
            ]
        )
        == 2
    )
    assert said in capsys.readouterr().err


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


@pytest.mark.real_data
def test_real_pictures_give_figures_with_intervals(real_data, tmp_path):
    place = real_data / "images" / "flowers12" / "labels.csv"
    args = [
        "tiny-vit:random",
        "--on",
        str(place),
        "--out",
        str(tmp_path),
        "--workers",
        "1",
        "--track",
        "fixed",
    ]
    assert run.main(args) == 0
    told = {
        (one["task"], one["setting"]): one
        for one in json.loads((tmp_path / "metrics.json").read_text())
    }
    assert told["zero-shot", "taxon_com, 81 templates"]["n_examples"] == 696
    five = told["few-shot", "5-shot"]
    assert 0.05 < five["low"] < five["value"] < five["high"] and five["n_runs"] == 5
