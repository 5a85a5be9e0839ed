"""A run learns, says what is wrong, and is the same on one rank or many."""

import itertools
import json
import math
import subprocess
import sys
import time

import pytest
import torch

from curation import build, recipe
from tests.drawings import photo
from tests.hub import Hub
from tests.patience import PATIENCE_S
from tests.trainer import ROOT, sets
from tests.training.conftest import lines
from tests.training.many import ranks
from tests.training.runs import close, finished, same, start, tensors, weights
from tests.training.test_data import damaged, tars
from training import checkpoint, config, state
from training import train as program

CAPTIONED = """
name = "web"
[[source]]
kind = "captions"
name = "web"
path = "t.csv"
images = "."
[verdict]
min_side_px = 20
"""


def test_a_run_learns_and_tells_how_it_goes(trained, tmp_path, capsys):
    steps = trained(
        *sets(optimizer__steps=30, data__batch=64, optimizer__lr=0.002, validation__every_steps=30)
    )
    losses = [line["loss"] for line in steps if "loss" in line]
    assert sum(losses[-5:]) < sum(losses[:5]) - 1
    assert all(0 < line["mfu"] < 2 and line["samples_per_s"] > 0 and 0 <= line["wait_share"] <= 1 for line in steps if "loss" in line)  # fmt: skip
    checks = [line for line in steps if "validation_top1" in line]
    assert [line["step"] for line in checks] == [30] and 0 <= checks[0][
        "validation_top1"
    ] <= checks[0]["validation_top5"]
    assert (tmp_path / "run" / "tensorboard").is_dir()
    assert "step 30 of 30" in capsys.readouterr().err


