"""Small runs that tests of training share."""

import json

import pytest

from training import train as program

FAST = ("--set", "data.workers=0", "--set", "data.batch=32", "--set", "optimizer.warmup_steps=2",
        "--set", "validation.every_steps=0")  # fmt: skip


@pytest.fixture
def trained(sample, tmp_path):
    """A function that trains on the sample world and gives the steps' numbers."""

    def run(*more, out=tmp_path / "run", status=0, data=str(sample)):
        assert program.main(["sample", "--data", data, "--out", str(out), *FAST, *more]) == status
        return lines(out)

    return run


def lines(out):
    """The numbers of a run, step by step."""
    path = out / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
