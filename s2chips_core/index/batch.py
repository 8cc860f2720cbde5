"""A batch of chips to cut: all its scenes at once, each chip written as soon as it is cut.

Here: the threads. Not here: what is written where (`day_run`), reading pixels (`chips.cutting`). Results arrive in the order
in which they are ready; nothing that is stored may depend on it.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from s2chips_core.chips.chip import Chip, CutRequest, Refusal
from s2chips_core.chips.engine import Opened
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.chips.scene_cut import chip_bytes
from s2chips_core.config import Settings
from s2chips_core.errors import CancelledRunError
from s2chips_core.fetch import Fetcher
from s2chips_core.scenes.scene import Scene

WRITERS = 4
LOOK_S = 0.5
"""How often the caller's wish to stop is looked at while nothing arrives, seconds."""


class Cut(Protocol):
    """`chips.cutting.cut_scenes`, or what stands in for it: answers every request exactly once."""

    def __call__(
        self,
        groups: Sequence[tuple[Scene, Sequence[CutRequest]]],
        *,
        settings: Settings,
        fetcher: Fetcher,
        stop: threading.Event | None,
        memory: MemoryBudget | None,
        opened: Opened | None,
    ) -> Iterator[Chip | Refusal]: ...


def cut_batch(
    groups: Sequence[tuple[Scene, Sequence[CutRequest]]],
    *,
    cut: Cut,
    write: Callable[[Chip], Any],
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None,
    opened: Opened | None = None,
) -> Generator[tuple[CutRequest, Any], None, None]:
    """Cut all requests; yields each with its Refusal, or with what `write` returned for its Chip.

    Writers that are slower than readers hold these up: chips that wait to be written count as the readers' memory.

    Args:
        groups: scenes with their requests.
        cut: reads the chips of scenes.
        write: called on a thread of its own pool for every chip.
        settings: handed to `cut`.
        fetcher: handed to `cut`.
        stop: set by the caller to give up.
        opened: handed to `cut`.

    Raises:
        CancelledRunError: `stop` was set before all was done.
        S2ChipsError: what `cut` or `write` raised; the other threads are stopped and waited for.
    """
    halt = threading.Event()
    arrived: queue.SimpleQueue[tuple[CutRequest, Any] | BaseException | int] = queue.SimpleQueue()
    memory = MemoryBudget(settings.compute.memory_mb * 1024 * 1024)
    size = chip_bytes(settings)

    def write_one(chip: Chip) -> None:
        try:
            if not halt.is_set():
                arrived.put((chip.request, write(chip)))
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            arrived.put(error)
        finally:
            memory.leave(size)

    def read(writers: ThreadPoolExecutor) -> None:
        try:
            results = 0
            cuts = cut(groups, settings=settings, fetcher=fetcher, stop=halt, memory=memory, opened=opened)
            for result in cuts:
                if halt.is_set():
                    break
                results += 1
                if isinstance(result, Refusal):
                    arrived.put((result.request, result))
                else:
                    writers.submit(write_one, result)
            arrived.put(results)
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            arrived.put(error)

    left = sum(len(requests) for _, requests in groups)
    expected, results = None, 0
    with contextlib.ExitStack() as stack:
        writers = stack.enter_context(ThreadPoolExecutor(WRITERS, "s2chips-write"))
        reader = stack.enter_context(ThreadPoolExecutor(1, "s2chips-read"))
        # Set before the pools are waited for, whatever ends this block: KeyboardInterrupt and a closed generator too.
        stack.callback(halt.set)
        reader.submit(read, writers)
        while left:
            if stop is not None and stop.is_set():
                raise CancelledRunError(f"stopped with {left} chips still to cut")
            try:
                item = arrived.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, int):
                expected = item
            else:
                results, left = results + 1, left - 1
                yield item
            if left and results == expected:
                raise AssertionError(f"{left} cut requests were not answered")
