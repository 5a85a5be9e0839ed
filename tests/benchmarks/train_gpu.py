"""ViT-L/14 on one GPU: pairs a second, share of the matrix rate, memory; over batches, recomputation, passes, compile.

Needs a CUDA device, torch and open_clip, nothing else: pictures and captions are made on the device (lengths as those
of taxonomic captions). A step is the trainer's own: both streams, both losses, AdamW with fp32 weights under bf16
autocast. Peer: the 259 pairs a second and GPU that the original's ten days on 32 H100 come to. Utilisation counts a
step's operations as three forward passes, recomputation not, against the rate of a large bf16 product measured in the
same run. Several passes (GradCache) recompute, too. Ends within ten minutes; what there was no time for is left out, and said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import time
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.harness import Result, Row, Target, target

PAPER_PER_S = 259.0
BIOLOGY, REPLAY = 2816, 320  # per GPU, as the original
BUDGET_S = 560.0
N_WARM, N_TIMED = 2, 4
TARGETS = ("model FLOP utilisation with recomputation at the paper's batch at least 0.40",
           "and at the largest batch without at least 0.50", "at least 2.5 times the paper's pairs a second")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Way:
    """One line of the table."""

    biology: int
    replay: int
    checkpointing: bool
    compiled: bool
    passes: int = 1

    def __str__(self) -> str:
        batch = f"{self.biology} + {self.replay}" if self.replay else str(self.biology)
        again = (
            f"{self.passes} passes"
            if self.passes > 1
            else f"recompute {'on' if self.checkpointing else 'off'}"
        )
        return f"{batch}, {again}, compile {'on' if self.compiled else 'off'}"


def run(*, quick: bool) -> Result:
    """Measure every way there is time for."""
    import torch

    if not torch.cuda.is_available():
        return Result("train_gpu", "BioCLIP 2's own run", "the device's bf16 matrix rate", (),
                      tuple(Target(what, "unmeasured", "no CUDA device here") for what in TARGETS))  # fmt: skip
    from training import flops

    until = time.monotonic() + (50 if quick else BUDGET_S)
    device = torch.device("cuda")
    rate = flops.matrix_rate(device, torch.bfloat16)
    plain = (640, 608, 512, 384, 256)  # those that do not fit fail at once
    ways = [Way(BIOLOGY, REPLAY, True, True), *(() if quick else (
        *(Way(n, 0, False, True) for n in plain), Way(BIOLOGY, REPLAY, True, False),
        *(Way(n, 0, False, False) for n in plain), *(Way(1024, 0, True, c) for c in (True, False)),
        Way(BIOLOGY, REPLAY, False, True, 8)))]  # fmt: skip
    rows, found, left = [], {}, []
    for way in ways:
        if time.monotonic() > until - 40:
            left.append(way)
            continue
        per_s, share, peak_gb = _measured(way, rate)
        if per_s is None:
            rows.append(Row(f"{way}: out of memory", "pairs/s", 0.0, None))
            continue
        found[way] = (per_s, share)
        rows.append(Row(f"{way}: {peak_gb:.1f} GB, {share:.2f} of {rate / 1e12:.0f} TFLOP/s", "pairs/s", per_s, PAPER_PER_S))  # fmt: skip
    rows += [Row(f"{way}: no time left", "pairs/s", 0.0, None) for way in left]
    paper = [found[way] for way in found if way.biology == BIOLOGY]
    largest = max(
        (way.biology for way in found if not way.checkpointing and way.passes == 1), default=0
    )
    at_largest = [found[way] for way in found if way.biology == largest and not way.checkpointing]
    best = max((per_s for per_s, _ in paper), default=0.0)
    name = torch.cuda.get_device_name()
    return Result("train_gpu", "BioCLIP 2's own run", f"{rate / 1e12:.0f} TFLOP/s in bf16 ({name})", tuple(rows), (
        target(TARGETS[0], max(s for _, s in paper) >= 0.40 if paper else None, f"{max((s for _, s in paper), default=0):.2f}"),
        target(TARGETS[1], max(s for _, s in at_largest) >= 0.50 if at_largest else None,
               f"{max((s for _, s in at_largest), default=0):.2f} at {largest}"),
        target(TARGETS[2], best >= 2.5 * PAPER_PER_S if paper else None, f"{best / PAPER_PER_S:.2f} times"),
    ))  # fmt: skip


def _measured(way: Way, rate: float) -> tuple[float | None, float, float]:
    """Pairs a second, share of the matrix rate, peak GB; None where memory does not suffice."""
    import torch

    from training import config, create, flops
    from training.step import Step

    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    device = torch.device("cuda")
    run = config.Run("gpu", loss=config.Loss(chunk_mb=1024.0))
    try:
        net = create.model("ViT-L-14", "", "copy" if way.replay else "none").to(device).train()
        per_picture, per_caption = flops.forward_flops(net, 224, 77)
        net.prepare(checkpointing=way.checkpointing, compiled=way.compiled)
        step = Step(run, net, net, way.passes)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)
        batches = [_batch(n, device) for n in (way.biology, way.replay) if n]
        length = 0
        for i in range(N_WARM + N_TIMED):
            if i == N_WARM:
                torch.cuda.synchronize()
                started = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            _, length = step.backward(batches)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / N_TIMED
    except torch.cuda.OutOfMemoryError:
        return None, 0.0, 0.0
    finally:
        with contextlib.suppress(NameError):
            del net, step, optimizer, batches
        torch._dynamo.reset()
    n = way.biology + way.replay
    spent = 3 * n * (per_picture + per_caption * length / 77)
    return n / seconds, spent / seconds / rate, torch.cuda.max_memory_allocated() / 2**30


def _batch(n: int, device: Any) -> Any:
    """A batch of noise with captions of 24 to 40 tokens."""
    import torch

    draw = torch.Generator(device="cpu").manual_seed(n)
    tokens = torch.randint(1000, 40000, (n, 77), generator=draw)
    ends = torch.randint(24, 40, (n,), generator=draw)
    places = torch.arange(77)
    tokens = torch.where(places < ends[:, None], tokens, 0)
    tokens[torch.arange(n), ends] = 49407
    nodes = torch.zeros(n, 8, dtype=torch.long)
    nodes[:, 6] = torch.randint(1, 10**6, (n,), generator=draw)
    images = torch.randint(0, 256, (n, 3, 224, 224), dtype=torch.uint8, device=device)
    return SimpleNamespace(images=images, uuids=range(n), tokens=tokens.to(device), ids=nodes[:, 6].to(device), nodes=nodes.to(device),
                           valid=torch.ones(n, dtype=torch.bool, device=device))  # fmt: skip
