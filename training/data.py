"""The dataset as batches: read, decoded, cut and tokenised in worker processes, ready before the step that wants them.

A batch is a stretch of the endless sequence of `order`; the position after it comes with it. Pictures leave as uint8,
to be normalised on the device. What cannot be decoded keeps its place, is marked, and counts for nothing.
"""

from __future__ import annotations

import collections
import itertools
import os
import queue
import random
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray

from catalog import pixels
from training import model as models
from training import reading, text
from training.order import Order
from training.view import View

READ_TRIES, READ_WAIT_S = 5, 0.2  # a group: 68 s in all, and what the Hub's client waits by itself
MAX_CHARACTERS = 1000  # of a caption of the web: 77 tokens hold less


@dataclass(frozen=True)
class Words:
    """How captions are made: types to draw from (one per step), what stands for absent common names, the tokenizer."""

    types: tuple[str, ...]
    absent: str
    architecture: str
    seed: int

    def kind(self, step: int) -> str:
        """The caption type of a step: the same on every rank, drawn without touching anyone's random state."""
        return random.Random(f"{self.seed}:{step}").choice(self.types)


@dataclass(frozen=True)
class Piece:
    """What a worker makes at once: rows of a few row groups, of one step and stream."""

    start: int
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    kind: str


class Batch:
    """One stream's part of a step on this rank; tensors are on the CPU until `to`."""

    def __init__(self, pieces: Sequence[dict[str, Any]], stop: int) -> None:
        self.images = torch.cat([piece["images"] for piece in pieces])  # (n, 3, S, S) uint8
        self.tokens = torch.cat([piece["tokens"] for piece in pieces])  # (n, context) int64
        self.ids = torch.cat(
            [piece["ids"] for piece in pieces]
        )  # (n,) int64, equal for equal tokens
        self.nodes = torch.cat([piece["nodes"] for piece in pieces])  # (n, N_NODES) int64, 0: none
        self.valid = torch.cat([piece["valid"] for piece in pieces])  # (n,) bool
        self.uuids = [uuid for piece in pieces for uuid in piece["uuids"]]
        self.captions = [caption for piece in pieces for caption in piece["captions"]]
        self.errors = [error for piece in pieces for error in piece["errors"]]
        self.stop = stop  # position of the whole step's end in the sequence

    def to(self, device: torch.device, *, images: bool = True) -> Batch:
        """Move the tensors; the pictures only where `images`."""
        for name in (*(["images"] if images else []), "tokens", "ids", "nodes", "valid"):
            value = getattr(self, name)
            if device.type == "cuda":
                value = value.pin_memory().to(device, non_blocking=True)
            setattr(self, name, value)
        return self


Batches = Generator[Batch, None, None]


