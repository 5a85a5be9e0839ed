"""What a judgement leaves: figures that can be computed again, a report, splits, provenance."""

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

from eval import few_shot, judge, listing, page, results, run
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


def test_the_splits_it_writes_can_be_given_back(judged, mini, ask, tmp_path):
    out, _ = judged
    path = out / "splits" / "nabirds--compat.csv"
    given = few_shot.read_splits(path, listing.read("nabirds", mini).column("example"))
    assert set(given) == {(k, fold) for k in (1, 5) for fold in range(5)}
    assert ask("--on", "nabirds", "--tasks", "few-shot", "--splits", str(path)) == 0
    again = {
        one["setting"]: one["value"] for one in json.loads((tmp_path / "metrics.json").read_text())
    }
    told = {o["setting"]: o["value"] for o in json.loads((out / "metrics.json").read_text())
            if (o["model"], o["benchmark"], o["task"], o["track"]) == ("tiny-vit:random", "nabirds", "few-shot", "compat")}  # fmt: skip
    assert again == pytest.approx(told)


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


def test_markdown_takes_text_as_text():
    assert page.cell("a|b") == "a\\|b"
    assert page.cell("a\\|b") == "a\\\\\\|b", "a backslash before a bar does not end the cell"
    assert page.cell("<b>\n[x](y)") == "&lt;b&gt; \\[x](y)"
