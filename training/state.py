"""The state of a run between checkpoints: where it starts, the optimizer's tensors by name, averaged weights."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from training import config, distributed
from training.checkpoint import Checkpoint
from training.config import Run
from training.model import TwoHeads

SAME = ("seed", "model", "data", "replay", "text", "image", "loss", "optimizer")  # on resume
MAY_DIFFER = {"data": ("place", "workers"), "replay": ("place",), "loss": ("chunk_mb",), "optimizer": ("max_bad_steps",)}  # fmt: skip
NO_DECAY = ("bn", "ln", "bias", "logit_scale")


def start(
    run: Run, out: Path, found: Checkpoint | None, revisions: Mapping[str, str], *, resume: bool
) -> dict[str, Any]:
    """Where a run begins: its step, its positions in the streams, its counts.

    Raises ValueError where the folder holds a run that is not to be resumed, cannot be, or was another.
    """
    if found is None:
        if any((out / "checkpoints").glob("step-*")):
            raise ValueError(f"{out} holds a run" + (", but none of its checkpoints is whole; remove them to start anew" if resume else
                             ": say --resume to go on with it, or --out for another folder"))  # fmt: skip
        return {
            "step": 0,
            "positions": [0, 0] if run.replay.batch else [0],
            "n_failed": 0,
            "n_bad_steps": 0,
        }
    before, now = found.state["run"], json.loads(json.dumps(config.as_dict(run)))
    for section in SAME:
        fields = now[section] if isinstance(now[section], dict) else {"": now[section]}
        for key, value in fields.items():
            was = before[section].get(key, value) if key else before[section]
            if key not in MAY_DIFFER.get(section, ()) and was != value:
                name = f"{section}.{key}".strip(".")
                raise ValueError(f"{out} was begun with {name} = {was!r}, now it is {value!r}: set it back, "
                                 "or start another run with --out")  # fmt: skip
    for stream, here in revisions.items():
        if found.state["revisions"].get(stream) != here:
            raise ValueError(f"{out} was begun with other rows in {stream}.place ({found.state['revisions'].get(stream)}, now {here}): "
                             "name that dataset or folder as it was, or start another run with --out")  # fmt: skip
    return found.state


def groups(net: TwoHeads, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters that decay and those that do not: fewer than two dimensions, norms, biases, the scale."""
    used = [
        (name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad
    ]
    stays = {
        name
        for name, parameter in used
        if parameter.ndim < 2 or any(part in name for part in NO_DECAY)
    }
    return [{"params": [p for n, p in used if n in stays], "weight_decay": 0.0},
            {"params": [p for n, p in used if n not in stays], "weight_decay": weight_decay}]  # fmt: skip


def optimizer_tensors(optimizer: torch.optim.Optimizer, net: TwoHeads) -> dict[str, torch.Tensor]:
    """The optimizer's state by the names of the parameters: `exp_avg/clip.visual.conv1.weight`, …"""
    names: dict[Any, str] = {parameter: name for name, parameter in net.named_parameters()}
    return {f"{kind}/{names[parameter]}": value for parameter, state in optimizer.state.items()
            for kind, value in state.items()}  # fmt: skip


def load_optimizer(
    optimizer: torch.optim.Optimizer, net: TwoHeads, tensors: dict[str, torch.Tensor]
) -> None:
    """Give it back what `optimizer_tensors` took."""
    parameters = dict(net.named_parameters())
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        parameter = parameters[name]
        if kind != "step":
            value = distributed.sharded_like(parameter, value)
        else:  # on the device, as fused steps want it
            value = value.to(parameter.device)
        optimizer.state[parameter][kind] = value


def clipped(net: TwoHeads, most: float) -> float:
    """The norm of the gradient over all ranks; the gradient is shortened to `most` where it is longer and that is not 0."""
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    found: Any = torch.nn.utils.get_total_norm(grads)
    norm = float(found.full_tensor() if hasattr(found, "full_tensor") else found)
    if 0 < most < norm < math.inf:
        torch._foreach_mul_(grads, most / norm)
    return norm


def follow(
    average: dict[str, torch.Tensor], state: dict[str, torch.Tensor], decay: float, step: int
) -> None:
    """Move the average of the weights towards them, by 1 - decay; by more at first, lest it be of the start for long."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in state.items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)


@contextlib.contextmanager
def averaged(net: TwoHeads, average: dict[str, torch.Tensor]) -> Iterator[None]:
    """The averaged weights in the model's place, where there are any."""
    state = net.state_dict() if average else {}
    kept = {name: value.clone() for name, value in state.items()}
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(average[name])
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in state.items():
                value.copy_(kept[name])
        reshard: Any = getattr(net, "reshard", None)
        if reshard:  # what FSDP gathered for validation is of the average
            reshard()
