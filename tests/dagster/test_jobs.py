"""The jobs: which assets each makes, and that the index is made after days and not within them."""

import dagster as dg
import pytest
import yaml

from s2chips_dagster.jobs import CAPTURE_TAGS, CHIP_DAY, CHIPPING_TAGS, KIND_TAG, RUN_DAY, build_jobs, job_named
from tests.dagster.conftest import REPOSITORY, DayRun

JOBS = {
    "plan_overpasses": {"overpass_plan"},
    "capture_ais": {"ais_snapshots"},
    "chip_day": {"scene_matches", "chips", "daily_geojson", "daily_report"},
    "run_day": {"overpass_plan", "ais_snapshots", "scene_matches", "chips", "daily_geojson", "daily_report"},
    "index_tiles": {"tiles_index", "dataset_report"},
}


@pytest.mark.parametrize("name", JOBS)
def test_what_a_job_makes(day_run: DayRun, name: str) -> None:
    job = day_run.definitions.resolve_job_def(name)
    made = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    assert made == JOBS[name]
    assert job.description
    assert isinstance(job.partitions_def, dg.DailyPartitionsDefinition) == (name != "index_tiles")


@pytest.mark.parametrize("name", JOBS)
def test_the_checks_of_what_a_job_makes_run_with_it(day_run: DayRun, name: str) -> None:
    of_all = day_run.definitions.resolve_asset_graph().asset_check_keys
    expected = {key for key in of_all if key.asset_key.to_user_string() in JOBS[name]}
    job = day_run.definitions.resolve_job_def(name)
    assert job.asset_layer.asset_graph.asset_check_keys == expected != set()


def test_all_are_listed_once() -> None:
    names = [job.name for job in build_jobs()]
    assert sorted(names) == sorted(JOBS)
    assert set(CHIP_DAY) < set(RUN_DAY)


def test_runs_by_hand_are_of_a_kind_too(day_run: DayRun) -> None:
    tags = {name: day_run.definitions.resolve_job_def(name).tags for name in [*JOBS, "chip_from_ais_file"]}
    assert tags["capture_ais"].items() >= CAPTURE_TAGS.items()
    for name in ("chip_day", "run_day", "chip_from_ais_file"):
        assert tags[name].items() >= CHIPPING_TAGS.items()
    assert int(tags["capture_ais"]["dagster/priority"]) > int(tags["plan_overpasses"]["dagster/priority"]) > 0


def test_chipping_and_backfills_leave_room_for_captures() -> None:
    runs = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())["concurrency"]["runs"]
    limits = {(each["key"], each.get("value")): each["limit"] for each in runs["tag_concurrency_limits"]}
    assert limits == {("dagster/backfill", None): 2, (KIND_TAG, CHIPPING_TAGS[KIND_TAG]): 2}
    assert runs["max_concurrent_runs"] - sum(limits.values()) >= 2, "a capture and a plan"


def test_a_job_is_found_by_its_name() -> None:
    assert job_named(build_jobs(), "chip_day").name == "chip_day"
