"""The schedules: what each tick asks for, by the workspace's clock, what is on disk and what ran before."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from s2chips_core import layout
from s2chips_core.ais.windows import Window
from s2chips_core.sections import Scheduling
from s2chips_core.storage import LocalStorage
from s2chips_dagster import past_runs
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.resources import Workspace
from s2chips_dagster.run_config import KEY_VARIABLE, capture_group
from s2chips_dagster.schedules import chipping_key, lagged_days

NOW = datetime(2025, 10, 29, 6, tzinfo=UTC)
DAY = date(2025, 10, 22)
SUCCESS, FAILURE, STARTED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED


@dataclasses.dataclass(frozen=True, slots=True)
class Rig:
    """The schedules of a configuration, a dataset and an instance."""

    config: Path
    storage: LocalStorage
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    def tick(self, schedule: str, now: datetime = NOW) -> Any:
        """One tick, as the daemon evaluates it, at a time of the workspace."""
        repository = self.definitions.get_repository_def()
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=datetime(2026, 1, 1, tzinfo=UTC),
            repository_def=repository,
            resources={"workspace": Workspace(config_file=str(self.config), now=now.isoformat())},
        ) as context:
            return repository.get_schedule_def(schedule).evaluate_tick(context)

    def record(self, *days: date) -> None:
        """AIS of some days, as far as the schedules look at it."""
        for day in days:
            self.storage.put(layout.ais_snapshot(day, "30STF"), b"fixes")

    def chip(self, *days: date) -> None:
        """Outcomes of some days, as far as the schedules look at them."""
        for day in days:
            self.storage.put(layout.outcomes_part(day, layout.CAPTURE), b"outcomes")

    def ran(self, day: date, status: dg.DagsterRunStatus, job: str = "chip_day", **tags: str) -> None:
        """An earlier run."""
        tags = {past_runs.PARTITION_TAG: day.isoformat(), **tags}
        self.instance.create_run_for_job(self.definitions.resolve_job_def(job), tags=tags, status=status)

    def materialised(self, asset: str, day: date) -> None:
        """What a run reports."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=day.isoformat()))

    def chipping(self, now: datetime = NOW) -> list[str | None]:
        """The days that `lagged_chipping` asks for."""
        return [request.partition_key for request in self.tick("lagged_chipping", now).run_requests or []]


@pytest.fixture(scope="module")
def shared_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A schedule reaches its instance by reference, which an ephemeral one has not."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Empty."""
    shared_instance.wipe()
    return shared_instance


@pytest.fixture
def make_rig(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(KEY_VARIABLE, "a-key")

    def make(**sections: Mapping[str, Any]) -> Rig:
        tree: dict[str, Any] = {
            "satellite_tracking": {"source": "tle", "tiles": ["30STF", "30SUE"]},
            "storage": {"dataset_root": str(tmp_path / "dataset")},
            "scheduling": {"lag_days": 3, "give_up_days": 14},
        }
        for section, values in sections.items():
            tree[section] = {**tree.get(section, {}), **values}
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(tree))
        return Rig(config, LocalStorage(tmp_path / "dataset"), instance, build_definitions(config))

    return make


@pytest.fixture
def rig(make_rig: Any) -> Rig:
    made: Rig = make_rig()
    return made


def test_names_times_and_switches(make_rig: Any) -> None:
    rig = make_rig(
        scheduling={
            "weekly_plan_cron": "5 4 * * 2",
            "chipping_cron": "7 7 * * *",
            "periodic_ais_cron": "9 * * * *",
            "prune_cron": "1 1 * * *",
        }
    )
    repository = rig.definitions.get_repository_def()
    on, off = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    found = {
        each.name: (each.cron_schedule, each.execution_timezone, each.default_status) for each in repository.schedule_defs
    }
    assert found == {
        "weekly_overpass_plan": ("5 4 * * 2", "UTC", on),
        "lagged_chipping": ("7 7 * * *", "UTC", on),
        "periodic_ais_capture": ("9 * * * *", "UTC", off),
        "nightly_prune": ("1 1 * * *", "UTC", off),
        "weekly_housekeeping": ("30 4 * * 0", "UTC", off),
    }


