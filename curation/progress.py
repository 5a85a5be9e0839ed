"""Progress people can read: a bar on a terminal, a line with rate and ETA every ten seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

EVERY_S = 10.0
log = logging.getLogger(__name__)


class Progress:
    """Counts units of one stage, good and rejected; used as a context."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.n_done, self.n_bad = what, total, 0, 0
        self._started = self._said = time.monotonic()
        self._bar = (
            tqdm(total=total, desc=what, unit="img") if sys.stderr.isatty() and total else None
        )

    def __enter__(self) -> Progress:
        return self

    def step(self, good: bool, n: int = 1) -> None:
        """`n` more are done; `good` is False when they were rejected."""
        self.n_done += n
        self.n_bad += 0 if good else n
        if self._bar is not None:
            self._bar.set_postfix(rejected=self.n_bad, refresh=False)
            self._bar.update(n)
        elif time.monotonic() - self._said > EVERY_S:
            self._said = time.monotonic()
            rate = self.n_done / (self._said - self._started)
            left = (self.total - self.n_done) / max(rate, 1e-9)
            log.info("%s %d/%d, %.0f/s, %.0f s left, %d rejected",
                     self.what, self.n_done, self.total, rate, left, self.n_bad)  # fmt: skip

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self._bar is not None:
            self._bar.close()
