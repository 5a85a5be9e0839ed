"""A run learns, resumes to the same losses wherever it was stopped, and is the same on one rank or many."""

import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from curation import build, recipe
from tests.drawings import photo
from tests.hub import Hub
from tests.training.conftest import FAST, lines
from tests.training.many import ranks
from tests.training.test_data import tars
from training import checkpoint, config, state
from training import train as program

ROOT = Path(__file__).parents[2]
STEPS = ("--set", "optimizer.steps=8", "--set", "checkpoint.every_steps=2")


def sets(**fields):
    """Fields of a run as arguments; `a__b` is a.b."""
    return [
        part
        for key, value in fields.items()
        for part in ("--set", f"{key.replace('__', '.')}={value}")
    ]


def same(one, two):
    """True when two lists of steps are the same pictures, losses and gradients, to the last bit."""
    keys = ("step", "batch", "loss", "grad_norm", "lr", "logit_scale", "text_type")
    return [[line[key] for key in keys] for line in one] == [
        [line[key] for key in keys] for line in two
    ]


def finished(out, sample, *more, env=None):
    """The numbers of a run in a process of its own: only such ones are alike to the last bit."""
    running = start(out, sample, *more, env=env)
    _, err = running.communicate(timeout=240)
    assert running.returncode == 0, err[-3000:]
    return lines(out)


def start(out, sample, *more, env=None):
    args = [
        sys.executable,
        "-m",
        "training.train",
        "sample",
        "--data",
        str(sample),
        "--out",
        str(out),
        *FAST,
        *more,
    ]
    return subprocess.Popen(
        args, cwd=ROOT, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


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


@pytest.mark.parametrize(
    ("n", "more"), [(1, ()), (1, ("data.workers=2",)), (2, ()), (2, ("compute.wrapper=fsdp",))]
)
def test_a_stopped_run_goes_on_bit_by_bit(tmp_path, sample, n, more):
    """With averaged weights, both streams, validation on the way; on one rank with workers, on two, and on shards."""
    replay = str(tars(tmp_path / "replay", n=2, per=8))
    how = ("--replay", replay, *STEPS, *(part for field in more for part in ("--set", field)),
           *sets(replay__batch=8, optimizer__ema=0.9, checkpoint__keep=9, checkpoint__every_steps=4, validation__every_steps=3,
                 validation__n_pictures=20))  # fmt: skip

    def run(*again):
        running = [start(tmp_path / "run", sample, *how, *again, env=env) for env in ranks(n)]
        for process in running:
            _, err = process.communicate(timeout=240)
            assert process.returncode == 0, err[-3000:]
        found = checkpoint.newest(tmp_path / "run" / "checkpoints")
        return (
            lines(tmp_path / "run"),
            found.tensors("weights"),
            found.tensors("ema"),
            found.tensors("optimizer"),
        )

    whole = run()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000008")
    again = run("--resume")
    keys = ("batch", "loss", "loss_replay", "grad_norm", "validation_loss", "validation_top1")
    assert [[line.get(key) for key in keys] for line in again[0]] == [
        [line.get(key) for key in keys] for line in whole[0]
    ]
    for one, two in zip(whole[1:], again[1:], strict=True):
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("moment", ["in a step", "in a checkpoint"])
def test_kill_9_at_any_moment_and_the_run_resumes_to_the_same_losses(tmp_path, sample, moment):
    whole = finished(tmp_path / "whole", sample, *STEPS)
    out = tmp_path / "killed"
    running = start(out, sample, *STEPS)
    until = time.monotonic() + 90
    making = out / "checkpoints" / ".tmp-step-00000004"
    while time.monotonic() < until and running.poll() is None:
        if making.exists() if moment == "in a checkpoint" else len(lines_of(out)) >= 5:
            break
    running.kill()
    running.communicate()
    if moment == "in a checkpoint":  # what a kill leaves there, whichever instant it hit
        making.mkdir(parents=True, exist_ok=True)
        (making / "weights.safetensors").write_bytes(b"half")
    assert same(finished(out, sample, *STEPS, "--resume"), whole)
    assert not list((out / "checkpoints").glob(".tmp-*"))


def lines_of(out):
    path = out / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def test_sigterm_saves_and_ends_cleanly(tmp_path, sample, trained):
    out = tmp_path / "run"
    running = start(out, sample, *sets(optimizer__steps=400, checkpoint__every_steps=1000))
    while running.poll() is None and len(lines_of(out)) < 3:
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0 and "--resume goes on" in err
    found = checkpoint.newest(out / "checkpoints")
    assert found is not None and found.step == len(lines(out)) < 400


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(trained, tmp_path, caplog):
    whole = trained(*STEPS, out=tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "step-00000008"
    with (newest / "weights.safetensors").open("r+b") as file:
        file.seek(5000)
        file.write(b"\0\1\2\3")
    assert same(trained(*STEPS, "--resume", out=tmp_path / "run"), whole)
    assert "step-00000008 is damaged" in caplog.text and "the one before is used" in caplog.text
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        (path / "state.json").write_text("{")
    trained(*STEPS, "--resume", out=tmp_path / "run", status=2)


def test_a_damaged_checkpoint_never_costs_a_whole_one(tmp_path):
    folder = tmp_path / "checkpoints"
    for step in (6, 7, 8):
        checkpoint.save(folder, step, {"weights": {"a": torch.ones(3)}}, {"run": {}})
    (folder / "step-00000008" / "weights.safetensors").write_bytes(b"damaged")
    (folder / "step-00000007.bak").mkdir()
    assert checkpoint.newest(folder).step == 7
    checkpoint.save(folder, 9, {"weights": {"a": torch.ones(3)}}, {"run": {}})
    checkpoint.prune(folder, 9, 1, 0)
    checkpoint.save(
        folder, 5, {"weights": {"a": torch.ones(3)}}, {"run": {}}
    )  # begun again from before
    checkpoint.prune(folder, 5, 1, 0)
    assert checkpoint.newest(folder).step == 5 and (folder / "step-00000007.bak").is_dir()


def test_replay_data_that_changed_is_told_on_resume(trained, tmp_path, capsys):
    folder = tars(tmp_path / "replay", n=2, per=8)
    how = ("--replay", str(folder), *sets(optimizer__steps=2, replay__batch=4))
    trained(*how)
    (folder / "00001.tar").unlink()
    trained(*how, "--resume", status=2)
    assert "begun with other rows in replay.place" in capsys.readouterr().err


def test_an_average_of_weights_leaves_the_start_behind():
    average, weights_ = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    for step in range(60):
        state.follow(average, weights_, 0.9998, step)
    assert average["a"] > 0.99


def test_capped_epochs_are_as_long_as_they_are(trained):
    steps = trained(*sets(data__cap=1, optimizer__steps=0, optimizer__epochs=2.0))
    assert 1.6 < steps[-1]["epoch"] < 2.2


def test_checkpoints_are_kept_by_rule(trained, tmp_path):
    trained(*STEPS, *sets(checkpoint__keep=1, checkpoint__keep_every_steps=4))
    left = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert left == ["step-00000004", "step-00000008"]


def weights(out):
    found = checkpoint.newest(out / "checkpoints")
    assert found is not None
    return found.tensors("weights")


def close(one, two, atol):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=atol), name


def test_gradients_of_many_passes_are_those_of_the_whole_batch(trained, tmp_path, sample):
    """With pictures that do not decode, equal captions, ancestors, both streams: one step of plain descent compares them."""
    replay = str(tars(tmp_path / "replay", n=2, per=8))
    how = (
        "--replay",
        replay,
        *sets(
            optimizer__steps=2, replay__batch=8, optimizer__clip_norm=0, checkpoint__every_steps=1
        ),
    )
    one = trained(*how, out=tmp_path / "one")
    many = trained(*how, *sets(compute__micro_batch=10), out=tmp_path / "many")
    assert config.for_ranks(config.changed(config.changed(config.changed(config.read("sample"), "data.batch", 32), "replay.batch", 8), "compute.micro_batch", 10), 1) == 4  # fmt: skip
    for a, b in zip(one, many, strict=True):
        assert a["batch"] == b["batch"] and a["loss"] == pytest.approx(b["loss"], abs=1e-5)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)
        assert a["loss_replay"] > 0 and a["loss"] == pytest.approx(
            a["loss_biology"] + a["loss_replay"]
        )
    first = [
        checkpoint.at(tmp_path / name / "checkpoints" / "step-00000001").tensors("optimizer")
        for name in ("one", "many")
    ]
    close(
        {k: v for k, v in first[0].items() if "exp_avg/" in k},
        {k: v for k, v in first[1].items() if "exp_avg/" in k},
        1e-6,
    )


