"""Runs of the trainer that tests start, and what they left."""

import subprocess
import sys
from pathlib import Path

import torch

from tests.training.conftest import FAST, lines
from training import checkpoint

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
