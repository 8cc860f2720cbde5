"""Runs from the command line: one instance, failures in words, interruptions, and days side by side."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import s2chips_core.scenes.day
from s2chips_core import layout, tables
from s2chips_core.errors import StorageError
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.parts import scene_days
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS
from s2chips_core.storage import LocalStorage
from s2chips_dagster.runs import HOME_VARIABLE, Runs
from tests.dagster.conftest import DAY, Dataset, DayRun, MakeDataset, start_cli

BETWEEN = DEMO_DAYS[0].replace(day=20)
"""No satellite passes."""


def test_runs_are_on_the_instance_that_is_named(copied: Dataset, home: Path) -> None:
    runs = Runs(copied.config)
    assert runs.chip_day(DAY, {})
    assert runs.index()
    with dg.DagsterInstance.get() as instance:
        kept = instance.get_runs()
        assert {run.job_name for run in kept} == {"chip_day", "index_tiles"}
        assert {run.status for run in kept} == {dg.DagsterRunStatus.SUCCESS}
        assert instance.get_materialized_partitions(dg.AssetKey("chips")) == {DAY.isoformat()}
    assert (home / "history").is_dir()


def test_the_checkout_is_the_home_when_none_is_named(
    copied: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Runs(copied.config)
    assert HOME_VARIABLE not in os.environ, "no dagster.yaml here"
    (tmp_path / "dagster.yaml").write_text("")
    Runs(copied.config)
    assert os.environ[HOME_VARIABLE] == str(tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, "/elsewhere")
    Runs(copied.config)
    assert os.environ[HOME_VARIABLE] == "/elsewhere"


def test_run_config_reaches_the_assets(copied: Dataset, home: Path) -> None:
    runs = Runs(copied.config)
    assert runs.chip_day(DAY, {"scene_matches": {"limits": {"max_ships": 3}}, "chips": {}})
    outcomes = tables.read_table(copied.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert (outcomes["outcome"] != "over_cap").sum() == 3


def test_a_failure_is_told_in_the_words_of_the_project(
    copied: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise StorageError("matches/x.parquet", "is full")

    monkeypatch.setattr(s2chips_core.scenes.day, "match_capture", broken)
    assert not Runs(copied.config).chip_day(DAY, {})
    told = capfd.readouterr()
    assert "\ns2chips: scene_matches: " in told.err
    assert told.err.splitlines()[-1] == "s2chips: scene_matches: matches/x.parquet: is full"
    assert told.out == ""


def test_an_interrupted_run_is_an_interruption(copied: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise dg.DagsterExecutionInterruptedError

    monkeypatch.setattr(s2chips_core.scenes.day, "match_capture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Runs(copied.config).chip_day(DAY, {})


def test_print_day_tells_counts_and_places(day_run: DayRun, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Runs(day_run.config).print_day(DAY)
    lines = capsys.readouterr().out.splitlines()
    outcomes = tables.read_table(day_run.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert lines[0].startswith(f"{DAY}: {len(outcomes)} targets: ")
    for name, count in outcomes["outcome"].value_counts().items():
        assert f"{count} {name}" in lines[0]
    for line in lines[1:]:
        assert Path(line.split(": ", 1)[1]).is_file()
    assert len(lines) == 5


@pytest.fixture
def side_by_side(make_dataset: MakeDataset, home: Path) -> Iterator[Dataset]:
    """Three days by the command line, two processes at a time, on one instance and one dataset."""
    dataset = make_dataset("parallel")
    waiting = [DEMO_DAYS[0], DEMO_DAYS[1], BETWEEN]
    running: list[subprocess.Popen[str]] = []
    try:
        while waiting or running:
            while waiting and len(running) < 2:
                running.append(start_cli("run", "--date", waiting.pop(0), "--config", dataset.config, home=home))
            first = running.pop(0)
            stdout, stderr = first.communicate(timeout=120)
            assert first.returncode == 0, stderr[-3000:]
            assert stdout.count(" targets: ") == 1
            assert "RUN_SUCCESS" not in stdout
        yield dataset
    finally:
        for process in running:
            process.kill()
            process.communicate()


def test_days_side_by_side_lose_no_row(side_by_side: Dataset, day_run: DayRun) -> None:
    storage = side_by_side.storage
    index = tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)
    parts = [tables.read_table(storage, key, INDEX_SCHEMA) for key in storage.list(layout.index_parts_folder())]
    union = pd.concat(parts)
    assert sorted(index["chip_id"]) == sorted(union["chip_id"])
    assert index["chip_id"].is_unique
    assert scene_days(storage) == list(DEMO_DAYS)
    assert set(index["path"]) == {
        key for key in storage.list("chips") if key.endswith(".tif") and not key.endswith("_masks.tif")
    }
    # Each day is what it is alone.
    alone = tables.read_table(day_run.storage, layout.tiles_index(), INDEX_SCHEMA)
    pd.testing.assert_frame_equal(index[index["scene_datetime"].dt.date == DAY].reset_index(drop=True), alone)
    for day in (*DEMO_DAYS, BETWEEN):
        matches = storage.get(layout.matches(day))
        assert matches
        assert storage.exists(layout.report(day))
    check_runs(storage)


def check_runs(storage: LocalStorage) -> None:
    """The instance knows every run, and each ended well."""
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
        assert sorted(run.job_name for run in runs) == ["index_tiles"] * 3 + ["run_day"] * 3
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        days = {day.isoformat() for day in (*DEMO_DAYS, BETWEEN)}
        assert instance.get_materialized_partitions(dg.AssetKey("chips")) == days
    assert storage.list(layout.journals_folder()) == []
