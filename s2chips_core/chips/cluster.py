"""Cut the chips of scenes on a Dask cluster: `cutting.cut_scenes`, with the reading done by workers on other machines.

Here: which scenes go to the cluster, and what comes back. Not here: how a chip is cut (`cutting`: the same code on a worker
as on this machine, so that the pixels are the same), writing (whoever asked writes: workers need the archive, and nothing
of the dataset). A worker that dies costs the scenes it had in hand, which Dask gives to another one; a cluster that is lost
is a ClusterError, and the run that had it can be run again.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from s2chips_core.chips.chip import Chip, CutRequest, Refusal
from s2chips_core.chips.cutting import Groups, cut_scenes
from s2chips_core.chips.engine import Opened
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.chips.scene_cut import chip_bytes
from s2chips_core.config import Settings
from s2chips_core.errors import ClusterError
from s2chips_core.fetch import Fetcher, FetchStats
from s2chips_core.scenes.archives import open_fetcher
from s2chips_core.scenes.radiometry import decide_boa_offset
from s2chips_core.scenes.scene import Scene
from s2chips_core.signing import missing_keys

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

TASK_SHIPS = 64
"""Ships of one task: their chips, 96 MB of six bands, come back at once."""
TASKS_A_WORKER = 2
"""So many are given out ahead: one is read while the other is on its way."""
CONNECT_MOST_S = 30.0
WORKERS_MOST_S = 60.0
"""Longest wait for a worker, at the beginning and when all have gone."""
_LOOK_UP_S = 0.2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What a worker sends back."""

    results: list[Chip | Refusal]
    files: list[tuple[str, str]]
    """Href and reader of each file that was opened."""
    stats: FetchStats
    problem: str | None
    """Why there are no results."""


def cut_scenes_on_cluster(
    groups: Groups,
    *,
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None = None,
    memory: MemoryBudget | None = None,
    opened: Opened | None = None,
) -> Iterator[Chip | Refusal]:
    """Cut the chips of scenes on the cluster of `compute.dask_scheduler`; see `cutting.cut_scenes`.

    Args:
        groups: as there.
        settings: as there; `stac` too, because each worker opens its own door to the archive.
        fetcher: counts what the workers did.
        stop, memory, opened: as there.

    Raises:
        ClusterError: the cluster cannot be reached, has no worker, or was lost; or its workers have another version.
    """
    address = settings.compute.dask_scheduler
    assert address is not None, "compute.dask_scheduler is not set"
    budget = memory or MemoryBudget(settings.compute.memory_mb * 1024 * 1024)
    size = chip_bytes(settings)
    with contextlib.closing(_Work(address, settings, stop)) as work:
        for task in work.run(split_groups(groups)):
            fetcher.count(task.stats)
            for href, reader in task.files if opened is not None else []:
                opened(href, reader)  # type: ignore[misc] # mypy does not see the condition
            for result in task.results:
                if isinstance(result, Chip) and not _reserve(budget, size, stop):
                    return
                yield result
                if memory is None and isinstance(result, Chip):
                    budget.leave(size)


def split_groups(groups: Groups) -> Iterator[tuple[Scene, list[CutRequest]]]:
    """Tasks of at most TASK_SHIPS ships of one scene, neighbours together.

    A scene whose radiometric offset the pixels of its first ships decide stays whole: what is decided must not depend on how
    it is shared out.
    """
    for scene, requests in groups:
        ordered = sorted(requests, key=lambda r: (round(r.lat, 1), r.lon, r.chip_id))
        whole = decide_boa_offset(scene).boa_offset_dn is None
        step = max(1, len(ordered)) if whole else TASK_SHIPS
        for first in range(0, len(ordered), step):
            yield scene, ordered[first : first + step]


def run_task(
    settings_json: str, scene_json: str, requests: Sequence[CutRequest], expected_version: str, run: str
) -> TaskResult:
    """One task of a run, on a worker."""
    own = version("s2chips")
    nothing = FetchStats(requests=0, bytes=0, retries=0)
    if own != expected_version:
        problem = f"the worker on {socket.gethostname()} has s2chips {own}, the run has {expected_version}"
        return TaskResult(results=[], files=[], stats=nothing, problem=problem)
    scene = Scene.from_json(scene_json)
    missing = missing_keys(os.environ) if scene.provider == "cdse" else []
    if missing:  # else each ship would be a read_error that does not say where the keys are missing
        problem = (
            f"the worker on {socket.gethostname()} has no {' and '.join(missing)} in its environment: cdse needs S3 keys"
        )
        return TaskResult(results=[], files=[], stats=nothing, problem=problem)
    settings, fetcher = _door(settings_json, run)
    files: dict[str, str] = {}
    before = fetcher.stats()
    try:
        cut = cut_scenes([(scene, requests)], settings=settings, fetcher=fetcher, opened=files.__setitem__)
        results = list(cut)
    except Exception as error:  # noqa: BLE001 - errors of ours cannot be sent, and nothing may be lost on the way
        return TaskResult(results=[], files=[], stats=nothing, problem=f"the worker on {socket.gethostname()}: {error}")
    return TaskResult(results=results, files=list(files.items()), stats=fetcher.stats() - before, problem=None)


