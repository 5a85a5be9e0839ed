"""What a run keeps of itself: weights, the optimizer's state, where it was; whole or not there.

A checkpoint is a folder `step-00001000` of safetensors and a `state.json` with a digest of each, written under another
name, flushed, and moved into place by one rename. A reader checks the digests: one that is damaged is passed over, with
a warning, for the one before.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from catalog.artifact import flush

_TMP = ".tmp-"
NAME = re.compile(r"step-[0-9]{8,}")
Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is whole: its step, its folder, and what is not a tensor."""

    step: int
    dir: Path
    state: dict[str, Any]

    def tensors(self, part: str) -> dict[str, torch.Tensor]:
        """The tensors of a part (`weights`, `optimizer`, `ema`), on the CPU; empty where it has none."""
        path = self.dir / f"{part}.safetensors"
        return load_file(path) if path.is_file() else {}


def save(folder: Path, step: int, parts: Mapping[str, Tensors], state: Mapping[str, Any]) -> Path:
    """Write a checkpoint of the run in `folder`; return its folder once it is on disk."""
    target = folder / f"step-{step:08d}"
    making = folder / f"{_TMP}{target.name}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for name, tensors in parts.items():
        if tensors:
            whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            save_file(whole, making / f"{name}.safetensors")
    digests = {path.name: _digest(path) for path in sorted(making.glob("*.safetensors"))}
    (making / "state.json").write_text(json.dumps({**state, "step": step, "digests": digests}, indent=1))  # fmt: skip
    for path in making.iterdir():
        flush(path)
    flush(making)
    if target.exists():  # written again after a resume from before it
        shutil.rmtree(target)
    os.replace(making, target)
    flush(folder)
    return target


def newest(folder: Path) -> Checkpoint | None:
    """The last checkpoint of a run that is whole; damaged ones are told of and passed over."""
    for path in reversed(_all(folder)):
        if found := _whole(path):
            return found
    return None


def _all(folder: Path) -> list[Path]:
    """The folders of checkpoints, by step."""
    return sorted(path for path in folder.glob("step-*") if NAME.fullmatch(path.name))


def there(folder: Path, step: int) -> Checkpoint | None:
    """The checkpoint of a step that another rank has found whole; None where it is not seen here."""
    path = folder / f"step-{step:08d}"
    try:
        return Checkpoint(step, path, json.loads((path / "state.json").read_text()))
    except (OSError, ValueError):
        return None


def prune(folder: Path, step: int, keep: int, keep_every_steps: int) -> None:
    """After the checkpoint of `step`: remove all but the newest `keep` and those at multiples of `keep_every_steps`.

    Later ones, which a resumed run found damaged or has yet to reach again, go too, and what was left unfinished.
    """
    for path in folder.glob(f"{_TMP}*"):
        shutil.rmtree(path)
    steps = {int(path.name.removeprefix("step-")): path for path in _all(folder)}
    kept = sorted(s for s in steps if s <= step)[-keep:]
    for s, path in steps.items():
        if s > step or (s not in kept and (not keep_every_steps or s % keep_every_steps)):
            shutil.rmtree(path)


def _whole(path: Path) -> Checkpoint | None:
    try:
        state = json.loads((path / "state.json").read_text())
        wrong = [
            name for name, digest in state["digests"].items() if _digest(path / name) != digest
        ]
        if wrong:
            raise ValueError(f"{wrong[0]} is not as it was written")
        return Checkpoint(state["step"], path, state)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        logging.warning("the checkpoint %s is damaged (%s); the one before is used", path.name, error)  # fmt: skip
        return None


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(2**24):
            digest.update(block)
    return digest.hexdigest()
