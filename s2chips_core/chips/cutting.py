"""Cut the chips of scenes: all scenes of a day through one engine.

Here: which scene gets on when, and the results. Not here: the steps of one scene (`scene_cut`), the threads (`engine`), what
is written (`artefacts`).

Several scenes are in progress, so that the small first steps of one (directories, SCL) hide behind the pixels of another.
Their bands are read piece by piece, of one scene after the other: only one has blocks that wait for its later pieces.
"""

import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from s2chips_core.chips.chip import Chip, CutRequest, Refusal
from s2chips_core.chips.engine import Engine, Opened
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.chips.scene_cut import Piece, SceneCut, chip_bytes, needed_bands
from s2chips_core.config import Settings
from s2chips_core.fetch import Fetcher
from s2chips_core.scenes.radiometry import OffsetDecision
from s2chips_core.scenes.scene import Scene

__all__ = ["Chip", "CutRequest", "Groups", "Refusal", "cut_scene", "cut_scenes", "needed_bands"]

log = logging.getLogger(__name__)

SCENES_AHEAD = 32
"""Scenes whose first steps are done before their turn comes."""
PIECES_AT_ONCE = 8
"""Pieces are of such a size that so many fit into the memory."""
_LOOK_UP_S = 0.2

Groups = Iterable[tuple[Scene, Sequence[CutRequest]]]
"""Scenes, each with its ships."""


def cut_scene(
    scene: Scene,
    requests: Sequence[CutRequest],
    *,
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None = None,
    offset: OffsetDecision | None = None,
) -> Iterator[Chip | Refusal]:
    """Cut the chips of one scene: `cut_scenes` with one group.

    Args:
        scene: where the pixels are.
        requests: ships in this scene.
        settings, fetcher, stop: as for `cut_scenes`.
        offset: the scene's radiometric offset, where it was decided before; none: it is decided here.
    """
    return _cut([(scene, requests)], settings, fetcher, stop, offset, None, None)


def cut_scenes(
    groups: Groups,
    *,
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None = None,
    memory: MemoryBudget | None = None,
    opened: Opened | None = None,
) -> Iterator[Chip | Refusal]:
    """Cut the chips of scenes, each as soon as its last band is there.

    Args:
        groups: taken one by one as the work goes on.
        settings: `tiling`, `masks`, `gate` and `compute` are looked at.
        fetcher: the HTTP door.
        stop: when it is set the iterator ends soon, without the requests that are left.
        memory: an account that whoever calls looks after: it calls `leave(chip_bytes(settings))` when it needs a chip no
            longer. None: the bytes of a chip are given back when the next one is asked for.
        opened: told of every file that is read, and whether by `cog` or by `gdal`; on any thread.

    Yields:
        A Chip or a Refusal for every request, exactly once, in no particular order. What cannot be read refuses the ships
        it concerns; nothing is raised for it.
    """
    return _cut(groups, settings, fetcher, stop, None, memory, opened)


def _cut(
    groups: Groups,
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None,
    offset: OffsetDecision | None,
    lent: MemoryBudget | None,
    opened: Opened | None,
) -> Generator[Chip | Refusal, None, None]:
    memory = lent or MemoryBudget(settings.compute.memory_mb * 1024 * 1024)
    network = ThreadPoolExecutor(settings.compute.workers, "cut-network")
    processor = ThreadPoolExecutor(os.cpu_count() or 1, "cut-processor")
    arrived: queue.SimpleQueue[Chip | Refusal | BaseException | None] = queue.SimpleQueue()
    engine = Engine(
        fetcher,
        network=network,
        processor=processor,
        memory=memory,
        failed=arrived.put,
        opened=opened,
        whole_blocks=settings.compute.whole_blocks,
    )
    turns = _Turns(engine, memory.total_bytes // PIECES_AT_ONCE, lambda: arrived.put(None))
    coming = iter(groups)
    left, all_begun = 0, False
    try:
        while True:
            if stop is not None and stop.is_set():
                log.info("cutting was stopped with %d chips of the scenes in progress still to cut", left)
                return
            while not all_begun and turns.ahead < SCENES_AHEAD:
                group = next(coming, None)
                if group is None:
                    all_begun = True
                elif group[1]:
                    left += len(group[1])
                    turns.begin(*group, settings=settings, offset=offset, answer=arrived.put)
            if all_begun and not left:
                return
            try:
                result = arrived.get(timeout=_LOOK_UP_S)
            except queue.Empty:
                if engine.idle and not memory.waiting and arrived.empty():
                    raise AssertionError(f"{left} cut requests were not answered") from None
                continue
            if isinstance(result, BaseException):
                raise result
            if result is None:
                continue
            left -= 1
            yield result
            if lent is None and isinstance(result, Chip):
                memory.leave(chip_bytes(settings))
    finally:
        # Nobody waits here for a request that is in flight: the fetcher ends it.
        engine.close()
        network.shutdown(wait=False, cancel_futures=True)
        processor.shutdown(wait=False, cancel_futures=True)


class _Turns:
    """Lets the pieces of one scene after the other in, as memory allows."""

    def __init__(self, engine: Engine, piece_bytes: int, wake: Callable[[], None]) -> None:
        """Args:
        engine: runs the scenes.
        piece_bytes: size of a piece.
        wake: called when another scene may begin.
        """
        self._engine, self._piece_bytes, self._wake = engine, piece_bytes, wake
        self._lock = threading.Lock()
        self._ready: deque[SceneCut] = deque()
        self._busy = False
        self._begun = 0

    @property
    def ahead(self) -> int:
        """Scenes that have begun and have pieces to come."""
        return self._begun

    def begin(
        self,
        scene: Scene,
        requests: Sequence[CutRequest],
        *,
        settings: Settings,
        offset: OffsetDecision | None,
        answer: Callable[[Chip | Refusal], None],
    ) -> None:
        """Begin with a scene."""
        with self._lock:
            self._begun += 1
        cut = SceneCut(
            scene,
            requests,
            settings=settings,
            offset=offset,
            engine=self._engine,
            answer=answer,
            ready=self._wait_for_turn,
            over=self._over,
        )
        self._engine.compute(cut.begin)

    def _wait_for_turn(self, scene: SceneCut) -> None:
        with self._lock:
            self._ready.append(scene)
            idle, self._busy = not self._busy, True
        if idle:
            self._engine.compute(self._next)

    def _over(self) -> None:
        with self._lock:
            self._begun -= 1
        self._wake()

    def _next(self) -> None:
        """Ask for the memory of the next piece; there is one that asks at any time."""
        with self._lock:
            if not self._ready:
                self._busy = False
                return
            scene = self._ready[0]
        piece = scene.next_piece(self._piece_bytes)
        if piece.next != "more":
            with self._lock:
                self._ready.popleft()
        self._engine.memory.reserve(piece.size, lambda: self._engine.compute(self._let_in, scene, piece))

    def _let_in(self, scene: SceneCut, piece: Piece) -> None:
        self._engine.compute(self._next)
        if piece.next == "none":
            self._over()
        scene.cut(piece)