@functools.lru_cache(maxsize=2)
def _door(settings_json: str, run: str) -> tuple[Settings, Fetcher]:
    """Kept from task to task of a run, with its connections and what it has learned of the hosts.

    Of one run and no longer: a host that did not answer is given up for that run, and the next one asks it again.
    """
    settings = Settings.model_validate_json(settings_json)
    return settings, open_fetcher(settings.stac, connections=settings.compute.workers)


class _Work:
    """The tasks of one run on the cluster."""

    def __init__(self, address: str, settings: Settings, stop: threading.Event | None) -> None:
        self._address, self._settings_json, self._stop = address, settings.model_dump_json(), stop
        self._run = uuid.uuid4().hex
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._running: dict[str, Future] = {}
        self._alone_since: float | None = None
        """When the last worker was found to have gone."""
        self._client = self._connect()

    def run(self, tasks: Iterator[tuple[Scene, list[CutRequest]]]) -> Iterator[TaskResult]:
        """Results in the order in which they are ready; ends early when `stop` is set."""
        more = True
        while not self._stopped():
            while more and len(self._running) < self._ahead():
                task = next(tasks, None)
                if task is None:
                    more = False
                else:
                    self._submit(*task)
            if not self._running:
                return
            try:
                future = self._done.get(timeout=_LOOK_UP_S)
            except queue.Empty:
                if self._client.status != "running":
                    raise self._lost("the connection to its scheduler ended") from None
                self._look_for_workers()
                continue
            yield self._result(self._running.pop(future.key))

    def close(self) -> None:
        """Give up what has not come back; nobody waits for a cluster that is lost."""
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._running.values()), force=True)
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)

    def _connect(self) -> "Client":
        try:
            from distributed import Client
        except ImportError as error:
            raise ClusterError(self._address, "needs the package distributed: pip install 's2chips[dask]'") from error
        try:
            client = Client(self._address, timeout=CONNECT_MOST_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(self._address, f"cannot be reached: {type(error).__name__}: {error}") from error
        try:
            client.wait_for_workers(1, timeout=WORKERS_MOST_S)
        except TimeoutError as error:
            client.close()
            raise ClusterError(self._address, f"has had no worker for {WORKERS_MOST_S:g} s") from error
        log.info("cutting on the cluster %s: %d workers", self._address, len(client.nthreads()))
        return client

    def _submit(self, scene: Scene, requests: list[CutRequest]) -> None:
        future = self._client.submit(
            run_task,
            self._settings_json,
            scene.to_json(),
            requests,
            version("s2chips"),
            self._run,
            key=f"cut-{scene.scene_id}-{uuid.uuid4().hex}",
            pure=False,
        )
        self._running[future.key] = future
        future.add_done_callback(self._done.put)

    def _result(self, future: "Future") -> TaskResult:
        try:
            result: TaskResult = future.result(timeout=CONNECT_MOST_S)
        except Exception as error:  # Dask's own, of many kinds: cancelled, killed worker, lost connection, time-out
            raise self._lost(f"{type(error).__name__}: {error}") from error
        finally:
            future.release()
        if result.problem is not None:
            raise ClusterError(self._address, result.problem)
        return result

    def _lost(self, problem: str) -> ClusterError:
        return ClusterError(self._address, f"{problem}, with {len(self._running)} tasks on it; run the day again")

    def _ahead(self) -> int:
        return TASKS_A_WORKER * max(1, sum(self._threads().values()))

    def _threads(self) -> dict[str, int]:
        try:
            found: dict[str, int] = self._client.nthreads()
        except Exception as error:  # as above
            raise self._lost(f"{type(error).__name__}: {error}") from error
        return found

    def _look_for_workers(self) -> None:
        """Dask itself waits for ever."""
        now = time.monotonic()
        if self._threads():
            if self._alone_since is not None:
                log.info("the cluster %s has workers again", self._address)
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            log.warning("the cluster %s has no worker any more: waiting %g s for one", self._address, WORKERS_MOST_S)
        elif now - self._alone_since >= WORKERS_MOST_S:
            raise self._lost(f"has had no worker for {WORKERS_MOST_S:g} s")

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()


def _reserve(budget: MemoryBudget, size: int, stop: threading.Event | None) -> bool:
    """Wait until a chip has room; whether the caller still wants it."""
    let_in: Any = threading.Event()
    budget.reserve(size, let_in.set)
    while not let_in.wait(_LOOK_UP_S):
        if stop is not None and stop.is_set():
            return False
    return True
