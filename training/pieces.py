"""What a worker of the loader makes: pictures read, decoded and cut, with their labels, a piece of a batch at a time."""

from __future__ import annotations

import collections
import math
import random
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from catalog import pixels
from catalog.processes import Spawning
from training import model as models
from training import reading
from training.labels import Labels, Words
from training.view import View

READ_TRIES, READ_WAIT_S = 5, 0.2  # a group: 68 s in all, and what the Hub's client waits by itself


@dataclass(frozen=True)
class Asked:
    """Rows of a few row groups, of one step and stream, and the memory their pictures go to."""

    images: torch.Tensor  # (n, 3, S, S) uint8
    start: int  # position of the first in the sequence
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    kind: str


@dataclass(frozen=True)
class Piece:
    """What goes with those pictures. Those that cannot be decoded are black, not `valid`, and named in `errors`."""

    tokens: NDArray[np.int32]  # (n, context)
    ids: NDArray[np.int64]  # (n,) equal for equal tokens
    nodes: NDArray[np.int64]  # (n, N_NODES)
    valid: NDArray[np.bool_]  # (n,)
    uuids: list[str]
    captions: list[str]
    errors: list[str]


class Memory:
    """Memory for the pictures of a batch that goes round: filled by workers, and taken again when its batch is gone.

    New memory for every batch costs time, for the kernel clears it first. `take` raises OSError where there is none to
    share.
    """

    def __init__(self, rows: int, side_px: int, *, shared: bool) -> None:
        self._shape, self._shared = (rows, side_px, side_px, 3), shared
        self._free = list[torch.Tensor]()

    def take(self) -> torch.Tensor:
        """(rows, 3, S, S) uint8, channels innermost, of any content."""
        try:
            return self._free.pop()
        except IndexError:  # all of it is in use
            return self._new()

    def back(self, taken: torch.Tensor) -> None:
        """Take memory back that nobody reads any more."""
        self._free.append(taken)

    def _new(self) -> torch.Tensor:
        if not self._shared:
            return torch.empty(self._shape, dtype=torch.uint8).permute(0, 3, 1, 2)
        n_bytes = math.prod(self._shape)
        try:
            shared = torch.UntypedStorage._new_shared(n_bytes)  # as torch's own collation does
        except RuntimeError as error:
            raise OSError(f"no shared memory for {n_bytes / 1e6:.0f} MB of pictures: give the machine or its container more "
                          f"(/dev/shm; docker run --shm-size), or set data.workers lower, 0 for none: {error}") from error  # fmt: skip
        return torch.empty(0, dtype=torch.uint8).set_(shared).view(self._shape).permute(0, 3, 1, 2)


class Pieces(torch.utils.data.Dataset[Piece]):
    """Makes pieces; lives in a worker, where it keeps the last row groups and its labels."""

    def __init__(self, place: reading.Place, view: View, words: Words, seed: int, n_kept: int, train: bool) -> None:  # fmt: skip
        self._place, self._view, self._words, self._seed = place, view, words, seed
        self._n_kept, self._train = n_kept, train
        self._kept = collections.OrderedDict[int, reading.Rows | Exception]()
        self._labels: Labels | None = None
        self._memory = dict[int, torch.Tensor]()  # held, so that it stays mapped

    def __getitem__(self, asked: Asked) -> Piece:
        if self._labels is None:
            self._labels = Labels(self._words)
        n, images = len(asked.rows), asked.images
        self._memory[images.untyped_storage().data_ptr()] = images
        nodes = np.zeros((n, models.N_NODES), dtype=np.int64)
        ids, valid = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
        tokens, uuids, captions, errors = [], [], [], []
        for i, (group, row) in enumerate(zip(asked.groups.tolist(), asked.rows.tolist(), strict=True)):  # fmt: skip
            rows = self._rows(group)
            if isinstance(rows, Exception):
                uuid, label, error = "", self._labels.of("", asked.kind), f"{type(rows).__name__}: {rows}"  # fmt: skip
            else:
                uuid, label, error = rows.uuids[row], self._labels.of(rows.words[row], asked.kind), ""  # fmt: skip
                draw = random.Random(f"{self._seed}:{asked.start + i}") if self._train else None
                try:
                    images[i] = self._view.see(rows.image(row), draw)
                    valid[i] = bool(label.caption)
                    error = "" if label.caption else "it has no caption"
                except (pixels.Undecodable, OSError) as reason:
                    error = str(reason)
            if not valid[i]:
                images[i] = 0
                errors.append(f"{uuid or f'row group {group}'}: {error}")
            ids[i], nodes[i] = label.id, label.nodes
            tokens.append(label.tokens)
            captions.append(label.caption)
            uuids.append(uuid)
        return Piece(np.stack(tokens), ids, nodes, valid, uuids, captions, errors)

    def _rows(self, group: int) -> reading.Rows | Exception:
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        while len(self._kept) >= self._n_kept:
            self._kept.popitem(last=False)
        for attempt in range(READ_TRIES):
            try:
                self._kept[group] = self._place.read(group)
                break
            except (OSError, ValueError) as error:
                self._kept[group] = error
                time.sleep(READ_WAIT_S * 4**attempt)
        return self._kept[group]


def loader(dataset: Pieces, asked: Any, workers: int) -> Any:
    """torch's DataLoader over pieces, in order, in processes that are set up for decoding."""
    return torch.utils.data.DataLoader(dataset, sampler=asked, batch_size=None, num_workers=workers,
                                       collate_fn=_as_it_is, prefetch_factor=4, multiprocessing_context=Spawning(pixels.MALLOC_ENV),
                                       worker_init_fn=_ready)  # fmt: skip


def _as_it_is(piece: Any) -> Any:
    return piece


def _ready(_: int) -> None:
    """A worker leaves signals to the process that trains: that one saves first, and then ends it."""
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own gives memory back, only to ask again
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
