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
from s2chips_core.sandbox.server import Served
from tests.flow.conftest import MakeRuns, files_of
from tests.reliability import often
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


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["moto", *often(0, 1) * ["rclone"]])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Server]:
    with serve_rclone(tmp_path / "s3") if request.param == "rclone" else serve_moto() as serving:
        yield serving


def storage_of(server: S3Server) -> dict[str, str]:
    return {"dataset_root": server.root(), "s3_endpoint": server.endpoint, "s3_locks": server.locks}


def test_a_day_in_a_bucket_is_the_day_in_a_folder(
    server: S3Server, demo_archive: Served, make_runs: MakeRuns, day_here: dict[str, bytes]
) -> None:
    runs = make_runs(demo_archive, now=NOW, storage=storage_of(server))
    assert runs.run_day(DEMO_DAYS[0], {})
    assert runs.index()
    found = files_of(runs.storage)
    assert sorted(found) == sorted(day_here)
    assert [key for key in found if found[key] != day_here[key]] == []
    index = tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert set(index["path"]) <= set(found)
    assert len(runs.storage.list("reports")) > 1


def test_two_machines_that_write_two_days_at_once_lose_nothing(
    demo_archive: Served, make_runs: MakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_moto() as server:
        first = make_runs(demo_archive, now=NOW, name="first", storage=storage_of(server))
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
