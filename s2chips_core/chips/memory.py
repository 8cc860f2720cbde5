"""One account for the bytes that cutting holds: in flight, decoded, and chips that nobody has taken yet.

Here: who may go on. Not here: what the bytes are (`block_windows`, `scene_cut`). Bytes are reserved before they are asked
for, for a whole piece of work at once, and pieces are let in one after the other in the order in which they asked: none
waits for a second helping while it holds a first one, so that they cannot block each other.
"""

import threading
from collections import deque
from collections.abc import Callable


class MemoryBudget:
    """Bytes that may be held at a time; safe to share between threads.

    A piece that is larger than all of it, or than what those that are done have left behind for later pieces, goes on as
    soon as no other piece is at work: it is alone then.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._used = self._most = self._at_work = 0

    @property
    def used_bytes(self) -> int:
        """Reserved now."""
        return self._used

    @property
    def most_bytes(self) -> int:
        """The most that was reserved at a time."""
        return self._most

    @property
    def waiting(self) -> int:
        """Pieces that have not been let in."""
        return len(self._waiting)

    def reserve(self, size: int, then: Callable[[], None]) -> None:
        """Call `then` when `size` bytes are reserved; a piece of work is at work from then until `leave`."""
        with self._lock:
            self._waiting.append((size, then))
        self._let_in()

    def enter(self) -> None:
        """One more piece is at work, with bytes that are reserved already."""
        with self._lock:
            self._at_work += 1

    def release(self, size: int) -> None:
        """Give bytes back."""
        if size:
            with self._lock:
                self._used -= size
            self._let_in()

    def leave(self, size: int = 0) -> None:
        """A piece is done, and gives bytes back."""
        with self._lock:
            self._at_work -= 1
            self._used -= size
        self._let_in()

    def _let_in(self) -> None:
        admitted = []
        with self._lock:
            while self._waiting:
                size, then = self._waiting[0]
                if self._at_work and self._used + size > self.total_bytes:
                    break
                self._waiting.popleft()
                self._used += size
                self._most = max(self._most, self._used)
                self._at_work += 1
                admitted.append(then)
        for then in admitted:
            then()
