"""Who may be asked next: a budget per host that grows with its patience, hosts taken in turn.

A host starts with a quarter of the connections it may ever have, gets one more for every 64 answers,
and half of them after 429, 503 or a timeout; it is left alone for as long as it asks (Retry-After), and
ever longer while it does not answer; never asked more often than its rate allows; given up for this run when
it answers nearly only 403, nothing at all for a minute, or asks for a pause longer than MAX_WAIT_S.
Additive increase and multiplicative decrease: Chiu and Jain, Computer Networks 17 (1989).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

N_FOR_ONE_MORE = 64  # answers that earn a host one more connection
N_TO_JUDGE = 20  # answers before a host may be given up
N_SILENT = 5  # failures in a row before it may
MAX_BACK_OFF_S = 8.0  # between two requests at a host that does not answer
MAX_WAIT_S = 900.0  # the longest pause a host may ask for in a run
REFUSING = 0.95  # share of 403 above which a host refuses
MARGIN = 1.05  # between two requests, over the interval its rate allows: clocks jitter


@dataclass(order=True)
class Try:
    """One address to ask: row of the table of wanted pictures, and how often it has been asked."""

    due: float
    row: int
    n_asked: int = 0


@dataclass
class Host:
    """One host: what is left to ask it, and what it can bear."""

    name: str
    rows: Iterator[int]
    most: int  # connections it may ever have
    interval_s: float  # between two requests; 0 for no limit
    silent_s: float = 60.0  # without any answer: then it is given up
    limit: float = 1.0
    n_flying: int = 0
    free_at: float = 0.0  # when it may be asked again
    slowed_at: float = -1e9
    n_good: int = 0
    n_403: int = 0
    n_answers: int = 0
    n_failed_in_a_row: int = 0
    silent_since: float = 0.0
    n_owed: int = 0  # requests that redirects have sent here and that wait for their turn
    n_away: int = (
        0  # those that it has sent elsewhere and that wait there: it is asked for no more meanwhile
    )
    given_up: str | None = None  # the reason of the rows it is not asked for
    again: list[Try] = field(default_factory=list)
    waits: bool = False  # for one of its requests to end

    def __post_init__(self) -> None:
        self.limit = max(1.0, self.most / 4)
        self._next: Try | None = None

    def ready_at(self) -> float | None:
        """When it may be asked for its next address; None when nothing is left to ask."""
        if self._next is None:
            row = next(self.rows, None)
            self._next = None if row is None else Try(0.0, row)
        first = self._next.due if self._next else None
        if self.again:
            first = min(self.again[0].due, first) if first is not None else self.again[0].due
        if first is None:
            return None
        return 0.0 if self.given_up else max(first, self.free_at)

    def take(self, now: float) -> Try:
        """The next address; the host must be ready."""
        if self.again and (self._next is None or self.again[0].due <= now):
            taken = heapq.heappop(self.again)
        else:
            assert self._next is not None
            taken, self._next = self._next, None
        if not self.given_up:
            self.n_flying += 1
            self.free_at = max(self.free_at, now + self.interval_s)
        return taken

    def has_room(self) -> bool:
        """True when another request may be under way."""
        return self.n_flying + self.n_owed + self.n_away < int(self.limit) or bool(self.given_up)

    async def claim(self) -> str | None:
        """Wait for a turn of a request that a redirect has sent here, and take it.

        Returns why the host has been given up, if it has.
        """
        self.n_owed += 1  # before its own addresses
        try:
            while not self.given_up:
                wait_s = self.free_at - time.monotonic()
                if wait_s <= 0 and self.n_flying < int(self.limit):
                    self.n_flying += 1
                    self.free_at = max(self.free_at, time.monotonic() + self.interval_s)
                    return None
                await asyncio.sleep(min(max(wait_s, 0.02), 1.0))
            return self.given_up
        finally:
            self.n_owed -= 1

    def answered(self, status: int) -> None:
        """It said something."""
        self.n_failed_in_a_row, self.n_answers = 0, self.n_answers + 1
        self.n_403 += status == 403
        if status == 200:
            self.n_good += 1
            if self.n_good % N_FOR_ONE_MORE == 0:
                self.limit = min(self.most, self.limit + 1)
        elif self.n_answers >= N_TO_JUDGE and self.n_403 >= REFUSING * self.n_answers:
            self.given_up = "host_refuses"

    def failed(self, now: float) -> None:
        """It said nothing: no connection, no name, no bytes."""
        self.n_failed_in_a_row += 1
        if self.n_failed_in_a_row == 1:
            self.silent_since = now
        n_beyond = self.n_failed_in_a_row - N_SILENT
        if n_beyond < 0:
            return
        self.slow_down(now, min(MAX_BACK_OFF_S, 0.25 * 2.0 ** min(n_beyond, 10)))
        if now - self.silent_since >= self.silent_s:
            self.given_up = "host_unreachable"

    def slow_down(self, now: float, wait_s: float) -> None:
        """Half as many at once, and nothing before `wait_s` seconds have passed."""
        if wait_s > MAX_WAIT_S:
            self.given_up = "host_asks_to_wait"
        self.free_at = max(self.free_at, now + wait_s)
        if now - self.slowed_at > 1.0:  # one burst of refusals is one message
            self.limit, self.slowed_at = max(1.0, self.limit / 2), now


class Turn:
    """Hosts in turn: `next` gives the first that is ready and has room."""

    def __init__(self, hosts: list[Host]) -> None:
        self._ready: deque[Host] = deque(hosts)
        self._later: list[tuple[float, int, Host]] = []
        self._count = itertools.count()

    def next(self, now: float) -> tuple[Host, Try] | None:
        """A host and its next address, or None when none is ready."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        while self._ready:
            host = self._ready.popleft()
            at = host.ready_at()
            if at is None or not host.has_room():
                host.waits = True  # until `back`: it has nothing to ask, or asks enough
            elif at > now:
                heapq.heappush(self._later, (at, next(self._count), host))
            else:
                taken = host.take(now)
                self._ready.append(host)
                return host, taken
        return None

    def back(self, host: Host) -> None:
        """A request of the host has ended: it may have room, or something to ask again, or be given up."""
        if host.waits:
            host.waits = False
            self._ready.append(host)
        elif host.given_up and any(one is host for _, _, one in self._later):
            self._later = [entry for entry in self._later if entry[2] is not host]
            heapq.heapify(self._later)
            self._ready.append(host)

    def wait_s(self, now: float) -> float | None:
        """Seconds until a host becomes ready by itself; None when none will."""
        return max(0.0, self._later[0][0] - now) if self._later else None