# --- weekly_overpass_plan ---


def test_the_plan_is_made_from_today_on(rig: Rig) -> None:
    [request] = rig.tick("weekly_overpass_plan").run_requests
    assert request.partition_key == "2025-10-29", "the clock of the workspace, not that of the tick"
    assert request.tags["s2chips/kind"] == "planning"


def test_backfill_has_nothing_to_plan(make_rig: Any) -> None:
    data = make_rig(satellite_tracking={"source": "backfill"}).tick("weekly_overpass_plan")
    assert not data.run_requests
    assert "no future" in data.skip_message


# --- lagged_chipping ---


def test_days_from_giving_up_to_the_lag(rig: Rig) -> None:
    days = [date(2025, 10, 29) - timedelta(days=ago) for ago in range(20)]
    rig.record(*days)
    assert rig.chipping() == [f"2025-10-{n}" for n in range(15, 27)]
    requests = rig.tick("lagged_chipping").run_requests
    assert [request.run_key for request in requests][:2] == ["2025-10-15@2025-10-29", "2025-10-16@2025-10-29"]
    assert {request.tags["s2chips/kind"] for request in requests} == {"chipping"}


def test_missed_ticks_are_made_up_for(rig: Rig) -> None:
    """The daemon was down for days: one tick asks for all of them."""
    rig.record(DAY, DAY + timedelta(days=1), DAY + timedelta(days=2))
    rig.chip(DAY)
    assert rig.chipping() == ["2025-10-23", "2025-10-24"]


def test_days_without_ais_and_days_that_are_done_need_nothing(rig: Rig) -> None:
    assert rig.tick("lagged_chipping").skip_message == "nothing to chip from 2025-10-15 to 2025-10-26: 12 without AIS"
    rig.storage.put(layout.capture_record(DAY, "c"), b"{}")
    rig.storage.put(layout.ais_file(DAY, "file-0123456789ab"), b"rows of a file are chipped by their own job")
    assert rig.chipping() == []
    rig.record(DAY)
    rig.chip(DAY)
    rig.ran(DAY, SUCCESS)
    assert rig.tick("lagged_chipping").skip_message.endswith("11 without AIS, 1 chipped")


@pytest.mark.parametrize("job", ["chip_day", "run_day"])
def test_a_day_whose_last_run_failed_is_tried_again_on_the_next_day(rig: Rig, job: str) -> None:
    rig.record(DAY)
    rig.chip(DAY)
    rig.ran(DAY, SUCCESS, job)
    rig.ran(DAY, FAILURE, job)
    assert rig.chipping() == ["2025-10-22"]
    rig.ran(DAY, FAILURE, job, **{past_runs.RUN_KEY_TAG: chipping_key(DAY, NOW.date())})
    assert rig.chipping() == [], "once on each day, however often the schedule ticks"
    assert "1 tried today already" in rig.tick("lagged_chipping").skip_message
    assert rig.chipping(NOW + timedelta(days=1)) == ["2025-10-22"]
    rig.ran(DAY, SUCCESS, job)
    assert rig.chipping(NOW + timedelta(days=1)) == []


def test_a_day_that_is_being_chipped_is_left_alone(rig: Rig) -> None:
    rig.record(DAY)
    rig.ran(DAY, STARTED)
    assert rig.chipping() == []
    assert "1 in progress" in rig.tick("lagged_chipping").skip_message


def test_other_jobs_of_a_day_say_nothing_of_its_chips(rig: Rig) -> None:
    rig.record(DAY)
    rig.chip(DAY)
    rig.ran(DAY, FAILURE, "capture_ais")
    rig.ran(DAY, STARTED, "plan_overpasses")
    assert rig.chipping() == []


