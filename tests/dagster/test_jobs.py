"""The jobs: which assets each makes, and that the index is made after days and not within them."""

import dagster as dg
import pytest

from s2chips_dagster.jobs import CHIP_DAY, RUN_DAY, build_jobs
from tests.dagster.conftest import DayRun

JOBS = {
    "plan_overpasses": {"overpass_plan"},
    "capture_ais": {"ais_snapshots"},
    "chip_day": {"scene_matches", "chips", "daily_geojson", "daily_report"},
    "run_day": {"overpass_plan", "ais_snapshots", "scene_matches", "chips", "daily_geojson", "daily_report"},
    "index_tiles": {"tiles_index"},
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
