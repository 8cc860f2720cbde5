"""Dagster's own storage on a real PostgreSQL server: deploy/dagster-postgres.yaml."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_dagster.runs import HOME_VARIABLE, Runs
from tests.dagster.conftest import MakeDataset
from tests.dagster.postgres_server import PASSWORD, PostgresServer, serve_postgres

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "deploy" / "dagster-postgres.yaml"
FEW = {"scene_matches": {"limits": {"max_ships": 12}}}
NOW = DEMO_NOW.isoformat()

RUN_DAY = """
import sys
from datetime import date
from pathlib import Path
from s2chips_dagster.runs import Runs
done = Runs(Path(sys.argv[1]), now=sys.argv[2]).run_day(
    date.fromisoformat(sys.argv[3]), {"scene_matches": {"limits": {"max_ships": 12}}}
)
sys.exit(0 if done else 1)
"""


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    with serve_postgres() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dagster"
    folder.mkdir()
    shutil.copyfile(FILE, folder / "dagster.yaml")
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    return folder


def test_all_but_the_storage_is_as_on_one_machine() -> None:
    here, there = (yaml.safe_load(path.read_text()) for path in (REPOSITORY / "dagster.yaml", FILE))
    storage = there.pop("storage")
    assert there == here
    assert PASSWORD not in FILE.read_text()
    [[kind, database]] = storage["postgres"].items()
    values = {name: value for name, value in database.items() if name != "scheme"}
    assert kind == "postgres_db"
    assert {*values} == {"hostname", "port", "db_name", "username", "password"}
    assert all({*value} == {"env"} for value in values.values()), "from the environment"


def test_two_processes_write_two_days_at_once(postgres: PostgresServer, home: Path, make_dataset: MakeDataset) -> None:
    config = make_dataset().config
    other = subprocess.Popen(
        [sys.executable, "-c", RUN_DAY, str(config), NOW, DEMO_DAYS[0].isoformat()],
        cwd=REPOSITORY,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    runs = Runs(config, now=NOW)  # both find an empty database, and make its tables
    assert runs.run_day(DEMO_DAYS[1], FEW)
    said, _ = other.communicate(timeout=120)
    assert other.returncode == 0, said
    assert runs.index()

    days = {day.isoformat() for day in DEMO_DAYS[:2]}
    found = postgres.ask("select run_id, pipeline_name, status, partition from runs")
    assert len(found) == 3
    assert {(job, status, day) for _, job, status, day in found} == {
        ("index_tiles", "SUCCESS", None),
        *(("run_day", "SUCCESS", day) for day in days),
    }
    [[spans]] = postgres.ask("select max(start_time) < min(end_time) from runs where pipeline_name = 'run_day'")
    assert spans, "the two runs were at the same time"
    ids = {run for run, *_ in found}
    assert {run for [run] in postgres.ask("select distinct run_id from event_logs where run_id <> ''")} == ids
    made = postgres.ask("select asset_key, partition from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'")
    for day in days:
        assert {'["chips"]', '["scene_matches"]', '["daily_report"]'} <= {asset for asset, of in made if of == day}

    with dg.DagsterInstance.get() as instance:
        assert {run.run_id for run in instance.get_runs()} == ids
        assert instance.get_materialized_partitions(dg.AssetKey("chips")) == days
    index = tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert len(index) == len(set(index["chip_id"])) > 0

    assert not [path for path in home.rglob("*") if path.suffix == ".db" or "sqlite" in path.name.lower()]
    assert not (home / "history").exists()
    assert not (home / "schedules").exists()
    for path in home.rglob("*"):
        assert path.is_dir() or PASSWORD not in path.read_text(errors="replace"), path
