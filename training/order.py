"""Which row comes when: the rows of a dataset as one endless sequence, of which a batch is a stretch.

An epoch goes through the files in a random order, through the row groups of a file in a random order, and through the
rows of `mix` neighbouring groups in a random order: all of it a function of (seed, epoch) alone. The sequence is the
epochs end to end. The global batch of a step is the next stretch of it, and every rank takes its part of the stretch,
so nothing is lost or doubled at any number of ranks or workers, and one number, the rows taken so far, is the whole
state of the loader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.config import Data

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows of the sequence that lie in the same few row groups."""

    start: int  # position of the first in the sequence
    groups: Ints  # (n,) the row group of each, counted over all files
    rows: Ints  # (n,) its row in the group


@dataclass
class Order:
    """The sequence over row groups of `sizes` rows, the i-th of them in file `files[i]`.

    weights (rows,) say how often a row comes per epoch on average (see `sampling`); None: once each. With
    `replacement` row groups are drawn anew each time, as the original did: some come twice in an epoch, some never.
    Raises ValueError when there is no row.
    """

    sizes: Ints
    files: Ints
    seed: int = 0
    mix: int = 1
    weights: NDArray[np.float32] | None = None
    replacement: bool = False
    _epochs: list[int] = field(default_factory=lambda: [0])  # where each known epoch starts
    _last: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._offsets = np.concatenate(([0], np.cumsum(self.sizes)))
        if self._offsets[-1] == 0:
            raise ValueError("there is no row to train on")

    @property
    def n_rows(self) -> int:
        """Rows there are; an epoch without weights has as many."""
        return int(self._offsets[-1])

    @property
    def per_epoch(self) -> float:
        """Rows of an epoch, on average."""
        return float(self.n_rows if self.weights is None else self.weights.sum(dtype=np.float64))

    def stretches(self, start: int, stop: int, most: int) -> Iterator[Stretch]:
        """The rows from position `start` up to `stop`, in order, at most `most` at a time."""
        while start < stop:
            epoch = self._epoch_of(start)
            at = start - self._epochs[epoch]
            starts, windows = self._windows(epoch)
            window = int(np.searchsorted(starts, at, side="right")) - 1
            groups, rows = self._shuffled(epoch, window, windows[window])
            inside = at - int(starts[window])
            n = min(most, stop - start, len(rows) - inside)
            yield Stretch(start, groups[inside : inside + n], rows[inside : inside + n])
            start += n

    def epoch_of(self, position: int) -> float:
        """How many epochs lie before a position."""
        epoch = self._epoch_of(position)
        length = self._epochs[epoch + 1] - self._epochs[epoch]
        return epoch + (position - self._epochs[epoch]) / length

    def _epoch_of(self, position: int) -> int:
        while self._epochs[-1] <= position:
            starts, _ = self._windows(len(self._epochs) - 1)
            if starts[-1] == 0 and len(self._epochs) > 1000:
                raise ValueError("the weights leave no row: a thousand epochs were empty")
            self._epochs.append(self._epochs[-1] + int(starts[-1]))
        return int(np.searchsorted(self._epochs, position, side="right")) - 1

    def _windows(self, epoch: int) -> tuple[Ints, list[Ints]]:
        """Where each window of an epoch starts (and where the last ends), and the groups of each."""
        if self._last.get("epoch") != epoch:
            groups = self._permuted(epoch)
            windows = [groups[i : i + self.mix] for i in range(0, len(groups), self.mix)]
            per_group = self.sizes if self.weights is None else self._counts(epoch)[1]
            lengths = [int(per_group[window].sum()) for window in windows]
            self._last = {"epoch": epoch, "windows": (np.cumsum([0, *lengths]), windows)}
        starts, found = self._last["windows"]
        return starts, found

    def _permuted(self, epoch: int) -> Ints:
        draw = np.random.default_rng((self.seed, epoch))
        if self.replacement:
            return draw.integers(0, len(self.sizes), len(self.sizes))
        rank = draw.permutation(int(self.files.max()) + 1)[self.files]
        return np.lexsort((draw.random(len(self.sizes)), rank))

    def _counts(self, epoch: int) -> tuple[Ints, Ints]:
        """How often each row comes in an epoch, and how many rows that makes per group."""
        assert self.weights is not None
        draw = np.random.default_rng((self.seed, epoch, 1))
        whole = np.floor(self.weights)
        counts = (whole + (draw.random(self.n_rows) < self.weights - whole)).astype(np.int64)
        return counts, np.add.reduceat(np.append(counts, 0), self._offsets[:-1]) * (self.sizes > 0)

    def _shuffled(self, epoch: int, window: int, groups: Ints) -> tuple[Ints, Ints]:
        if self._last.get("window") != (epoch, window):
            which = np.repeat(groups, self.sizes[groups])
            rows = np.concatenate([np.arange(self.sizes[group]) for group in groups])
            if self.weights is not None:
                if "counts" not in self._last:
                    self._last["counts"] = self._counts(epoch)[0]
                times = self._last["counts"][self._offsets[which] + rows]
                which, rows = np.repeat(which, times), np.repeat(rows, times)
            draw = np.random.default_rng((self.seed, epoch, 2, window))
            mixed = draw.permutation(len(rows))
            self._last |= {"window": (epoch, window), "rows": (which[mixed], rows[mixed])}
        found: tuple[Ints, Ints] = self._last["rows"]
        return found


