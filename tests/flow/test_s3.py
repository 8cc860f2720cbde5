"""A day in a bucket is the day in a folder, byte for byte; and several machines may write it at once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_dagster.runs import Runs
from tests.flow.conftest import MakeRuns
from tests.storage.s3_servers import KEYS, S3Server, serve_moto, serve_rclone

NOW = DEMO_NOW.isoformat()

RUN_DAY = """
import sys
from pathlib import Path
from datetime import date
from s2chips_dagster.runs import Runs
runs = Runs(Path(sys.argv[1]), now=sys.argv[2])
done = runs.run_day(date.fromisoformat(sys.argv[3]), {})
sys.exit(0 if done and runs.index() else 1)
"""


@pytest.fixture(scope="module")
def archive(sandbox_archive: Path) -> Iterator[Served]:
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["rclone", "moto"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Server]:
    with serve_rclone(tmp_path / "s3") if request.param == "rclone" else serve_moto() as serving:
        yield serving


def storage_of(server: S3Server) -> dict[str, str]:
    return {"dataset_root": server.root(), "s3_endpoint": server.endpoint, "s3_locks": server.locks}


def files_of(runs: Runs) -> dict[str, bytes]:
    folders = ("plan", "ais", "chips", "matches", "outcomes", "indexes", "labels", "provenance")
    found = {key: runs.storage.get(key) for folder in folders for key in runs.storage.list(folder)}
    # These say when something was written.
    return {key: data for key, data in found.items() if key != layout.tiles_index() and not key.startswith("ais/captures")}


def test_a_day_in_a_bucket_is_the_day_in_a_folder(server: S3Server, archive: Served, make_runs: MakeRuns) -> None:
    here = make_runs(archive, now=NOW, name="here")
    there = make_runs(archive, now=NOW, name="there", storage=storage_of(server))
    for runs in (here, there):
        assert runs.run_day(DEMO_DAYS[0], {})
        assert runs.index()
    ours, theirs = files_of(here), files_of(there)
    assert sorted(theirs) == sorted(ours)
    assert [key for key in ours if ours[key] != theirs[key]] == []
    assert tables.read_table(there.storage, layout.tiles_index(), INDEX_SCHEMA).equals(
        tables.read_table(here.storage, layout.tiles_index(), INDEX_SCHEMA)
    )
    assert there.storage.list("reports") == here.storage.list("reports") != []


def test_two_machines_that_write_two_days_at_once_lose_nothing(
    archive: Served, make_runs: MakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_moto() as server:
        first = make_runs(archive, now=NOW, name="first", storage=storage_of(server))
        config = tmp_path / "first.yaml"
        processes = []
        for number, day in enumerate(DEMO_DAYS):
            home = tmp_path / f"home-{number}"
            home.mkdir()
            (home / "dagster.yaml").write_text((Path(__file__).parents[2] / "dagster.yaml").read_text())
            monkeypatch.setenv("DAGSTER_HOME", str(home))
            command = [sys.executable, "-c", RUN_DAY, str(config), NOW, day.isoformat()]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        assert [process.wait(300) for process in processes] == [0, 0]
        assert yaml.safe_load(config.read_text())["storage"]["dataset_root"].startswith("s3://")
        index = tables.read_table(first.storage, layout.tiles_index(), INDEX_SCHEMA)
        chips = {key for key in first.storage.list("chips") if key.endswith(".tif") and not key.endswith("_masks.tif")}
    assert set(index["path"]) == chips
    assert {moment.date() for moment in index["scene_datetime"]} == set(DEMO_DAYS)
