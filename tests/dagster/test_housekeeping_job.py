"""`housekeeping`: the dataset and Dagster's own history, a dry run first."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from s2chips_core import layout
from s2chips_core.sections import Retention
from s2chips_dagster.housekeeping_job import JOB, OP, RETENTIONS
from s2chips_dagster.old_runs import ENDED, delete_runs, find_old_runs
from s2chips_dagster.resources import NOW_VARIABLE
from tests.dagster.conftest import DAY, Dataset, DayRun, files_of
from tests.dagster.test_cli import run as run_cli
from tests.dagster.test_prune_jobs import said

LATER = "2026-02-01T12:00:00+00:00"
FOLDERS = ("ais", "chips", "indexes", "outcomes", "matches", "plan", "reports", "provenance")
NOW = datetime.now(UTC)


@pytest.fixture
def instance(home: Path) -> Any:
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def keep_house(dataset: Dataset, instance: Any, **config: Any) -> Mapping[str, Any]:
    result = dataset.execute(JOB, day=None, ops={OP: config}, instance=instance)
    assert result.success
    return said(result)


def count(metadata: Mapping[str, Any], kind: str) -> int:
    [row] = [record.data for record in metadata["kinds"].records if record.data["kind"] == kind]
    return int(row["count"])


def files_of_home(home: Path) -> set[Path]:
    return {path for path in home.rglob("*") if path.is_file()}


def some_run(instance: dg.DagsterInstance, home: Path, *, fails: bool = False) -> str:
    """One with an event, a materialisation and a compute log."""

    @dg.asset
    def something(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        print("to the compute log")
        if fails:
            raise dg.Failure("as asked")
        return dg.MaterializeResult()

    return str(dg.materialize([something], instance=instance, raise_on_error=False).run_id)


# --- Dagster's runs


def test_an_ended_run_goes_with_its_events_and_logs(instance: Any, home: Path) -> None:
    old = [some_run(instance, home), some_run(instance, home, fails=True)]
    found = find_old_runs(instance, NOW + timedelta(days=1))
    assert [one.run_id for one in found] == old
    assert all(one.size_bytes > 10_000 for one in found)
    before = sum(path.stat().st_size for path in files_of_home(home) if any(one in str(path) for one in old))
    assert before == sum(one.size_bytes for one in found)
    young = some_run(instance, home)
    delete_runs(instance, found)
    assert [run.run_id for run in instance.get_runs()] == [young]
    assert [path for path in files_of_home(home) if any(one in str(path) for one in old)] == []
    assert instance.all_logs(young)
    assert any(young in str(path) for path in files_of_home(home))


def test_a_run_that_is_young_or_has_not_ended_stays(instance: Any, home: Path) -> None:
    some_run(instance, home)
    assert find_old_runs(instance, NOW - timedelta(days=1)) == []
    for status in set(dg.DagsterRunStatus) - {dg.DagsterRunStatus.QUEUED}:  # which wants more than a name
        instance.add_run(dg.DagsterRun(job_name="a", status=status))
    found = {instance.get_run_by_id(one.run_id).status for one in find_old_runs(instance, NOW + timedelta(days=1))}
    assert found == set(ENDED)
    assert not {status for status in ENDED if not dg.DagsterRun(job_name="a", status=status).is_finished}


def test_a_run_that_was_started_again_meanwhile_stays(instance: Any, home: Path) -> None:
    run_id = some_run(instance, home, fails=True)
    found = find_old_runs(instance, NOW + timedelta(days=1))
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name="a"), run_id
    )
    delete_runs(instance, found)
    assert instance.get_run_by_id(run_id) is not None
    assert instance.all_logs(run_id)


def test_more_runs_than_are_listed_at_once(instance: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2chips_dagster.old_runs.AT_ONCE", 3)
    ids = [instance.add_run(dg.DagsterRun(job_name="a", status=dg.DagsterRunStatus.SUCCESS)).run_id for _ in range(8)]
    assert [one.run_id for one in find_old_runs(instance, NOW + timedelta(days=1))] == ids


# --- the job


def test_the_launchpad_shows_a_dry_run_and_what_the_file_says(day_run: DayRun) -> None:
    assert set(RETENTIONS["retention"]) == set(Retention.model_fields)
    fields = day_run.definitions.resolve_job_def(JOB).run_config_schema.config_type.fields["ops"].config_type.fields[OP]
    shown = fields.config_type.fields["config"].config_type.fields
    assert shown["dry_run"].default_value is True
    retention = {name: field.default_value for name, field in shown["retention"].config_type.fields.items()}
    assert retention == dict.fromkeys(retention, "all") | {"lock_days": 30}


def test_a_dry_run_changes_nothing_and_a_real_one_does_what_it_said(
    copied: Dataset, instance: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = copied.storage
    some_run(instance, home)
    monkeypatch.setenv(NOW_VARIABLE, (NOW + timedelta(days=60)).isoformat())
    later = Dataset(config=copied.config, storage=storage, definitions=_at(copied, NOW + timedelta(days=60)))
    for path in storage.root.glob(".locks/*"):
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    asked = {"retention": {"report_days": 30, "run_days": 30, "ais_days": 30}}
    before, runs = files_of(storage, *FOLDERS), instance.get_runs_count()
    would = keep_house(later, instance, **asked)
    assert files_of(storage, *FOLDERS) == before
    assert instance.get_runs_count() == runs + 1
    assert count(would, "pages") == 1
    assert count(would, "AIS") == 0, "chips need it"
    assert count(would, "run") == runs
    assert count(would, "lock") > 0
    went = keep_house(later, instance, **asked, dry_run=False)
    # The dry run has made a run itself, which has ended.
    assert count(went, "run") == runs + 1
    assert [run.job_name for run in instance.get_runs()] == [JOB]
    assert not storage.exists(layout.report(DAY))
    gone = set(before) - set(files_of(storage, *FOLDERS))
    assert gone
    assert all(layout.day_of_page(key) == DAY for key in gone)
    assert went["left"] == {}


def _at(dataset: Dataset, now: datetime) -> dg.Definitions:
    from s2chips_dagster.definitions import build_definitions

    return build_definitions(dataset.config, now=now.isoformat())


def test_runs_that_schedules_ask_for_stay(
    copied: Dataset, instance: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever run_days is: until give_up_days and a day."""
    some_run(instance, home)
    for days, going in ((14, 0), (16, 1)):
        later = Dataset(
            config=copied.config, storage=copied.storage, definitions=_at(copied, NOW + timedelta(days=days, hours=1))
        )
        assert count(keep_house(later, instance, retention={"run_days": 1}), "run") >= going
        if not going:
            assert count(keep_house(later, instance, retention={"run_days": 1}), "run") == 0


