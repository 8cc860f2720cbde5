"""A day on a Dask cluster is the day on this machine, byte for byte; what dies there loses nothing."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from s2chips_core.chips import cluster
from s2chips_core.chips.chip import CutRequest
from s2chips_core.chips.cluster import run_task, split_groups
from s2chips_core.errors import ClusterError
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_dagster.runs import Runs
from tests.chips.scenes import make_settings
from tests.flow.conftest import MakeRuns
from tests.flow.dask_cluster import Cluster, serve_cluster
from tests.index.chips import scene_of

DAY, NOW = DEMO_DAYS[0], DEMO_NOW.isoformat()


@pytest.fixture
def archive(sandbox_archive: Path) -> Iterator[Served]:
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(cluster, "TASK_SHIPS", 4)  # so that there are tasks to lose
    with serve_cluster(tmp_path / "cluster", 2) as running:
        yield running


def files_of(runs: Runs) -> dict[str, bytes]:
    folders = ("chips", "matches", "outcomes", "indexes", "labels", "provenance")
    found = {key: runs.storage.get(key) for folder in folders for key in runs.storage.list(folder)}
    # It says when its parts were written.
    return {key: data for key, data in found.items() if key != "indexes/tiles.parquet"}


def when_reading(archive: Served, act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as pixels are being read."""

    def watch() -> None:
        end = time.monotonic() + 120
        while archive.counters.requests["data"] < 30 and time.monotonic() < end:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(10)


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    archive: Served, make_runs: MakeRuns, workers: Cluster
) -> None:
    here = make_runs(archive, now=NOW, name="here")
    assert here.run_day(DAY, {})
    archive.counters.reset()
    there = make_runs(archive, now=NOW, name="there", compute={"dask_scheduler": workers.address})
    killer = when_reading(archive, lambda: kill(workers.workers[0]))
    assert there.run_day(DAY, {})
    killer.join()
    assert workers.workers[0].poll() is not None
    assert files_of(there) == files_of(here)
    assert len(there.storage.list("chips")) > 20


def test_a_scheduler_that_is_lost_fails_the_run_and_the_next_one_ends_it(
    archive: Served, make_runs: MakeRuns, workers: Cluster
) -> None:
    there = make_runs(archive, now=NOW, name="there", compute={"dask_scheduler": workers.address})
    killer = when_reading(archive, lambda: kill(workers.scheduler))
    began = time.monotonic()
    assert not there.run_day(DAY, {})
    killer.join()
    assert time.monotonic() - began < 90
    assert there.storage.list("chips") == []
    again = make_runs(archive, now=NOW, name="there")
    assert again.run_day(DAY, {})
    here = make_runs(archive, now=NOW, name="here")
    assert here.run_day(DAY, {})
    assert files_of(again) == files_of(here)


def test_no_cluster_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_MOST_S", 1.0)
    settings = make_settings().override({"compute": {"dask_scheduler": "tcp://127.0.0.1:9"}})
    with pytest.raises(ClusterError, match=r"Dask cluster tcp://127.0.0.1:9: cannot be reached"):
        list(cluster.cut_scenes_on_cluster([], settings=settings, fetcher=None))  # type: ignore[arg-type]


def test_a_worker_of_another_version_reads_nothing() -> None:
    result = run_task(make_settings().model_dump_json(), scene_of(1).to_json(), [], "0.0.1")
    assert result.problem is not None
    assert "the run has 0.0.1" in result.problem
    assert result.results == []


def requests_of(count: int) -> list[CutRequest]:
    return [
        CutRequest(target_id=f"{n}", mmsi=n, lat=36 + n % 7 / 10, lon=-5.0 - n / 1000, chip_id=f"{n:016x}") for n in range(count)
    ]


def test_large_scenes_are_shared_out_and_no_ship_is_lost() -> None:
    scene = scene_of(1)
    tasks = list(split_groups([(scene, requests_of(150)), (scene, requests_of(3))]))
    assert [len(requests) for _, requests in tasks] == [64, 64, 22, 3]
    assert {r.target_id for _, requests in tasks[:3] for r in requests} == {f"{n}" for n in range(150)}
