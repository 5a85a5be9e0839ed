"""A model that has learned nothing: colours, contrasts and edges of a picture, as a floor for what learning is worth.

Colour means and deviations in a grid of 4 by 4, a histogram of joint colours in 4 by 4 by 4 bins, and edge directions in 8
bins by cell, weighted by their strength (after N. Dalal and B. Triggs, "Histograms of oriented gradients", 2005); each of
the four scaled to length 1.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

SIDE_PX, GRID, BINS, LEVELS = 64, 4, 8, 4
DIM = 2 * 3 * GRID**2 + LEVELS**3 + BINS * GRID**2


def tower(images: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, 64, 64), 0 to 1, to features (n, DIM)."""
    n = len(images)
    mean = F.adaptive_avg_pool2d(images, GRID)
    spread = (F.adaptive_avg_pool2d(images**2, GRID) - mean**2).clamp(min=0).sqrt()
    level = (images * LEVELS).long().clamp(0, LEVELS - 1)
    colour = (level[:, 0] * LEVELS + level[:, 1]) * LEVELS + level[:, 2]
    joint = F.one_hot(colour.flatten(1), LEVELS**3).float().mean(1)
    grey = images.mean(1)
    dx = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    dy = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    which = ((torch.atan2(dy, dx) % math.pi) / math.pi * BINS).long().clamp(0, BINS - 1)
    edges = F.one_hot(which, BINS).permute(0, 3, 1, 2) * torch.hypot(dx, dy)[:, None]
    parts = (mean, spread, joint, F.adaptive_avg_pool2d(edges, GRID))
    return torch.cat([F.normalize(part.reshape(n, -1), dim=1) for part in parts], 1)
