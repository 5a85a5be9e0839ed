"""The dataset as batches: read, decoded, cut and tokenised in worker processes, ready before the step that wants them.

A batch is a stretch of the endless sequence of `order`; the position after it comes with it. Pictures leave as uint8,
to be normalised on the device, from memory that workers wrote them to.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import queue
import threading
import time
import weakref
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from training import pieces as parts
from training import reading
from training.labels import Words
from training.order import Order
from training.pieces import Asked, Memory, Piece, Pieces
from training.view import View

STOP_S = 120.0  # longer than a worker tries to read a row group


class Batch:
    """One stream's part of a step on this rank; tensors are on the CPU until `to`."""

    def __init__(self, images: torch.Tensor, pieces: Sequence[Piece], stop: int = 0,
                 memory: Memory | None = None) -> None:  # fmt: skip
        self.images = images  # (n, 3, S, S) uint8, the batch's own while it lives
        self._done = weakref.finalize(self, memory.back, images) if memory else None
        self.tokens = _joined([piece.tokens for piece in pieces]).long()  # (n, context)
        self.ids = _joined([piece.ids for piece in pieces])  # (n,) int64, equal for equal tokens
        self.nodes = _joined([piece.nodes for piece in pieces])  # (n, N_NODES) int64, 0: none
        self.valid = _joined([piece.valid for piece in pieces])  # (n,) bool
        self.uuids = [uuid for piece in pieces for uuid in piece.uuids]
        self.captions = [caption for piece in pieces for caption in piece.captions]
        self.errors = [error for piece in pieces for error in piece.errors]
        self.stop = stop  # position of the whole step's end in the sequence

    def to(self, device: torch.device, *, images: bool = True) -> Batch:
        """Move the tensors; the pictures only where `images`."""
        if device.type == "cuda":
            for name in ("tokens", "ids", "nodes", "valid"):
                setattr(self, name, _moved(getattr(self, name), device))
            if images:
                self.images = _moved(self.images, device)
                if self._done:
                    self._done()
        return self


Batches = Generator[Batch, None, None]


@dataclass(frozen=True)
class Stream:
    """One endless stream of training batches: a place, its order, and this rank's share of every step."""

    place: reading.Place
    order: Order
    view: View
    words: Words
    batch: int  # rows per step over all ranks
    rank: int = 0
    world: int = 1
    workers: int = 0
    piece: int = 256  # rows a worker makes at once: a row group, so that one worker reads it

    def batches(self, step: int, position: int) -> Batches:
        """Batches from `step` on, of which the first starts at `position` of the sequence."""
        share = self.batch // self.world
        memory = Memory(share, self.view.side_px, shared=self.workers > 0)
        asked = collections.deque[
            tuple[torch.Tensor, int, int]
        ]()  # of steps under way: pictures, in how many pieces, position after
        ended = list[bool]()

        def pieces() -> Iterator[Asked]:
            at, now = position, step
            while not ended:
                first = at + self.rank * share
                images = memory.take()
                made = [Asked(images[s.start - first : s.start - first + len(s.rows)], s.start, s.groups, s.rows,
                              self.words.kind(now))
                        for s in self.order.stretches(first, first + share, self.piece)]  # fmt: skip
                at, now = at + self.batch, now + 1
                asked.append((images, len(made), at))
                yield from itertools.takewhile(lambda _: not ended, made)

        ready = iter(self._loader(pieces()))
        try:
            while True:
                found = [next(ready)]
                images, n_pieces, stop = asked.popleft()
                found += [next(ready) for _ in range(n_pieces - 1)]
                yield Batch(images, found, stop, memory)
        finally:
            ended.append(True)  # workers finish what they have, and end
            for _ in ready:
                pass

    def _loader(self, pieces: Iterator[Asked]) -> Any:
        dataset = Pieces(
            self.place, self.view, self.words, self.order.seed, self.order.mix + 1, True
        )
        if not self.workers:
            return (dataset[piece] for piece in pieces)
        return parts.loader(dataset, pieces, self.workers)


class Ahead:
    """Steps' batches made ready by a thread while the step before runs; counts the seconds waited for them.

    Without `images` the pictures stay on the CPU, for steps of several passes, each of which moves its own.
    """

    def __init__(
        self,
        streams: Sequence[Batches],
        device: torch.device,
        *,
        images: bool = True,
        depth: int = 2,
    ) -> None:
        self.waited_s, self._images = 0.0, images
        self._ready = queue.Queue[Any](depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(streams, device), daemon=True)
        self._thread.start()

    def _fill(self, streams: Sequence[Batches], device: torch.device) -> None:
        try:
            self._work(streams, device)
        finally:
            with contextlib.ExitStack() as closing:  # each, whatever becomes of the others
                for stream in streams:
                    closing.callback(stream.close)

    def _work(self, streams: Sequence[Batches], device: torch.device) -> None:
        made: Any = None
        while not self._stopped.is_set():
            try:
                made = [next(stream).to(device, images=self._images) for stream in streams]
            except BaseException as error:  # raised again where it is awaited
                made = error
            while not self._stopped.is_set():
                try:
                    self._ready.put(made, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if isinstance(made, BaseException):
                return

    def next(self) -> list[Batch]:
        """The batches of the next step, one per stream. Raises what making them raised."""
        started = time.perf_counter()
        made = self._ready.get()
        self.waited_s += time.perf_counter() - started
        if isinstance(made, BaseException):
            raise made
        batches: list[Batch] = made
        return batches

    def stop(self) -> None:
        """End the thread, and the workers of its streams."""
        self._stopped.set()
        self._thread.join(STOP_S)


def pictures(place: reading.Place, view: View, words: Words, kind: str, *, batch: int,
             most: int | None = None, rank: int = 0, world: int = 1) -> Iterator[Batch]:  # fmt: skip
    """The pictures of a place once, in its order and without chance, at most `most`; the batches dealt out by rank.

    Every rank gets as many batches; what fills up is marked as counting for nothing.
    """
    left = min(int(place.sizes.sum()), most or 2**62)
    listed = []
    for group, size in enumerate(place.sizes.tolist()):
        rows = np.arange(min(size, left))
        left -= len(rows)
        listed += [(group, rows[at : at + batch]) for at in range(0, len(rows), batch)]
    dataset = Pieces(place, view, words, 0, 2, False)
    for index in range(rank, -(-len(listed) // world) * world, world):
        group, rows = listed[min(index, len(listed) - 1)]
        images = Memory(len(rows), view.side_px, shared=False).take()
        piece = dataset[Asked(images, 0, np.full(len(rows), group), rows, kind)]
        made = Batch(images, [piece])
        if index >= len(listed):
            made.valid.zero_()
        yield made


def _joined(arrays: Sequence[Any]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(arrays))


def _moved(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    return value.pin_memory().to(device, non_blocking=True)
