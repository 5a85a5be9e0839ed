"""Floating-point operations: of a model's pass, and a second's worth of them on a device. Needs torch alone."""

from __future__ import annotations

import math
import time
from typing import Any

import torch


def forward_flops(model: Any, side_px: int, context: int) -> tuple[float, float]:
    """Floating-point operations of one forward pass: per picture, and per caption of `context` tokens.

    Counted by torch while the model runs once, two per multiply-add, as is custom for utilisation (Chowdhery et al. 2022,
    arXiv 2204.02311, appendix B); a training step takes three times as many.
    """
    from torch.nn.attention import (
        SDPBackend,
        sdpa_kernel,
    )  # fused attention is not counted by every torch
    from torch.utils.flop_counter import FlopCounterMode

    device = model.logit_scale.device
    mode = model.training
    model.eval()  # with gradients: the fused path without them is not counted
    picture = torch.zeros(1, 3, side_px, side_px, device=device)
    caption = torch.zeros(1, context, dtype=torch.long, device=device)
    found = list[float]()
    for encode, one in ((model.encode_image, picture), (model.encode_text, caption)):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            encode(one)
        found.append(float(counter.get_total_flops()))
    model.train(mode)
    return found[0], found[1]


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large product of matrices: what utilisation is measured against."""
    n, n_each = (8192, 8) if device.type == "cuda" else (1024, 1)
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    best = math.inf
    for _ in range(4):
        started = time.perf_counter()
        for _ in range(n_each):
            c = a @ b
        float(c[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - started)
    return 2 * n**3 * n_each / best