class Pieces(torch.utils.data.Dataset[dict[str, Any]]):
    """Makes pieces; lives in a worker, where it keeps the last row groups and its tokenizer."""

    def __init__(self, place: reading.Place, view: View, words: Words, seed: int, n_kept: int, train: bool) -> None:  # fmt: skip
        self._place, self._view, self._words, self._seed = place, view, words, seed
        self._n_kept, self._train = n_kept, train
        self._kept = collections.OrderedDict[int, reading.Rows | Exception]()
        self._tokenizer: Any = None

    def __getitem__(self, piece: Piece) -> dict[str, Any]:
        n = len(piece.rows)
        images = torch.zeros(n, 3, self._view.side_px, self._view.side_px, dtype=torch.uint8)
        valid = torch.zeros(n, dtype=torch.bool)
        nodes = torch.zeros(n, models.N_NODES, dtype=torch.int64)
        uuids, captions, errors = [], [], []
        for i, (group, row) in enumerate(zip(piece.groups.tolist(), piece.rows.tolist(), strict=True)):  # fmt: skip
            rows = self._rows(group)
            if isinstance(rows, Exception):
                uuid, caption, error = "", "", f"{type(rows).__name__}: {rows}"
            else:
                uuid, caption, error = rows.uuids[row], self._caption(rows.words[row], piece.kind), ""  # fmt: skip
                if not isinstance(rows.words[row], str):
                    nodes[i] = torch.tensor(models.node_ids(rows.words[row]))
                draw = random.Random(f"{self._seed}:{piece.start + i}") if self._train else None
                try:
                    images[i] = self._view.see(rows.image(row), draw)
                    valid[i] = bool(caption)
                    error = "" if caption else "it has no caption"
                except (pixels.Undecodable, OSError) as reason:
                    error = str(reason)
            if error:
                errors.append(f"{uuid or f'row group {group}'}: {error}")
            uuids.append(uuid)
            captions.append(caption)
        tokens = self._tokens(captions)
        ids = torch.tensor([xxhash.xxh3_64_intdigest(row.tobytes()) >> 1 for row in tokens.numpy()])
        return {"images": images, "tokens": tokens, "ids": ids, "nodes": nodes, "valid": valid, "uuids": uuids,
                "captions": captions, "errors": errors}  # fmt: skip

    def _caption(self, words: Any, kind: str) -> str:
        if isinstance(words, dict):
            return text.caption(words, kind, self._words.absent)
        return str(words or "")[:MAX_CHARACTERS]

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

    def _tokens(self, captions: list[str]) -> torch.Tensor:
        if self._tokenizer is None:
            import open_clip

            models.add_architectures()
            self._tokenizer = open_clip.get_tokenizer(self._words.architecture)
        made: torch.Tensor = self._tokenizer(captions).long()
        return made


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
        asked = collections.deque[tuple[int, int]]()  # (pieces, position after) of steps under way
        ended = list[bool]()

        def pieces() -> Iterator[Piece]:
            at, now = position, step
            while not ended:
                first = at + self.rank * share
                made = [Piece(s.start, s.groups, s.rows, self.words.kind(now))
                        for s in self.order.stretches(first, first + share, self.piece)]  # fmt: skip
                at, now = at + self.batch, now + 1
                asked.append((len(made), at))
                yield from itertools.takewhile(lambda _: not ended, made)

        ready = iter(self._loader(pieces()))
        try:
            while True:
                found = [next(ready)]
                n_pieces, stop = asked.popleft()
                found += [next(ready) for _ in range(n_pieces - 1)]
                yield Batch(found, stop)
        finally:
            ended.append(True)  # workers finish what they have, and end
            for _ in ready:
                pass

    def _loader(self, pieces: Iterator[Piece]) -> Any:
        dataset = Pieces(
            self.place, self.view, self.words, self.order.seed, self.order.mix + 1, True
        )
        if not self.workers:
            return (dataset[piece] for piece in pieces)
        return loader(dataset, pieces, self.workers)


def loader(dataset: Pieces, pieces: Any, workers: int) -> Any:
    """torch's DataLoader over pieces, in order, in processes that are set up for decoding."""
    os.environ.update({k: v for k, v in pixels.MALLOC_ENV.items() if k not in os.environ})
    return torch.utils.data.DataLoader(dataset, sampler=pieces, batch_size=None, num_workers=workers,
                                       prefetch_factor=4, multiprocessing_context="spawn",
                                       worker_init_fn=_calm)  # fmt: skip


def _calm(_: int) -> None:
    """A worker leaves signals to the process that trains: that one saves first, and then ends it."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)


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
            for stream in streams:
                stream.close()

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
        self._thread.join(60)


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
        for at in range(0, len(rows), batch):
            part = rows[at : at + batch]
            listed.append(Piece(0, np.full(len(part), group), part, kind))
    dataset = Pieces(place, view, words, 0, 2, False)
    for index in range(rank, -(-len(listed) // world) * world, world):
        made = Batch([dataset[listed[min(index, len(listed) - 1)]]], 0)
        if index >= len(listed):
            made.valid.zero_()
        yield made
