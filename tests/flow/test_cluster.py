"""A day on a Dask cluster is the day on this machine, byte for byte; what dies there loses nothing."""

import contextlib
import dataclasses
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from s2chips_core.chips import cluster
from s2chips_core.chips.chip import CutRequest
from s2chips_core.chips.cluster import run_task, split_groups
from s2chips_core.errors import ClusterError
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served
from s2chips_core.scenes.radiometry import decide_boa_offset
from tests.chips.scenes import make_settings
from tests.flow.conftest import MakeRuns, files_of
from tests.flow.dask_cluster import Cluster, serve_cluster
from tests.index.chips import scene_of

DAY, NOW = DEMO_DAYS[0], DEMO_NOW.isoformat()


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(cluster, "TASK_SHIPS", 4)  # so that there are tasks to lose
    with serve_cluster(tmp_path / "cluster", 2) as running:
        yield running


def when_reading(demo_archive: Served, act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as pixels are being read."""

    def watch() -> None:
        end = time.monotonic() + 120
        while demo_archive.counters.requests["data"] < 30 and time.monotonic() < end:
            time.sleep(0.005)
        act()

    demo_archive.counters.reset()
    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(10)


@pytest.mark.usefixtures("datasets")
def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    demo_archive: Served, make_runs: MakeRuns, workers: Cluster, day_here: dict[str, bytes]
) -> None:
    runs = make_runs(demo_archive, now=NOW, compute={"dask_scheduler": workers.address})
    read_before = 0

    def act() -> None:
        nonlocal read_before
        kill(workers.workers[0])
        read_before = demo_archive.counters.requests["data"]

    killer = when_reading(demo_archive, act)
    assert runs.run_day(DAY, {})
    killer.join()
    assert workers.workers[0].poll() is not None
    assert demo_archive.counters.requests["data"] > read_before + 30, "there was work left for the other one"
    assert files_of(runs.storage) == day_here


@pytest.mark.usefixtures("datasets")
def test_a_scheduler_that_is_lost_fails_the_run_and_the_next_one_ends_it(
    demo_archive: Served, make_runs: MakeRuns, workers: Cluster, day_here: dict[str, bytes]
) -> None:
    runs = make_runs(demo_archive, now=NOW, compute={"dask_scheduler": workers.address})
    killer = when_reading(demo_archive, lambda: kill(workers.scheduler))
    assert not runs.run_day(DAY, {})
    killer.join()
    assert runs.storage.list("chips") == []
    again = make_runs(demo_archive, now=NOW)
    assert again.run_day(DAY, {})
    assert files_of(again.storage) == day_here


def test_a_cluster_that_shrinks_to_nothing_is_waited_for_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="s2chips_core")
    tasks = [(scene_of(), list[CutRequest]())] * 3
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(serve_cluster(tmp_path / "cluster", 1))
        work = stack.enter_context(contextlib.closing(cluster._Work(running.address, make_settings(), None)))
        kill(running.workers[0])

        def grow() -> None:
            end = time.monotonic() + 60
            while "has no worker any more" not in caplog.text and time.monotonic() < end:
                time.sleep(0.05)
            running.add_worker()

        growing = threading.Thread(target=grow)
        growing.start()
        assert [result.problem for result in work.run(iter(tasks))] == [None] * 3
        growing.join()
        assert "has no worker any more" in caplog.text
        kill(running.workers[1])
        monkeypatch.setattr(cluster, "WORKERS_MOST_S", 1.0)
        with pytest.raises(ClusterError, match=r"has had no worker for 1 s, with 2 tasks on it"):
            list(work.run(iter(tasks)))


def test_no_cluster_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_MOST_S", 1.0)
    settings = make_settings().override({"compute": {"dask_scheduler": "tcp://127.0.0.1:9"}})
    with pytest.raises(ClusterError, match=r"Dask cluster tcp://127.0.0.1:9: cannot be reached"):
        list(cluster.cut_scenes_on_cluster([], settings=settings, fetcher=None))  # type: ignore[arg-type]


def test_a_worker_of_another_version_reads_nothing() -> None:
    result = run_task(make_settings().model_dump_json(), scene_of().to_json(), [], "0.0.1", "a run")
    assert result.problem is not None
    assert "the run has 0.0.1" in result.problem
    assert socket.gethostname() in result.problem
    assert result.results == []


def test_what_a_worker_learned_of_hosts_ends_with_the_run() -> None:
    """A host that is given up is so for one run: workers live longer."""
    settings = make_settings().model_dump_json()
    fetchers = [cluster._door(settings, run)[1] for run in ("one", "one", "another")]
    assert fetchers[0] is fetchers[1]
    assert fetchers[0] is not fetchers[2]


def test_a_worker_without_the_keys_of_cdse_says_which_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDSE_ACCESS_KEY_ID", "CDSE_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    scene = dataclasses.replace(scene_of(), provider="cdse")
    result = run_task(make_settings().model_dump_json(), scene.to_json(), requests_of(2), version("s2chips"), "a run")
    assert result.problem is not None
    assert f"the worker on {socket.gethostname()} has no CDSE_ACCESS_KEY_ID and CDSE_SECRET_ACCESS_KEY" in result.problem


def requests_of(count: int) -> list[CutRequest]:
    return [
        CutRequest(target_id=f"{n}", mmsi=n, lat=36 + n % 7 / 10, lon=-5.0 - n / 1000, chip_id=f"{n:016x}")
        for n in range(count)
    ]


def test_large_scenes_are_shared_out_and_no_ship_is_lost() -> None:
    scene = scene_of()
    tasks = list(split_groups([(scene, requests_of(150)), (scene, requests_of(3))]))
    assert [len(requests) for _, requests in tasks] == [64, 64, 22, 3]
    assert {r.target_id for _, requests in tasks[:3] for r in requests} == {f"{n}" for n in range(150)}


def test_a_scene_whose_offset_its_pixels_decide_is_not_shared_out() -> None:
    scene = dataclasses.replace(scene_of(), processing_baseline=None)
    assert decide_boa_offset(scene).needs_pixels
    assert [len(requests) for _, requests in split_groups([(scene, requests_of(150))])] == [150]
