"""One process or many: what torchrun started, and the few collectives that training needs.

A single process is a world of one and takes the same path. Processes find each other by the variables that torchrun
sets; NCCL where there is a GPU for each, gloo otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

TIMEOUT_S = 1800.0  # after which a collective that waits for a dead rank fails
WRAPPERS = ("ddp", "fsdp")


@dataclass(frozen=True)
class World:
    """This process among all: its rank, how many there are, its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """True on the one process that writes."""
        return self.rank == 0


@contextmanager
def world() -> Iterator[World]:
    """The world that torchrun made, or this process alone; it is left at the end."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if "WORLD_SIZE" in os.environ:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=TIMEOUT_S))
    try:
        yield World(rank, size, device)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def n_ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is."""
    return dist.get_rank() if dist.is_initialized() else 0


def gathered(local: torch.Tensor) -> torch.Tensor:
    """Every rank's rows (n, …) in rank order, (n_ranks * n, …). No gradient."""
    if n_ranks() == 1:
        return local
    parts = [torch.empty_like(local) for _ in range(n_ranks())]
    dist.all_gather(parts, local.contiguous())
    return torch.cat(parts)


def scattered_sum(everywhere: torch.Tensor) -> torch.Tensor:
    """The sum over ranks of (n_ranks * n, …), of which this rank gets its own rows (n, …)."""
    if n_ranks() == 1:
        return everywhere
    n = len(everywhere) // n_ranks()
    if dist.get_backend() == "nccl":
        mine = torch.empty_like(everywhere[:n])
        dist.reduce_scatter_tensor(mine, everywhere.contiguous())
        return mine
    dist.all_reduce(everywhere)
    return everywhere[rank() * n : (rank() + 1) * n]


def total(value: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all ranks, on each of them; in place."""
    if n_ranks() > 1:
        dist.all_reduce(value)
    return value


def any_rank(flag: bool, device: torch.device) -> bool:
    """True everywhere when it is true somewhere."""
    return bool(total(torch.tensor(float(flag), device=device)) > 0)


def union(mine: dict[str, Any]) -> dict[str, Any]:
    """What any rank has by name, on every rank."""
    if n_ranks() == 1:
        return mine
    parts: list[Any] = [None] * n_ranks()
    dist.all_gather_object(parts, mine)
    return {name: value for part in parts for name, value in part.items()}


def from_first(value: int) -> int:
    """A number as rank 0 says it, on every rank."""
    if n_ranks() == 1:
        return value
    said = torch.tensor(value, device=device())
    dist.broadcast(said, src=0)
    return int(said)


def array_from_first(find: Callable[[], NDArray[np.float32]], n: int) -> NDArray[np.float32]:
    """What `find` gives on rank 0, an array (n,), on every rank; the others wait for as long as it takes."""
    if n_ranks() == 1:
        return find()
    patient: Any = dist.new_group(backend="gloo", timeout=timedelta(days=2))
    said = torch.from_numpy(find()) if rank() == 0 else torch.empty(n)
    dist.broadcast(said, src=0, group=patient)
    dist.destroy_process_group(patient)
    everywhere: NDArray[np.float32] = said.numpy()
    return everywhere


def device() -> torch.device:
    """This process's device."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def wrapped(
    model: nn.Module,
    how: str,
    blocks: Sequence[nn.Module],
    scalars: Sequence[nn.Parameter],
    precision: torch.dtype | None,
) -> Any:
    """The model for many ranks: copies whose gradients are averaged ("ddp"), or shards of its weights ("fsdp").

    Shards are gathered for each of the `blocks` when its turn comes. `scalars` are too small to shard and stay copies, whose gradients `averaged` sees to.
    """
    if n_ranks() == 1:
        return model
    if how == "ddp":
        ids = [torch.cuda.current_device()] if next(model.parameters()).is_cuda else None
        return nn.parallel.DistributedDataParallel(
            model, device_ids=ids, gradient_as_bucket_view=True
        )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    policy = MixedPrecisionPolicy(param_dtype=precision, reduce_dtype=torch.float32)
    mesh = init_device_mesh(next(model.parameters()).device.type, (n_ranks(),))
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy, ignored_params=set(scalars))
    for method in ("encode_image", "encode_text"):
        register_fsdp_forward_method(model, method)
    return model


@contextmanager
def unsynchronised(wrapped: Any, quiet: bool) -> Iterator[None]:
    """While `quiet`, backward passes leave gradients on their rank, to be summed with the next."""
    if n_ranks() == 1:
        yield
    elif isinstance(wrapped, nn.parallel.DistributedDataParallel):
        with wrapped.no_sync() if quiet else nullcontext():
            yield
    else:
        wrapped.set_requires_gradient_sync(not quiet)
        yield


def whole(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of which every rank may hold a shard, put together on the CPU of rank 0; empty on the others."""
    made = dict[str, torch.Tensor]()
    for name, value in tensors.items():
        full = value.full_tensor() if isinstance(value, DTensor) else value
        if rank() == 0:
            made[name] = full.detach().cpu()
    return made


def sharded_like(like: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A whole tensor in the form and on the device of another, of which this rank may hold a shard."""
    moved = value.to(like.device)
    return (
        distribute_tensor(moved, like.device_mesh, like.placements)
        if isinstance(like, DTensor)
        else moved
    )


def averaged(parameters: list[nn.Parameter]) -> None:
    """Average the gradients of parameters that the wrapper leaves alone."""
    if n_ranks() > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= n_ranks()