def test_what_was_recorded_after_chipping_is_chipped(rig: Rig) -> None:
    """The journal of a capture that was killed is picked up by the next one, days later."""
    rig.record(DAY)
    rig.chip(DAY)
    rig.materialised("ais_snapshots", DAY)
    rig.materialised("chips", DAY)
    assert rig.chipping() == []
    rig.materialised("ais_snapshots", DAY)
    assert rig.chipping() == ["2025-10-22"]
    rig.materialised("chips", DAY)
    assert rig.chipping() == []


def test_which_days_are_old_enough() -> None:
    today = date(2025, 10, 29)

    def days(**scheduling: Any) -> list[date]:
        return lagged_days(today, Scheduling(**scheduling))

    assert days(lag_days=0, give_up_days=1) == [date(2025, 10, 28), today]
    assert days(lag_days=5, give_up_days=2) == [date(2025, 10, 24)]
    assert days(lag_days=2, give_up_days=9, first_day=date(2025, 10, 26)) == [date(2025, 10, 26), date(2025, 10, 27)]
    assert days(lag_days=2, first_day=today) == []


def test_a_dataset_that_begins_today(make_rig: Any) -> None:
    rig = make_rig(scheduling={"first_day": "2025-10-28"})
    assert "no day is old enough" in rig.tick("lagged_chipping").skip_message


# --- periodic_ais_capture ---


def test_a_periodic_capture_is_of_all_watched_tiles_from_now_on(rig: Rig) -> None:
    now = NOW + timedelta(seconds=7)
    [request] = rig.tick("periodic_ais_capture", now).run_requests
    values = request.run_config["ops"]["ais_snapshots"]["config"]["windows"]
    windows = [Window.from_dict(each) for each in values]
    assert [window.tile_id for window in windows] == ["30STF", "30SUE"]
    assert {(window.satellite, window.overpass_time) for window in windows} == {("", None)}
    assert {(window.start, window.end) for window in windows} == {(now, now + timedelta(minutes=10))}
    assert request.partition_key == "2025-10-29"
    assert request.tags["dagster/priority"] == "10"
    assert capture_group([]) is None


def test_a_periodic_capture_needs_real_ais(make_rig: Any) -> None:
    data = make_rig(ais={"source": "synthetic"}).tick("periodic_ais_capture")
    assert not data.run_requests
    assert "real AIS only" in data.skip_message


def test_a_periodic_capture_needs_a_key(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    data = rig.tick("periodic_ais_capture")
    assert not data.run_requests
    assert "AISSTREAM_API_KEY is not set" in data.skip_message


def test_a_periodic_capture_needs_tiles(make_rig: Any) -> None:
    """A run without windows would record the plan of the day instead."""
    pole = {"name": "pole", "west": 0.0, "south": 89.0, "east": 1.0, "north": 89.5}
    data = make_rig(satellite_tracking={"tiles": [], "areas": [pole]}).tick("periodic_ais_capture")
    assert not data.run_requests
    assert "no tile is watched" in data.skip_message


# --- nightly_prune ---


def test_the_night_prunes_once_and_in_earnest(rig: Rig) -> None:
    [request] = rig.tick("nightly_prune").run_requests
    assert request.run_key == f"prune@{NOW.date()}"
    assert request.run_config["ops"]["prune_chips"]["config"] == {"dry_run": False}
    job = rig.definitions.resolve_job_def("prune_by_ais")
    assert dg.validate_run_config(job, request.run_config)


# --- weekly_housekeeping ---


def test_the_week_tidies_once_and_in_earnest(rig: Rig) -> None:
    [request] = rig.tick("weekly_housekeeping").run_requests
    assert request.run_key == f"housekeeping@{NOW.date()}"
    assert request.run_config["ops"]["tidy_up"]["config"] == {"dry_run": False}
    assert request.tags["s2chips/kind"] == "housekeeping"
    assert dg.validate_run_config(rig.definitions.resolve_job_def("housekeeping"), request.run_config)