def test_the_schedule_warms_up_and_falls_to_zero():
    run = config.changed(config.read("sample"), "optimizer.warmup_steps", 10)
    rates = [program.rate_at(step, 110, run) / run.optimizer.lr for step in range(110)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and rates[10] == 1
    assert rates[60] == pytest.approx(0.5) and rates[-1] < 0.001
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_an_average_of_weights_leaves_the_start_behind():
    average, weights_ = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    for step in range(60):
        state.follow(average, weights_, 0.9998, step)
    assert average["a"] > 0.99


def test_capped_epochs_are_as_long_as_they_are(trained):
    steps = trained(*sets(data__cap=1, optimizer__steps=0, optimizer__epochs=2.0))
    assert 1.6 < steps[-1]["epoch"] < 2.2


def test_gradients_of_many_passes_are_those_of_the_whole_batch(trained, tmp_path, sample):
    """With pictures that do not decode, equal captions, ancestors, both streams: one step of plain descent compares them."""
    folder, _ = damaged(sample, tmp_path / "data")
    replay = str(tars(tmp_path / "replay", n=2, per=8))
    how = (
        "--replay",
        replay,
        *sets(
            optimizer__steps=9,
            replay__batch=8,
            optimizer__clip_norm=0,
            checkpoint__every_steps=1,
            checkpoint__keep=9,
        ),
    )
    one = trained(*how, out=tmp_path / "one", data=str(folder))
    many = trained(*how, *sets(compute__micro_batch=10), out=tmp_path / "many", data=str(folder))
    assert config.for_ranks(config.changed(config.changed(config.changed(config.read("sample"), "data.batch", 32), "replay.batch", 8), "compute.micro_batch", 10), 1) == 4  # fmt: skip
    for a, b in zip(one, many, strict=True):
        assert a["batch"] == b["batch"] and a["loss"] == pytest.approx(b["loss"], abs=1e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)
        assert a["loss_replay"] > 0 and a["loss"] == pytest.approx(
            a["loss_biology"] + a["loss_replay"]
        )
    assert one[-1]["n_failed"] == many[-1]["n_failed"] > 0
    first = [tensors(tmp_path / name, 1, "optimizer") for name in ("one", "many")]
    close(
        {k: v for k, v in first[0].items() if "exp_avg/" in k},
        {k: v for k, v in first[1].items() if "exp_avg/" in k},
        1e-6,
    )


@pytest.mark.parametrize(("n", "more"), [(2, ()), (2, ("compute.micro_batch=10",)), (4, ()), (2, ("compute.wrapper=fsdp",)),
                                         (2, ("compute.wrapper=fsdp", "compute.micro_batch=10")), (2, ("compute.compile=true", "compute.checkpointing=true")),
                                         (2, ("compute.wrapper=fsdp", "compute.compile=true"))])  # fmt: skip
def test_many_ranks_train_as_one(trained, tmp_path, sample, n, more):
    how = (*sets(optimizer__steps=3, checkpoint__every_steps=3, validation__every_steps=3, optimizer__ema=0.5, data__cap=2), )  # fmt: skip
    one = trained(*how, out=tmp_path / "one")
    out = tmp_path / "many"
    running = [
        start(out, sample, *how, *(part for field in more for part in ("--set", field)), env=env)
        for env in ranks(n)
    ]
    for process in running:
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err[-3000:]
    many = lines(out)
    assert len(many) == len(one) == 4
    for a, b in zip(one, many, strict=True):
        for key in {"loss", "grad_norm", "validation_loss"} & a.keys():
            assert a[key] == pytest.approx(b[key], rel=2e-4), key
    assert one[-1]["n_validated"] == many[-1]["n_validated"]
    close(weights(tmp_path / "one"), weights(out), 2e-4)


def test_weights_move_by_decay_and_by_small_late_updates(tmp_path, sample, trained):
    """Master weights are fp32 under bf16 autocast: what bf16 weights round away is kept."""
    how = sets(
        optimizer__steps=6,
        optimizer__lr=1e-6,
        compute__precision='"bf16"',
        checkpoint__every_steps=1,
        checkpoint__keep=9,
    )
    trained(*how, *sets(optimizer__warmup_steps=0))
    before, after = (tensors(tmp_path / "run", s) for s in (1, 5))  # fmt: skip
    name = "clip.visual.transformer.resblocks.0.mlp.c_fc.weight"
    assert before[name].dtype == torch.float32 == before["clip.logit_scale"].dtype
    moved = (before[name] != after[name]).float().mean()
    assert moved > 0.99, "nearly every weight of the matrix moved"
    rounded = (before[name].bfloat16() != after[name].bfloat16()).float().mean()
    assert rounded < 0.2, "and in bf16 most of them would not have"
    assert before["clip.logit_scale"] != after["clip.logit_scale"]
    trained(
        *how,
        *sets(optimizer__weight_decay=10.0, optimizer__warmup_steps=0),
        out=tmp_path / "decayed",
    )
    decayed = tensors(tmp_path / "decayed", 5)
    assert decayed[name].norm() < after[name].norm() * (1 - 1e-5)
    norm = "clip.visual.ln_post.weight"
    assert (decayed[norm] - after[norm]).abs().max() < 1e-5, "norms do not decay"


def test_a_step_that_is_not_finite_changes_nothing_and_too_many_end_the_run(
    trained, tmp_path, monkeypatch, capsys
):
    from training.step import Step

    whole, calls = Step.backward, []

    def backward(self, batches):
        losses, length = whole(self, batches)
        calls.append(1)
        return (
            {"loss_biology": torch.tensor(math.nan)} if len(calls) in (3, 4) else losses
        ), length

    monkeypatch.setattr(Step, "backward", backward)
    steps = trained(*sets(optimizer__steps=5, checkpoint__every_steps=1, checkpoint__keep=9))
    assert [line["n_bad_steps"] for line in steps] == [0, 0, 1, 2, 2]
    two, four = (tensors(tmp_path / "run", s) for s in (2, 4))
    assert all(torch.equal(two[name], four[name]) for name in two)
    calls.clear()
    monkeypatch.setattr(
        Step,
        "backward",
        lambda self, batches: ({"loss_biology": torch.tensor(math.inf)}, whole(self, batches)[1]),
    )
    trained(*sets(optimizer__steps=9, optimizer__max_bad_steps=2), out=tmp_path / "bad", status=1)
    assert "3 steps in a row had no finite loss" in capsys.readouterr().err


def test_validation_works_with_compile_and_says_what_it_says_without(trained, tmp_path):
    how = sets(optimizer__steps=2, validation__every_steps=2)
    plain = trained(*how, out=tmp_path / "plain")
    compiled = trained(*how, *sets(compute__compile="true"), out=tmp_path / "compiled")
    for a, b in zip(plain, compiled, strict=True):
        for key in {"loss", "validation_loss"} & a.keys():
            assert a[key] == pytest.approx(b[key], rel=1e-3)


def test_recomputation_and_full_captions_change_nothing_but_rounding(trained, tmp_path):
    one = trained(*sets(optimizer__steps=2), out=tmp_path / "one")
    two = trained(
        *sets(optimizer__steps=2, compute__checkpointing="true", compute__trim="false"),
        out=tmp_path / "two",
    )
    assert two[0]["text_length"] == 77 > one[0]["text_length"]
    assert [a["loss"] for a in one] == pytest.approx([b["loss"] for b in two], rel=1e-4)


@pytest.mark.parametrize("field", ["loss.kind=cross_entropy", "text.types=['flat']", "text.types=['sci']", "loss.one_hot=true",
                                   "data.temperature=0.5", "data.cap=1", "data.share=0.5", "data.replacement=true", "image.resize=shortest"])  # fmt: skip
def test_every_variant_trains_and_is_validated(trained, field):
    steps = trained("--set", field, *sets(optimizer__steps=2, validation__every_steps=2))
    assert len(steps) == 3 and all(math.isfinite(line.get("loss", 0)) for line in steps)


def test_a_dataset_on_the_hub_is_streamed_as_it_is(tmp_path, sample):
    local = finished(tmp_path / "near", sample, *sets(optimizer__steps=3))
    with Hub(tmp_path / "hub") as hub:
        made = subprocess.run([sys.executable, "-m", "curation.publish", str(sample), "--repo", "org/tree"], cwd=ROOT,
                              env=hub.env(False), capture_output=True, text=True)  # fmt: skip
        assert made.returncode == 0, made.stderr
        running = start(tmp_path / "far", "org/tree", *sets(optimizer__steps=3), env=hub.env(False))
        _, err = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 0, err
    assert same(lines(tmp_path / "far"), local)
    kept = checkpoint.newest(tmp_path / "far" / "checkpoints").state
    assert len(kept["commit"]) == 40, "the commit is kept"


def test_what_is_wrong_is_said_in_seconds_with_the_remedy(tmp_path, sample, capsys):
    (tmp_path / "bad.toml").write_text('name = "x"\n[modle]\narchitecture = "tiny-vit"\n')
    (tmp_path / "own.toml").write_text('name = "x"\n[model]\narchitecture = "tiny-vit"\n')
    tars(tmp_path / "replay")
    (tmp_path / "held" / "checkpoints" / "step-00000002").mkdir(parents=True)
    data = ["--data", str(sample)]
    for args, hint in (
        ([str(tmp_path / "bad.toml")], "unknown key 'modle'; did you mean 'model'"),
        ([str(tmp_path / "own.toml")], "say --data PLACE"),
        (["smaple"], "no run 'smaple'"),
        (["sample", *data, "--set", "optimizer.lrr=1"], "did you mean 'lr'"),
        (["sample", *data, "--set", "data.batch=true"], "whole number"),
        (["sample", *data, "--set", "text.types=['latin']"], "unknown"),
        (["sample", *data, "--set", "replay.batch=8"], "say --replay PLACE"),
        (["sample", *data, "--replay", str(tmp_path / "replay")], "replay.batch is 0"),
        (["sample", *data, "--replay", str(sample), "--set", "replay.batch=8"], "dataset of taxa, not of captions"),
        (["sample", *data, "--set", "model.init=nowhere"], "no pretrained tag"),
        (["sample", *data, "--set", "model.architecture=tiny-vitt"], "did you mean 'tiny-vit'"),
        (["sample", "--data", str(tmp_path)], "it has no manifest.json"),
        (["sample", *data, "--set", "data.batch=31", "--set", "compute.micro_batch=7", "--replay", str(tmp_path / "replay"), "--set", "replay.batch=8"],
         "common divisor"),
        (["sample", *data, "--out", str(tmp_path / "held")], "say --resume"),
        (["sample", *data, "--set", "model.architecture=RN50", "--set", "compute.micro_batch=8"], "batch norms"),
    ):  # fmt: skip
        started = time.monotonic()
        assert (
            program.main(args if "--out" in args else [*args, "--out", str(tmp_path / "out")]) == 2
        ), args
        assert time.monotonic() - started < 20
        assert hint in capsys.readouterr().err, args
    assert not (tmp_path / "out").exists(), "nothing was begun"


def test_batches_that_ranks_cannot_share_are_refused():
    run = config.changed(config.read("sample"), "data.batch", 100)
    with pytest.raises(ValueError, match="3 ranks cannot share evenly; take 102"):
        config.for_ranks(run, 3)


def test_new_writes_a_run_that_can_be_read(tmp_path):
    path = tmp_path / "mine.toml"
    assert program.main(["--new", str(path)]) == 0
    assert config.read(str(path)).name == "sample"
    assert program.main(["--new", str(path)]) == 2, "what is there stays"


@pytest.mark.parametrize("name", sorted(p.stem for p in config.BUILT_IN.glob("*.toml")))
def test_built_in_runs_are_sound(name):
    run = config.read(name)
    assert run.name == name
    assert json.loads(json.dumps(config.as_dict(run)))
    assert config.from_dict(json.loads(json.dumps(config.as_dict(run))), "again") == run


def test_a_replay_set_that_curation_built_is_trained_on(trained, tmp_path, sample, capsys):
    lines_ = ["url,caption"] + [f"{k}.png,thing number {k}" for k in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(lines_) + "\n")
    for k in range(8):
        photo(k).save(tmp_path / f"{k}.png")
    (tmp_path / "r.toml").write_text(CAPTIONED)
    folder = build.build(recipe.read(str(tmp_path / "r.toml")), tmp_path / "root")["shard"][0].dir
    how = sets(optimizer__steps=2, replay__batch=4, replay__weight=0.5)
    steps = trained("--replay", str(folder), *how)
    assert all(0 < line["loss_replay"] < 5 and line["n_failed"] == 0 for line in steps)
    saved = weights(tmp_path / "run")
    assert not torch.equal(saved["proj"], saved["replay_proj"]), "each head goes its own way"
    trained(out=tmp_path / "wrong", data=str(folder), status=2)
    assert "name it with --replay" in capsys.readouterr().err
