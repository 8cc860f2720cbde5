"""A batch of chips to cut: several scenes at once, each chip written as soon as it is cut.

Here: the threads. Not here: what is written where (`day`), reading pixels (`chips.cutting`). Results arrive in the order in
which they are ready; nothing that is stored may depend on it.
"""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from s2chips_core.chips.chip import Chip, CutRequest, Refusal
from s2chips_core.config import Settings
from s2chips_core.errors import CancelledRunError
from s2chips_core.fetch import Fetcher
from s2chips_core.scenes.scene import Scene

SCENES_AT_ONCE = 4
"""Scenes with fewer ships than readers that are cut at once; together they have no more readers than one."""
WRITERS = 4
CHIPS_WAITING = 8
"""Chips of one scene that may wait for a writer: 1 MB each."""
LOOK_S = 0.5
"""How often the caller's wish to stop is looked at while nothing arrives, seconds."""


class Cut(Protocol):
    """`chips.cutting.cut_scene`, or what stands in for it: answers every request exactly once."""

    def __call__(
        self,
        scene: Scene,
        requests: Sequence[CutRequest],
        *,
        settings: Settings,
        fetcher: Fetcher,
        stop: threading.Event | None,
    ) -> Iterator[Chip | Refusal]: ...


def cut_batch(
    groups: Sequence[tuple[Scene, Sequence[CutRequest]]],
    *,
    cut: Cut,
    write: Callable[[Chip], Any],
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None,
) -> Generator[tuple[CutRequest, Any], None, None]:
    """Cut all requests; yields each with its Refusal, or with what `write` returned for its Chip.

    Args:
        groups: scenes with their requests.
        cut: reads the chips of a scene.
        write: called on a thread of its own pool for every chip.
        settings: handed to `cut`.
        fetcher: handed to `cut`.
        stop: set by the caller to give up.

    Raises:
        CancelledRunError: `stop` was set before all was done.
        S2ChipsError: what `cut` or `write` raised; the other threads are stopped and waited for.
    """
    workers = settings.compute.workers
    large = [group for group in groups if len(group[1]) >= workers]
    small = [group for group in groups if len(group[1]) < workers]
    # A scene with many ships keeps all readers busy; of scenes with few, several share the readers.
    for some, at_once in ((large, 1), (small, min(SCENES_AT_ONCE, workers))):
        compute = settings.compute.model_copy(update={"workers": workers // at_once})
        shared = settings.model_copy(update={"compute": compute})
        if some:
            yield from _cut_scenes(some, at_once, cut=cut, write=write, settings=shared, fetcher=fetcher, stop=stop)


def _cut_scenes(
    groups: Sequence[tuple[Scene, Sequence[CutRequest]]],
    at_once: int,
    *,
    cut: Cut,
    write: Callable[[Chip], Any],
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None,
) -> Generator[tuple[CutRequest, Any], None, None]:
    halt = threading.Event()
    arrived: queue.SimpleQueue[tuple[CutRequest, Any] | None] = queue.SimpleQueue()

    def write_one(chip: Chip) -> None:
        arrived.put((chip.request, write(chip)))

    def cut_one(scene: Scene, requests: Sequence[CutRequest], writers: ThreadPoolExecutor) -> None:
        waiting: deque[Future[None]] = deque()
        for result in cut(scene, requests, settings=settings, fetcher=fetcher, stop=halt):
            if halt.is_set():
                break
            if isinstance(result, Refusal):
                arrived.put((result.request, result))
                continue
            waiting.append(writers.submit(write_one, result))
            if len(waiting) > CHIPS_WAITING:
                waiting.popleft().result()
        for written in waiting:
            written.result()

    left = sum(len(requests) for _, requests in groups)
    with contextlib.ExitStack() as stack:
        writers = stack.enter_context(ThreadPoolExecutor(WRITERS, "s2chips-write"))
        scenes = stack.enter_context(ThreadPoolExecutor(at_once, "s2chips-scene"))
        # Set before the pools are waited for, whatever ends this block: KeyboardInterrupt and a closed generator too.
        stack.callback(halt.set)
        running = [scenes.submit(cut_one, scene, requests, writers) for scene, requests in groups]
        stack.callback(lambda: [future.cancel() for future in running])
        for future in running:
            future.add_done_callback(lambda _: arrived.put(None))  # wakes the loop below
        while left:
            if stop is not None and stop.is_set():
                raise CancelledRunError(f"stopped with {left} chips still to cut")
            try:
                item = arrived.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if item is not None:
                left -= 1
                yield item
            elif _all_done(running) and arrived.empty():
                raise AssertionError(f"{left} cut requests were not answered")


def _all_done(running: list[Future[None]]) -> bool:
    """Whether all scenes are done; raises the error of the first that failed."""
    for future in running:
        if future.done() and not future.cancelled():
            future.result()
    return all(future.done() for future in running)
