"""The bounded queue between the socket and the disk: what is heard waits here until it is in the journal.

Whoever listens never waits for the disk. When the disk is slower than the feed, or refuses for a while, messages are held as
long as there is room, then counted as lost, and a warning says so. Not here: the journal itself (`journal`).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from s2chips_core.ais.messages import Position, Static
from s2chips_core.errors import StorageError

MOST_WAITING = 100_000
"""Messages held at once, about 100 MB: 20 s of the busiest feed."""
RETRY_S = 1.0
"""From a write that failed to the next try."""
LAST_TRIES = 3
"""At the end of a capture, before it gives up on the disk."""
_log = logging.getLogger(__name__)


class Journaled(Protocol):
    """What segments are written with: `journal.JournalWriter`."""

    def append(self, positions: Sequence[Position], statics: Sequence[Static], facts: Mapping[str, Any]) -> str | None:
        """Write one segment; StorageError when it could not be."""


class Recorder:
    """Writes what it is given to a journal, in a thread of its own, until it is closed."""

    def __init__(
        self,
        journal: Journaled,
        facts: Callable[[], dict[str, Any]],
        *,
        batch_size: int,
        flush_interval_s: float,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """
        Args:
            journal: where segments go.
            facts: what is known of the capture so far, written beside the messages; called in the recorder's thread. A
                segment has them only when it holds all that was heard until then, so that nothing is claimed that a crash
                would take back.
            batch_size: messages that are written at once at most.
            flush_interval_s: longest wait of a message, seconds, while the disk keeps up.
            most_waiting: messages held at once.
        """
        self._journal, self._facts = journal, facts
        self._batch_size, self._flush_interval_s, self._most_waiting = batch_size, flush_interval_s, most_waiting
        self._waiting: deque[Position | Static] = deque()
        self._batch: list[Position | Static] = []
        self._wake, self._closing = threading.Event(), threading.Event()
        self._problem: StorageError | None = None
        self._broken: Exception | None = None
        self._told_lost = 0
        self.lost = 0
        """Messages that could not be held."""
        self._thread = threading.Thread(target=self._run, name="ais-journal", daemon=True)
        self._thread.start()

    def keep(self, message: Position | Static) -> None:
        """Take a message; never waits. Raises what the thread has died of."""
        if self._broken is not None:
            raise self._broken
        waiting = len(self._waiting)
        if waiting + len(self._batch) >= self._most_waiting:
            self.lost += 1
            return
        self._waiting.append(message)
        if waiting + 1 >= self._batch_size:
            self._wake.set()

    def close(self) -> None:
        """Write all that waits, and the facts as they are now.

        Raises:
            StorageError: the disk still refuses; what is in the journal stays there.
        """
        self._closing.set()
        self._wake.set()
        self._thread.join()
        if self._broken is not None:
            raise self._broken
        if self._problem is not None:
            never_written = len(self._waiting) + len(self._batch)
            self.lost += never_written
            _log.warning("%d messages lost: the journal could not be written to the end", never_written)
            raise self._problem

    def _run(self) -> None:
        try:
            self._write_all()
        except Exception as error:  # noqa: BLE001 - handed to whoever closes
            self._broken = error

    def _write_all(self) -> None:
        due = time.monotonic() + self._flush_interval_s
        failures = 0
        while True:
            if not self._closing.is_set() and len(self._waiting) < self._batch_size:
                self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            closing = self._closing.is_set()
            if not closing and len(self._waiting) < self._batch_size and time.monotonic() < due:
                continue
            try:
                drained = self._write_some()
            except StorageError as error:
                failures += 1
                if self._problem is None:
                    _log.warning("the journal cannot be written, messages are held: %s", error)
                self._problem = error
                if closing and failures > LAST_TRIES:
                    return
                if closing:
                    time.sleep(RETRY_S / LAST_TRIES)
                else:
                    self._closing.wait(RETRY_S)
                continue
            failures = 0
            if self._problem is not None:
                _log.warning("the journal can be written again")
                self._problem = None
            self._tell_lost()
            due = time.monotonic() + self._flush_interval_s
            if closing and drained:
                return

    def _write_some(self) -> bool:
        """One segment; whether it holds all that was heard until now."""
        facts = self._facts()  # first: what was heard before is in the queue by now
        while len(self._batch) < self._batch_size and self._waiting:
            self._batch.append(self._waiting.popleft())
        taken = self._batch
        drained = len(taken) < self._batch_size or not self._waiting
        positions = [one for one in taken if isinstance(one, Position)]
        statics = [one for one in taken if isinstance(one, Static)]
        self._journal.append(positions, statics, facts if drained else {})
        self._batch = []
        return drained

    def _tell_lost(self) -> None:
        if self.lost > self._told_lost:
            _log.warning(
                "%d messages lost: the disk is slower than the feed (%d held at most)",
                self.lost - self._told_lost,
                self._most_waiting,
            )
            self._told_lost = self.lost
