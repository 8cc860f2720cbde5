"""A day's run in a bucket that is killed at any moment, and then run again; the form for a folder is `test_kill`."""

import io
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from s2chips_core import layout
from s2chips_core.sandbox.server import Served
from s2chips_core.storage import Storage
from s2chips_dagster.run_config import KEY_VARIABLE
from s2chips_dagster.runs import Runs
from tests.datasets import Datasets, copy, everything, locks_of
from tests.flow.bucket_day_process import LEASE_S, BucketDayProcesses
from tests.flow.conftest import MakeRuns
from tests.flow.test_kill import NOW, Watcher, check_whole, same, with_killed_capture, work
from tests.reliability import often
from tests.storage.s3_servers import KEYS, S3Server

KILLS = often(0, 6)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork, and no kill -9, on this system"),
    pytest.mark.timeout(1800),
    pytest.mark.skipif(KILLS == 0, reason="takes minutes: only with S2CHIPS_RELIABILITY"),
]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, KEY_VARIABLE: "not needed: all was heard before"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["moto", "rclone"])
def buckets(request: pytest.FixtureRequest) -> Datasets:
    """On a service that keeps to conditions of writes, and on one that does not."""
    server: S3Server = request.getfixturevalue(request.param)
    return Datasets(request.param, server)


@pytest.fixture
def processes(make_runs: MakeRuns, tmp_path: Path) -> Iterator[BucketDayProcesses]:
    """With the environment of `make_runs`."""
    started = BucketDayProcesses(tmp_path / "messages.txt")
    yield started
    started.close()


@pytest.fixture
def start(buckets: Datasets, demo_archive: Served, make_runs: MakeRuns, tmp_path: Path) -> Runs:
    """A day with chips of a capture, and the journal of another one that was killed."""
    runs = make_runs(
        demo_archive, now=NOW, name="start", ais={"source": "aisstream"}, storage=buckets.settings(tmp_path / "start")
    )
    return with_killed_capture(runs)


class BucketWatcher(Watcher):
    """A reader that has the index in one request: one of several says so when the index was replaced in between."""

    def _named(self) -> list[str]:
        data = self.storage.get(layout.tiles_index())
        return list(pq.read_table(io.BytesIO(data), columns=["path"])["path"].to_pylist())


def config_for(start: Runs, buckets: Datasets, name: str) -> tuple[Path, Storage]:
    """A configuration like that of `start` with a copy of its dataset."""
    file = Path(start.workspace.config_file)
    tree, other = yaml.safe_load(file.read_text()), file.with_name(f"{name}.yaml")
    tree["storage"] |= buckets.settings(other.with_suffix(""))
    other.write_text(yaml.safe_dump(tree))
    return other, copy(start.storage, buckets.at(other.with_suffix("")))


def test_a_day_in_a_bucket_that_is_killed_at_any_moment_and_run_again(
    start: Runs, buckets: Datasets, processes: BucketDayProcesses
) -> None:
    kills, chance = KILLS, random.Random(616)
    config, whole = config_for(start, buckets, "whole")
    length_s = processes.run(work(config))
    expected, locks = everything(whole), set(locks_of(whole))
    assert any(key.startswith("trash/") for key in expected)
    assert any(key.startswith("ais/journal") for key in everything(start.storage))

    killed = 0
    for number in range(kills):
        config, storage = config_for(start, buckets, f"killed-{number}")
        watcher = BucketWatcher(storage)
        died = processes.kill_after(length_s * (number + chance.random()) / kills, work(config))
        killed += died
        if died and buckets.kind == "moto":
            time.sleep(LEASE_S)  # until then the locks that it held are nobody else's, and its journal is left alone
        processes.run(work(config))
        problems = watcher.end()
        assert watcher.looks > 0
        assert problems == [], problems[:3]
        assert same(everything(storage), expected) == []
        assert set(locks_of(storage)) <= locks
        check_whole(storage)
    print(f"{buckets.kind}: {killed} of {kills} killed in the middle; undisturbed {length_s:.1f} s")
    assert killed >= kills // 2, "others on the machine may have made the first run slow, and the ones after it quick"
