"""The command: everything on miniatures, the report, mistakes of the user; real label files and real pictures."""

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

from catalog.benchmarks import BENCHMARKS, BY_NAME, GROUPS
from eval import few_shot, listing, results, run
from eval.examples import read
from eval.tasks import awa2
from tests.drawings import photo

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def judged(mini, tmp_path_factory):
    """Two models judged on some miniatures; the folder of what came of it, and what was printed."""
    out = tmp_path_factory.mktemp("judged")
    args = ["tiny-vit:random", "timm:vit_tiny_patch16_224:random", "--data", str(mini), "--out", str(out), "--workers", "1",
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
    ten = (
        "nabirds",
        "plankton",
        "insects",
        "insects-2",
        "plantnet",
        "fungi",
        "plantvillage",
        "medicinal-leaf",
        "rare-species",
    )
    camera = GROUPS["camera traps"][1]
    means = {
        "CLIP ViT-L/14": 25.5,
        "SigLIP ViT-L/16": 39.5,
        "BioTrove-CLIP ViT-B/16": 26.2,
        "BioCLIP ViT-B/16": 37.6,
        "BioCLIP 2 ViT-L/14": 55.6,
    }
    for model, mean in means.items():
        assert np.mean(
            [*(BY_NAME[name].published[model] for name in ten), camera[model]]
        ) == pytest.approx(mean, abs=0.06)
    beyond = {
        "CLIP ViT-L/14": 42.7,
        "SigLIP": 45.8,
        "Supervised-IN21K": 39.6,
        "DINOv2": 47.3,
        "BioTrove-CLIP": 41.7,
        "BioCLIP": 49.0,
        "BioCLIP 2": 57.5,
    }
    for model, mean in beyond.items():
        found = [
            BY_NAME[name].published[model]
            for name in ("fishnet", "newt", "awa2", "herbarium19", "plantdoc")
        ]
        assert np.mean(found) == pytest.approx(mean, abs=0.06)


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
    assert told["zero-shot", "asis, 81 templates"]["n_examples"] == 696
    five = told["few-shot", "5-shot"]
    assert 0.05 < five["low"] < five["value"] < five["high"] and five["n_runs"] == 5
