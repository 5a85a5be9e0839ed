"""What a run tells of itself: metrics.jsonl (the truth), TensorBoard where it is installed, a line now and then."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash

from catalog import terminal
from catalog.artifact import write_atomically
from training.data import Batch
from training.distributed import World

TELL_EVERY_S = 10.0
N_ERRORS = 10  # of a step that are written out


class Metrics:
    """The numbers of a run in a folder, from a step on; only the first rank writes.

    Lines of later steps, which a run that died left behind, are removed: those steps come again.
    """

    def __init__(self, out: Path, step: int, world: World) -> None:
        self._first, self._told = world.is_first, -math.inf
        self._file: Any = None
        self._board: Any = None
        if not self._first:
            return
        out.mkdir(parents=True, exist_ok=True)
        path = out / "metrics.jsonl"
        if path.is_file():
            kept = [line for line in path.read_bytes().splitlines() if 0 < _step_of(line) <= step]
            write_atomically(path, b"".join(line + b"\n" for line in kept))
        self._file = path.open("a")
        with contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def tell(self, line: str) -> None:
        """Say something at the terminal."""
        if self._first:
            terminal.tell(line, to=sys.stderr)

    def write(self, values: dict[str, Any]) -> None:
        """Keep one line of numbers."""
        if not self._first:
            return
        said = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in values.items()
        }
        self._file.write(json.dumps(said) + "\n")
        self._file.flush()
        if self._board:
            for name, value in values.items():
                if isinstance(value, float | int) and name != "step":
                    self._board.add_scalar(name, value, values["step"])

    def step(self, n_steps: int, values: dict[str, Any], errors: Sequence[str]) -> None:
        """Keep a step's numbers, and tell them now and then."""
        self.write({**values, **({"errors": list(errors)[:N_ERRORS]} if errors else {})})
        if time.monotonic() - self._told > TELL_EVERY_S or values["step"] == n_steps:
            self._told = time.monotonic()
            lost = values["n_failed"]
            self.tell(f"step {values['step']:,} of {n_steps:,}  loss {values['loss']:.4f}  {values['samples_per_s']:,.0f} pairs/s  "
                      f"waiting {100 * values['wait_share']:.0f} %  {100 * values['mfu']:.0f} % of the matrix rate"
                      + (f"  {lost:,} pictures could not be used" if lost else ""))  # fmt: skip

    def validation(self, step: int, found: dict[str, float]) -> None:
        """Keep what validation found, and tell it."""
        self.write({"step": step, **found})
        self.tell(f"step {step:,}: {100 * found['validation_top1']:.1f} % right among {int(found['n_labels']):,} "
                  f"labels, {int(found['n_validated']):,} pictures, loss {found['validation_loss']:.3f}")  # fmt: skip

    def close(self) -> None:
        """Finish the files."""
        if self._file:
            self._file.close()
        if self._board:
            self._board.close()


def _step_of(line: bytes) -> int:
    """The step of a line; 0 of one that a run that died left unfinished."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 0


def digest(batches: Sequence[Batch]) -> str:
    """What names the pictures of this rank's part of a step, in order."""
    uuids = "\n".join(uuid for batch in batches for uuid in batch.uuids)
    return xxhash.xxh3_64_hexdigest(uuids.encode())
