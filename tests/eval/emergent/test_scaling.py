"""Nested parts, equal steps and equal epochs, and slopes that are what they are."""

import json
import math

import pytest

from eval.emergent import scaling
from eval.emergent.scaling import Figure
from tests.benchmarks import _variants
from training import order
from training.reading import Published


def args(dataset, *more):
    return scaling.parser().parse_args([str(dataset), "--on", "set", *more])


def test_every_part_is_planned_once_and_the_whole_once_a_seed(sample):
    asked = ("--shares", "0.1", "1", "--seeds", "1", "2", "--steps", "200")
    plans = scaling.planned(args(sample, *asked))
    assert len({one.name for one in plans}) == len(plans) == 2 * (1 + 4)
    steps = {(one.of, one.equal, one.share): one.steps for one in plans if one.seed == 1}
    assert steps["pictures", "steps", 0.1] == 200 and steps["pictures", "epochs", 0.1] == 20
    place = Published(str(sample))
    kept = order.part(int(place.sizes.sum()), 0.1, 1, place.taxon_codes())
    assert steps["taxa", "epochs", 0.1] == round(200 * kept.mean()), (
        "as often through what there is"
    )
    others = (scaling.planned(args(sample, *asked[:-1], "100")), scaling.planned(args(sample, *asked, "--set", "optimizer.lr=1e-3")))  # fmt: skip
    for other in others:
        assert not {one.name for one in plans} & {one.name for one in other}, "trained otherwise"
    for wrong in (["--shares", "0"], ["--shares", "2"], ["--steps", "0"]):
        with pytest.raises(ValueError, match="--shares lie above 0"):
            scaling.planned(args(sample, *wrong))


def test_slopes_are_per_tenfold_with_intervals_over_seeds():
    rows = [Figure("pictures", "steps", share, seed, "rho", 0.5 - 0.1 * math.log10(share) + 0.01 * seed * math.log10(share))
            for share in (0.01, 0.1, 1.0) for seed in (1, 2, 3)]  # fmt: skip
    slope, low, high = scaling.slopes(rows)["pictures", "steps", "rho"]
    assert slope == pytest.approx(-0.08) and high - slope == pytest.approx(4.303 * 0.01 / 3**0.5, rel=1e-3)  # fmt: skip
    assert scaling.says(low, high) == "falls" and scaling.says(-1, 1) == "not told from level"
    assert math.isnan(scaling.slopes([r for r in rows if r.seed == 1])["pictures", "steps", "rho"][1])  # fmt: skip


def test_one_command_trains_parts_and_draws_what_grows(sample, tmp_path, capsys):
    labels, traits = _variants.make(tmp_path / "drawn", step=16)
    lines = traits.read_text().splitlines()
    few = ["few", *(["a", "b"] * 50)]  # of two species only
    traits.write_text(
        "\n".join(f"{line},{few[i] if i < 3 else ''}" for i, line in enumerate(lines))
    )
    out = tmp_path / "out"
    more = ["--shares", "0.5", "1", "--of", "taxa", "--equal", "epochs", "--seeds", "1", "--steps", "2", "--traits", str(traits), "--out", str(out)]  # fmt: skip
    asked = [str(sample), "--on", str(labels), *more, "--set", "data.batch=16", "--set", "image.side_px=48", "--set", "data.workers=0"]  # fmt: skip
    assert scaling.main(asked) == 1, "one trait could not be asked"
    found = json.loads((out / "scaling.json").read_text())
    assert {(row["of"], row["equal"], row["share"]) for row in found["figures"]} == {("taxa", "epochs", 0.5), ("taxa", "epochs", 1.0)}  # fmt: skip
    assert {row["model"] for row in found["controls"]} == {"pixels", "random weights"}
    assert {"zero-shot", "5-shot", "Fisher's ratio, sex", "habitat, read on other clades"} <= {row["figure"] for row in found["figures"]}  # fmt: skip
    page = (out / "scaling.html").read_text()
    assert "Does it rise or fall?" in page and "not done: few: " in page, "the rest is done"
    assert not any(row["figure"].startswith("few") for row in found["figures"])
    capsys.readouterr()
    stamps = {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("*.safetensors")}
    assert scaling.main(asked) == 1, "what is there is not trained again"
    assert stamps == {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("*.safetensors")}
    assert scaling.main([str(tmp_path / "nothing"), "--on", str(labels), "--out", str(tmp_path / "b")]) == 2  # fmt: skip
    assert "error: " in capsys.readouterr().err
