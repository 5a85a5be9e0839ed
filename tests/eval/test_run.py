"""The command: mistakes of the user told at once, what turns out impossible told later; real pictures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eval import run
from tests.drawings import photo


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


def test_without_the_extra_it_lists_benchmarks_and_says_what_to_install():
    code = ("import sys; sys.modules['torch'] = None\n"
            "from eval import run\nassert run.main(['--list']) == 0\nsys.exit(run.main(['M', '--on', 'x']))")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "NABirds" in done.stdout
    assert "torch is not installed: pip install -c constraints.txt -e '.[eval]'" in done.stderr
