"""A run goes on to the same losses wherever it was stopped, and keeps of itself what it must."""

import shutil
import signal
import time

import pytest
import torch

from tests.patience import PATIENCE_S
from tests.trainer import sets
from tests.training.conftest import lines
from tests.training.many import ranks
from tests.training.runs import STEPS, finished, lines_of, same, start
from tests.training.test_data import tars
from training import checkpoint


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
            _, err = process.communicate(timeout=PATIENCE_S)
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
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and running.poll() is None:
        writing = list((out / "checkpoints").glob(".tmp-*"))
        if (
            writing and lines_of(out)[3:]
            if moment == "in a checkpoint"
            else len(lines_of(out)) >= 5
        ):
            break
    running.kill()
    running.communicate()
    if moment == "in a checkpoint":  # what a kill leaves there, whichever instant it hit
        making = out / "checkpoints" / ".tmp-step-00000004"
        making.mkdir(parents=True, exist_ok=True)
        (making / "weights.safetensors").write_bytes(b"half")
    assert same(finished(out, sample, *STEPS, "--resume"), whole)
    assert not list((out / "checkpoints").glob(".tmp-*"))


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


def test_checkpoints_are_kept_by_rule(trained, tmp_path):
    trained(*STEPS, *sets(checkpoint__keep=1, checkpoint__keep_every_steps=4))
    left = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert left == ["step-00000004", "step-00000008"]


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