def sampling(taxa: Ints, *, cap: int = 0, temperature: float = 1.0, max_repeats: float = 10.0) -> NDArray[np.float32]:  # fmt: skip
    """How often each row should come per epoch, for a long tail of taxa; `taxa` (rows,) tells whose it is.

    `cap` gives a taxon so many rows an epoch on average at most, others than the epoch before. `temperature` t draws taxa in
    proportion to n**t of their rows n: 1 as they are, 0.5 by the square root, 0 all alike (after Mahajan et al. 2018,
    arXiv 1805.00932, section 2.2), at most `max_repeats` times a row; the epoch keeps its length but for that limit.
    """
    _, inverse, n = np.unique(taxa, return_inverse=True, return_counts=True)
    weight = n.astype(np.float64) ** (temperature - 1)
    weight *= len(taxa) / (n * weight).sum()
    weight = np.minimum(weight, max_repeats)
    if cap:
        weight = np.minimum(weight, cap / n)
    found: NDArray[np.float32] = weight.astype(np.float32)[inverse]
    return found


def part(n_rows: int, share: float, seed: int, taxa: Ints | None = None) -> NDArray[np.bool_]:
    """Which rows (n_rows,) are of a share of them, at least one; with `taxa` (n_rows,), of a share of the taxa.

    Of one seed, a smaller share is part of any larger.
    """
    own = np.arange(n_rows) if taxa is None else taxa
    n = int(own.max()) + 1
    drawn = np.random.default_rng((seed, 7)).permutation(n)
    return np.asarray(drawn[own] < max(1, round(share * n)))


def weights(how: Data, seed: int, n_rows: int, taxon_codes: Callable[[], Ints]) -> NDArray[np.float32]:  # fmt: skip
    """How often each row comes per epoch, as a run says: 0 outside the share that is trained on.

    `taxon_codes` is asked for the taxon of each row only where it matters, for that reads the dataset.
    """
    is_even = not how.cap and how.temperature == 1
    taxa = None if is_even and how.share_of == "pictures" else taxon_codes()
    chosen = part(n_rows, how.share, seed, taxa if how.share_of == "taxa" else None)
    made = chosen.astype(np.float32)
    if taxa is not None and not is_even:
        made[chosen] = sampling(taxa[chosen], cap=how.cap, temperature=how.temperature, max_repeats=how.max_repeats)  # fmt: skip
    return made
