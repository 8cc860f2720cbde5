"""A backfill by several processes at once: the index is the union of the days, as if they had come one after another.

The days are those of a leap year's February and of a year's end, so that their keys and dates are tried as well.
"""

import copy
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.index.checks import check_day_files, check_labels
from s2chips_core.index.dataset_checks import check_all_files
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.storage import Storage
from tests.flow.conftest import REPOSITORY, MakeRuns
from tests.flow.dagster_processes import dagster_processes
from tests.flow.day_process import DayProcesses, Work, run_steps
from tests.reliability import often

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.timeout(often(300, 3600)),
]

SCENE, SCENE_DAY = "S2C_30STE_20251027_0_L2A", date(2025, 10, 27)
SHIPS = 6
YEAR_END = [date(2023, 12, 31), date(2024, 1, 1)]
LEAP_DAY = date(2024, 2, 29)
NOW = datetime(2024, 3, 20, 12, tzinfo=UTC)


SECTIONS: dict[str, Any] = {
    "satellite_tracking": {"tiles": ["30STE"], "backfill_days": 120},
    "ais": {"synthetic_ships_per_tile": SHIPS},
    "scheduling": {"first_day": "2023-12-01"},
    "gate": {"enabled": False},
}


def days() -> list[date]:
    """The leap day, those around it, and a year's end."""
    count = often(5, 30) - len(YEAR_END)
    first = LEAP_DAY - timedelta(days=count // 2)
    return [*YEAR_END, *(first + timedelta(days=n) for n in range(count))]


@pytest.fixture
def archive(sandbox_archive: Path, tmp_path: Path) -> Iterator[Served]:
    """The same scene on every day, over a sea whose ships are not on its pictures."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for source in (sandbox_archive / SCENE).rglob(
        "*"
    ):  # links to each: the server serves nothing from outside of its folder
        if source.is_file():
            target = folder / source.relative_to(sandbox_archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            link(source, target)
    text = (sandbox_archive / f"item-{SCENE}.json").read_text()
    hrefs = {name: asset["href"] for name, asset in json.loads(text)["assets"].items()}
    for day in days():
        item = json.loads(text.replace(f"{SCENE_DAY:%Y%m%d}", f"{day:%Y%m%d}").replace(f"{SCENE_DAY}", f"{day}"))
        for name, asset in item["assets"].items():
            asset["href"] = hrefs[name]
        (folder / f"item-{day}.json").write_text(json.dumps(item))
    with serve(folder) as served:
        yield served


def link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def backfill(config: Path, queue: "Iterator[tuple[date, bool]]", messages: Path, failures: list[BaseException]) -> None:
    """One command line: day after day until none is left."""
    processes = DayProcesses(messages)
    try:
        for day, dagster in queue:
            processes.run(work(config, day, dagster=dagster))
    except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
        failures.append(error)
    finally:
        processes.close()


def work(config: Path, day: date, *, dagster: bool) -> Work:
    return Work(config=str(config), now=NOW.isoformat(), day=day.isoformat(), chips={}, prune=None, dagster=dagster)


def test_a_backfill_of_several_at_once_is_the_union_of_its_days(
    archive: Served, make_runs: MakeRuns, tmp_path: Path
) -> None:
    sections = copy.deepcopy(SECTIONS)
    runs = make_runs(archive, now=NOW.isoformat(), name="backfill", **sections)
    config = Path(runs.workspace.config_file)
    # Two command lines without Dagster's own work and one with it; one day is wanted by two of them at the same time.
    by_dagster = set(days()[1 :: often(len(days()), 3)])
    quick = [(day, False) for day in days() if day not in by_dagster]
    queues = [
        iter([*quick[0::2], quick[-1]]),
        iter([*quick[1::2], quick[-1]]),
        iter([(day, True) for day in sorted(by_dagster)]),
    ]
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=backfill, args=(config, queue, tmp_path / f"messages-{number}.txt", failures))
        for number, queue in enumerate(queues)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []

    index = check_union(runs.storage)
    check_alone(archive, make_runs, runs.storage, index, sections)
    print(f"{len(days())} days by {len(queues)} at once, {len(index)} chips")


def check_union(storage: Storage) -> pd.DataFrame:
    """The index is the union of the days, and nothing else is there; returns it."""
    index = tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)
    assert not index["chip_id"].duplicated().any()
    assert index["scene_datetime"].is_monotonic_increasing
    outcomes = pd.concat([tables.read_table(storage, layout.outcomes(day), OUTCOME_SCHEMA) for day in days()])
    assert len(outcomes) == SHIPS * len(days())
    chipped = outcomes[outcomes["outcome"] == Outcome.CHIPPED]
    assert set(index["chip_id"]) == set(chipped["chip_id"])
    assert set(index["scene_datetime"].dt.date) == set(days()), "chips of every day"
    for result in (check_all_files(storage), *(check_day_files(storage, day) for day in days())):
        assert result.passed, result.description
    assert all(check_labels(storage, day).passed for day in days())
    for folder in (layout.journals_folder(), "staged"):
        assert storage.list(folder) == []
    return index


def check_alone(
    archive: Served, make_runs: MakeRuns, storage: Storage, index: pd.DataFrame, sections: dict[str, Any]
) -> None:
    """A day alone is the same, byte for byte."""
    for day in (LEAP_DAY, YEAR_END[0]):
        alone = make_runs(archive, now=NOW.isoformat(), name=f"alone-{day}", **copy.deepcopy(sections))
        run_steps(alone.workspace, day, {}, None)
        assert of_day(alone.storage, day) == of_day(storage, day)
        rows = index[index["scene_datetime"].dt.date == day].reset_index(drop=True)
        assert tables.read_table(alone.storage, layout.tiles_index(), INDEX_SCHEMA).equals(rows)


def of_day(storage: Storage, day: date) -> dict[str, bytes]:
    """What there is of a day in tables, chips and labels."""
    folders = ("plan", "ais", "matches", "outcomes", "chips", "indexes", "labels")
    keys = [key for folder in folders for key in storage.list(folder) if layout.ymd(day) in key]
    return {key: storage.get(key) for key in keys}


def command_line(config: Path, queue: list[date], said: Path, failures: list[BaseException]) -> None:
    """`s2chips run` for one day after another, on the instance of the UI."""
    try:
        for day in queue:
            command = [sys.executable, "-m", "s2chips_dagster.cli", "run", "--date", str(day), "--config", str(config)]
            with said.open("ab") as log:
                environment = {**os.environ, "S2CHIPS_NOW": NOW.isoformat()}
                done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, check=False)
            assert done.returncode == 0, said.read_text(errors="replace")[-3000:]
    except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
        failures.append(error)


@pytest.mark.skipif(not often(0, 1), reason="three processes, and one for each run: with S2CHIPS_RELIABILITY=1")
def test_a_backfill_in_the_ui_and_two_command_lines_at_once(archive: Served, make_runs: MakeRuns, tmp_path: Path) -> None:
    """As many runs of the daemon at once as the instance lets; two days are wanted by it and by a command line."""
    sections = copy.deepcopy(SECTIONS)
    runs = make_runs(archive, now=NOW.isoformat(), name="backfill", **sections)
    config, home = Path(runs.workspace.config_file), Path(os.environ["DAGSTER_HOME"])
    tree = yaml.safe_load((home / "dagster.yaml").read_text())
    most = tree["concurrency"]["runs"]["max_concurrent_runs"]
    for limit in tree["concurrency"]["runs"]["tag_concurrency_limits"]:
        limit["limit"] = most
    (home / "dagster.yaml").write_text(yaml.safe_dump(tree))
    of_daemon, first, second = days()[:20], days()[19:25], [*days()[25:], days()[0]]
    environment = {"DAGSTER_HOME": str(home), "S2CHIPS_CONFIG": str(config), "S2CHIPS_NOW": NOW.isoformat()}
    failures: list[BaseException] = []
    with dagster_processes(tmp_path, environment) as ui:
        backfill_id = ui.backfill("run_day", [str(day) for day in of_daemon])
        threads = [
            threading.Thread(target=command_line, daemon=True, args=(config, queue, tmp_path / f"command-{n}.log", failures))
            for n, queue in enumerate((first, second))
        ]
        for thread in threads:
            thread.start()
        ended = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED")
        ui.wait_until("the backfill has ended", lambda: ui.backfill_status(backfill_id) in ended, 1, 3000)
        for thread in threads:
            thread.join()
        assert failures == []
        made = ui.runs_of_backfill(backfill_id)
        assert [run["status"] for run in made] == ["SUCCESS"] * len(of_daemon), ui.said()
        assert ui.wait_for_end(ui.launch("index_tiles"))["status"] == "SUCCESS"
    at_once = max(sum(run["startTime"] <= one["startTime"] < run["endTime"] for run in made) for one in made)
    assert at_once > 1
    index = check_union(runs.storage)
    check_alone(archive, make_runs, runs.storage, index, sections)
    print(f"{len(days())} days, {len(made)} by the daemon, {at_once} at once, beside two command lines; {len(index)} chips")
