"""What moves bytes and pixels: threads that wait for the network, threads that compute, and what follows what.

Here: where a step runs, and that its failure reaches whoever waits for the results. Not here: what the steps are
(`block_windows`, `scene_cut`). Steps never wait for each other: each ends by starting the next one, so that as many threads
compute as there are cores and a request in flight costs a thread that sleeps, whatever the number of scenes in progress.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher

log = logging.getLogger(__name__)


Opened = Callable[[str, str], None]
"""Told the href of a file and who reads it, `cog` or `gdal`; on any thread."""


class Countdown:
    """Calls something when it has been called itself a number of times; safe to share between threads."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        """Args:
        count: at least 1.
        then: called by the last call.
        """
        self._left, self._then, self._lock = count, then, threading.Lock()

    def __call__(self) -> None:
        """One less."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._then()


class Engine:
    """Runs steps on two pools that somebody else owns."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        network: Executor,
        processor: Executor,
        memory: MemoryBudget,
        failed: Callable[[BaseException], None],
        opened: Opened | None = None,
        whole_blocks: bool = False,
    ) -> None:
        """Args:
        fetcher: the door.
        network: as many threads as requests may be in flight.
        processor: as many threads as there are cores.
        memory: the account.
        failed: told of what a step raised; no other step follows it.
        opened: told of every file and its reader.
        whole_blocks: see `Compute.whole_blocks`.
        """
        self.fetcher, self.memory, self.opened = fetcher, memory, opened or _nobody
        self.whole_blocks = whole_blocks
        self._network, self._processor, self._failed = network, processor, failed
        self._lock = threading.Lock()
        self._steps, self._closed = 0, False
        self._long: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._short: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    @property
    def idle(self) -> bool:
        """Whether no step is waiting or running."""
        return self._steps == 0

    def compute(self, step: Callable[..., None], *given: Any) -> None:
        """Run a step on a thread that computes."""
        self._short.append((step, given))
        self._submit(self._processor, self._run_next, ())

    def compute_long(self, step: Callable[..., None], *given: Any) -> None:
        """Run a step on a thread that computes, when no other kind of step waits for one.

        For what takes most of the time and asks for nothing: behind it in a queue, the steps that send the next requests
        would let the network stand still.
        """
        self._long.append((step, given))
        self._submit(self._processor, self._run_next, ())

    def transfer(self, step: Callable[..., None], *given: Any) -> None:
        """Run a step on a thread that may wait for the network."""
        self._submit(self._network, step, given)

    def fetch(self, href: str, start: int, length: int, then: Callable[[bytes | ReadError], None]) -> None:
        """Hand a range of a file, or why it cannot be had, to `then`; it runs on the thread that fetched and is short."""

        def step() -> None:
            data: bytes | ReadError
            try:
                data = self.fetcher.get_range(href, start, length)
            except ReadError as error:
                data = error
            then(data)

        self.transfer(step)

    def close(self) -> None:
        """Begin no other step."""
        self._closed = True

    def _run_next(self) -> None:
        # As often as there are steps; which of the threads takes which is of no meaning.
        try:
            step, given = self._short.popleft()
        except IndexError:
            step, given = self._long.popleft()
        step(*given)

    def _submit(self, pool: Executor, step: Callable[..., None], given: tuple[Any, ...]) -> None:
        with self._lock:
            self._steps += 1
        try:
            pool.submit(self._run, step, given)
        except RuntimeError:  # the pool was shut down: the work was given up
            self._ended()
            if not self._closed:
                raise

    def _run(self, step: Callable[..., None], given: tuple[Any, ...]) -> None:
        try:
            if not self._closed:
                step(*given)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must reach the one who waits
            self._failed(error)
        finally:
            self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._steps -= 1


def _nobody(href: str, reader: str) -> None:
    pass
