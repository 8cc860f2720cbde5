"""Dagster's own storage on a real PostgreSQL server: deploy/dagster-postgres.yaml."""

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy.exc
import yaml

from s2chips_core import layout, tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_dagster.runs import HOME_VARIABLE, Runs
from tests.dagster.conftest import MakeDataset, files_of
from tests.dagster.postgres_server import PASSWORD, PostgresServer
from tests.reliability import often

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "deploy" / "dagster-postgres.yaml"
SMALL: dict[str, dict[str, object]] = {
    "satellite_tracking": {"tiles": ["30STE"]},
    "masks": {"persist": False},
    "tiling": {"include_swir": False},
    "limits": {"max_ships": 8},
}
RESTARTS = 10
NOW = DEMO_NOW.isoformat()

RUN_DAY = """
import sys
import threading
import time
from datetime import date
from pathlib import Path
from s2chips_dagster.runs import Runs
runs = Runs(Path(sys.argv[1]), now=sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
done = runs.run_day(date.fromisoformat(sys.argv[3]), {})
sys.exit(0 if done else 1)
"""


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


def test_two_processes_write_two_days_at_once(
    postgres: PostgresServer, home: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    config = make_dataset(**SMALL).config
    log = tmp_path / "other.log"
    with log.open("w") as said:
        other = subprocess.Popen(
            [sys.executable, "-c", RUN_DAY, str(config), NOW, DEMO_DAYS[0].isoformat()],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    assert other.stdin is not None
    assert other.stdout is not None
    runs = Runs(config, now=NOW)
    ready = other.stdout.readline()
    assert ready == "ready\n", log.read_text()
    other.stdin.write("go\n")
    other.stdin.flush()
    assert runs.run_day(DEMO_DAYS[1], {})  # both find an empty database, and make its tables
    other.communicate(timeout=120)
    assert other.returncode == 0, log.read_text()

    days = {day.isoformat() for day in DEMO_DAYS[:2]}
    found = postgres.ask("select run_id, pipeline_name, status, partition from runs")
    assert sorted((job, status, day) for _, job, status, day in found) == sorted(("run_day", "SUCCESS", day) for day in days)
    [[spans]] = postgres.ask("select max(start_time) < min(end_time) from runs")
    assert spans, "the two runs were at the same time"
    ids = {run for run, *_ in found}
    assert {run for [run] in postgres.ask("select distinct run_id from event_logs where run_id <> ''")} == ids
    made = postgres.ask("select asset_key, partition from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'")
    for day in days:
        assert {'["chips"]', '["scene_matches"]', '["daily_report"]'} <= {asset for asset, of in made if of == day}

    with dg.DagsterInstance.get() as instance:
        assert {run.run_id for run in instance.get_runs()} == ids
        assert instance.get_materialized_partitions(dg.AssetKey("chips")) == days
    for day in DEMO_DAYS[:2]:
        assert len(tables.read_table(runs.storage, layout.outcomes(day), OUTCOME_SCHEMA)) > 0

    assert not [path for path in home.rglob("*") if path.suffix == ".db" or "sqlite" in path.name.lower()]
    assert not (home / "history").exists()
    assert not (home / "schedules").exists()
    for path in home.rglob("*"):
        assert path.is_dir() or PASSWORD not in path.read_text(errors="replace"), path


@pytest.mark.skipif(not often(0, 1), reason="each restart takes a day's run or two: with S2CHIPS_RELIABILITY=1")
def test_what_a_restarted_server_cut_off_is_made_whole_by_the_next_run(
    postgres: PostgresServer, home: Path, make_dataset: MakeDataset
) -> None:
    folders = ("chips", "matches", "outcomes", "indexes/parts")
    undisturbed = make_dataset("undisturbed", **SMALL)
    assert Runs(undisturbed.config, now=NOW).run_day(DEMO_DAYS[1], {})
    expected = files_of(undisturbed.storage, *folders)
    assert expected

    survived = 0
    for number in range(RESTARTS):
        made = make_dataset(f"restarted-{number}", **SMALL)
        runs = Runs(made.config, now=NOW)
        done = False
        with restarted(postgres, after_events=15 + 7 * number), contextlib.suppress(sqlalchemy.exc.OperationalError):
            done = runs.run_day(DEMO_DAYS[1], {})
        survived += done
        assert done or runs.run_day(DEMO_DAYS[1], {})
        assert files_of(made.storage, *folders) == expected
        with dg.DagsterInstance.get() as instance:
            assert instance.get_runs(limit=1)[0].status == dg.DagsterRunStatus.SUCCESS
    print(f"{survived} of {RESTARTS} runs went on by themselves")


@contextlib.contextmanager
def restarted(server: PostgresServer, *, after_events: int) -> Iterator[None]:
    """Stop the server for a second once so many events of the newest run are written."""
    [[earlier]] = server.ask("select count(*) from event_logs")
    over, stopped, problems = threading.Event(), threading.Event(), []

    def watch() -> None:
        try:
            while not over.wait(0.02):
                [[events]] = server.ask("select count(*) from event_logs")
                if events >= earlier + after_events:
                    server.stop()
                    stopped.set()
                    time.sleep(1)
                    return server.start()
        except Exception as error:  # noqa: BLE001
            problems.append(error)
        return None

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert stopped.is_set()
    assert not problems
