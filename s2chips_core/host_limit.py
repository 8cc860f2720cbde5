"""How many requests one host may have in flight, when it is left alone, and when it is given up.

Here: deciding, with the clock as an argument. Not here: waiting and asking (`fetch`), which also holds the lock: one
HostLimit is used by one thread at a time.

The law is that of DCTCP (RFC 8257, section 3.3) with a round in place of a round trip: after as many requests as may be in
flight, the limit is lowered by half of the share that failed, and raised by one times the share that did not. A host that
refuses everything is halved at each round; one that loses a few requests by chance keeps most of its limit.
"""

import enum
from collections.abc import Callable

LEAST = 2
"""The limit does not go below this many requests in flight."""
RAISE = 1.0
"""Requests in flight more after a round without a failure."""
DEAD_FAILURES = 20
DEAD_AFTER_S = 30.0
"""A host that has failed this often in a row and for so long, in seconds, is given up."""
PATIENCE_S = 120.0
"""As much of the time that the host itself asked to be left alone does not count as silence, seconds."""


class Failure(enum.StrEnum):
    """Why an attempt failed in a way that another may not."""

    REFUSED = "refused"
    """429 or 503: the host is asked too much."""
    SERVER_ERROR = "server_error"
    """500, 502 or 504."""
    BROKEN = "broken"
    """The connection was refused, reset, or closed before there was an answer."""
    TIMEOUT = "timeout"
    SHORT = "short"
    """The body ended too early."""
    SIGNATURE = "signature"
    """401 or 403 to a signed href."""


_WEIGHTS = {Failure.REFUSED: 1.0, Failure.SIGNATURE: 0.0}
_WEIGHT_OF_OTHERS = 0.25


class HostLimit:
    """What is known of one host."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        """Args:
        most: requests in flight to begin with, and never more.
        clock: seconds that only grow.
        """
        self._most, self._clock = float(most), clock
        self._least = min(LEAST, most)
        self._limit = float(most)
        self.in_flight = 0
        self._round = self._finished = 0
        self._failed_weight = 0.0
        self._paused_until = 0.0
        self._row, self._row_began, self._row_paused_s = 0, 0.0, 0.0
        self.given_up: str | None = None
        """Why nothing is asked of this host any more, once that is so."""

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @property
    def free(self) -> int:
        """Requests that may start now, pauses apart."""
        return max(self.limit - self.in_flight, 0)

    def pause_s(self) -> float:
        """Seconds for which the host is still to be left alone; 0 when it may be asked."""
        return max(self._paused_until - self._clock(), 0.0)

    def start(self) -> int:
        """A request starts; returns its round, to be handed back when it ends."""
        self.in_flight += 1
        return self._round

    def dropped(self) -> None:
        """A request ended and tells nothing of the host: it was interrupted, or never sent."""
        self.in_flight -= 1

    def succeeded(self, started_in: int) -> None:
        """A request was answered, be it by 404."""
        self.in_flight -= 1
        self._row = 0
        self._count(started_in, 0.0)

    def failed(self, started_in: int, failure: Failure, problem: str, pause_s: float = 0.0) -> None:
        """A request failed.

        Args:
            started_in: its round.
            failure: how.
            problem: the same for people.
            pause_s: how long the host asked to be left alone, seconds.
        """
        self.in_flight -= 1
        now = self._clock()
        if self._row == 0:
            self._row_began, self._row_paused_s = now, 0.0
        self._row += 1
        if pause_s > 0:
            until = max(self._paused_until, now + pause_s)
            self._row_paused_s += until - max(self._paused_until, now)
            self._paused_until = until
        silent_s = now - self._row_began
        if self._row >= DEAD_FAILURES and silent_s - min(self._row_paused_s, PATIENCE_S) >= DEAD_AFTER_S:
            self.given_up = f"{self._row} requests failed in a row in {silent_s:.0f} s, the last: {problem}"
        self._count(started_in, _WEIGHTS.get(failure, _WEIGHT_OF_OTHERS))

    def _count(self, started_in: int, weight: float) -> None:
        if started_in != self._round:
            return  # sent before the limit was last changed: tells of the limit of before
        self._finished += 1
        self._failed_weight += weight
        if self._finished >= self.limit:
            share = self._failed_weight / self._finished
            limit = self._limit * (1.0 - share / 2.0) + RAISE * (1.0 - share)
            self._limit = min(max(limit, self._least), self._most)
            self._round += 1
            self._finished, self._failed_weight = 0, 0.0