@pytest.mark.parametrize(("n", "more"), [(2, ()), (2, ("compute.micro_batch=10",)), (4, ()), (2, ("compute.wrapper=fsdp",)),
                                         (2, ("compute.wrapper=fsdp", "compute.micro_batch=10"))])  # fmt: skip
def test_many_ranks_train_as_one(trained, tmp_path, sample, n, more):
    how = (*sets(optimizer__steps=3, checkpoint__every_steps=3, validation__every_steps=3, optimizer__ema=0.5), )  # fmt: skip
    one = trained(*how, out=tmp_path / "one")
    out = tmp_path / "many"
    running = [
        start(out, sample, *how, *(part for field in more for part in ("--set", field)), env=env)
        for env in ranks(n)
    ]
    for process in running:
        _, err = process.communicate(timeout=240)
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
    before, after = (checkpoint.at(tmp_path / "run" / "checkpoints" / f"step-{s:08d}").tensors("weights") for s in (1, 5))  # fmt: skip
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
    decayed = checkpoint.at(tmp_path / "decayed" / "checkpoints" / "step-00000005").tensors(
        "weights"
    )
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
    two, four = (
        checkpoint.at(tmp_path / "run" / "checkpoints" / f"step-{s:08d}").tensors("weights")
        for s in (2, 4)
    )
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
                                   "data.temperature=0.5", "data.cap=1", "data.replacement=true", "image.resize=shortest"])  # fmt: skip
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
        _, err = running.communicate(timeout=120)
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


def test_another_run_in_the_same_folder_is_told_apart(trained, tmp_path, capsys):
    trained(*STEPS)
    for change, hint in (
        ("optimizer.lr=0.5", "optimizer.lr"),
        ("data.batch=16", "data.batch"),
        ("seed=1", "seed"),
    ):
        trained(*STEPS, "--set", change, "--resume", status=2)
        assert f"was begun with {hint} = " in capsys.readouterr().err
    trained(*STEPS, "--resume", "--set", "loss.chunk_mb=3", "--set", "data.workers=0")


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
