"""Runs of the trainer that tests start, and what they left."""

import subprocess

import torch

from tests.patience import PATIENCE_S
from tests.trainer import ROOT, command
from tests.training.conftest import FAST, lines
from training import checkpoint

STEPS = ("--set", "optimizer.steps=8", "--set", "checkpoint.every_steps=2")


def same(one, two):
    """True when two lists of steps are the same pictures, losses and gradients, to the last bit."""
    keys = ("step", "batch", "loss", "grad_norm", "lr", "logit_scale", "text_type")
    return [[line[key] for key in keys] for line in one] == [
        [line[key] for key in keys] for line in two
    ]


def finished(out, sample, *more, env=None):
    """The numbers of a run in a process of its own: only such ones are alike to the last bit."""
    running = start(out, sample, *more, env=env)
    _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, err[-3000:]
    return lines(out)


def start(out, sample, *more, env=None):
    return subprocess.Popen(
        command(sample, out, *FAST, *more),
        cwd=ROOT,
        env=env,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def lines_of(out):
    path = out / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def weights(out):
    found = checkpoint.newest(out / "checkpoints")
    assert found is not None
    return found.tensors("weights")


def close(one, two, atol):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=atol), name


def tensors(out, step, part="weights"):
    """A part of the checkpoint of a step."""
    found = checkpoint.there(out / "checkpoints", step)
    assert found is not None
    return found.tensors(part)