def test_by_default_nothing_that_contains_data_goes(copied: Dataset, instance: Any, home: Path) -> None:
    later = Dataset(config=copied.config, storage=copied.storage, definitions=_at(copied, NOW + timedelta(days=4000)))
    some_run(instance, home)
    before = files_of(copied.storage, *FOLDERS)
    keep_house(later, instance, dry_run=False)
    assert files_of(copied.storage, *FOLDERS) == before
    assert instance.get_runs_count() == 2


# --- the command


def test_the_command_lists_and_removes(
    copied: Dataset, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NOW_VARIABLE, LATER)
    storage = copied.storage
    text = copied.config.read_text()
    copied.config.write_text(f"{text}\nretention: {{report_days: 30, lock_days: null}}\n")
    code, out, err = run_cli(capfd, "housekeeping", "--dry-run", "--config", copied.config)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].split() == ["kind", "name", "since", "files", "bytes"]
    assert lines[1].split()[:3] == ["pages", f"{DAY}", f"{DAY}"]
    size_bytes = int(lines[1].split()[-1])
    assert f"1 would go, {size_bytes} bytes" in lines
    assert "dry run, nothing has changed" in out
    assert storage.exists(layout.report(DAY))
    code, out, _ = run_cli(capfd, "housekeeping", "--config", copied.config)
    assert code == 0
    assert out.splitlines()[-1] == f"1 went, {size_bytes} bytes"
    assert not storage.exists(layout.report(DAY))
    code, out, _ = run_cli(capfd, "housekeeping", "--config", copied.config)
    assert out.splitlines()[-1] == "0 went, 0 bytes"
