"""The code location: one function builds it, so that tests and the demo can give it other resources."""

import os
from pathlib import Path

import dagster as dg

from s2chips_core.config import config_path, load_settings
from s2chips_dagster.assets import build_assets
from s2chips_dagster.checks import build_checks
from s2chips_dagster.export_job import build_export_job
from s2chips_dagster.file_job import build_file_job
from s2chips_dagster.housekeeping_job import build_housekeeping_job
from s2chips_dagster.inbox import build_inbox_sensor
from s2chips_dagster.jobs import build_jobs
from s2chips_dagster.nothing_passed import NothingPassed
from s2chips_dagster.prune_jobs import build_prune_jobs
from s2chips_dagster.resources import Workspace
from s2chips_dagster.schedules import build_schedules
from s2chips_dagster.sensors import build_sensors


def build_definitions(config_file: Path, *, now: str = "") -> dg.Definitions:
    """Everything Dagster knows of s2chips.

    Args:
        config_file: the YAML file; its values are the defaults of run config.
        now: a fixed time instead of the clock, ISO 8601.

    Raises:
        ConfigError: the file says something that cannot be.
    """
    settings = load_settings(config_file, os.environ)
    assets, file_job = build_assets(settings), build_file_job(settings)
    jobs = [*build_jobs(), *build_prune_jobs(settings), build_housekeeping_job(settings)]
    return dg.Definitions(
        assets=assets,
        asset_checks=build_checks(assets, settings),
        jobs=[*jobs, file_job, build_export_job()],
        schedules=build_schedules(settings, jobs),
        sensors=[
            *build_sensors(settings, jobs),
            build_inbox_sensor(settings, file_job),
            dg.AutomationConditionSensorDefinition(
                "index_automation",
                target=dg.AssetSelection.assets("tiles_index", "dataset_report"),
                default_status=dg.DefaultSensorStatus.RUNNING,
                description="Makes tiles_index and the page of the dataset once the days that feed them are done.",
            ),
        ],
        resources={"workspace": Workspace(config_file=str(config_file), now=now), "io_manager": NothingPassed()},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location `s2chips`, with the configuration file that `S2CHIPS_CONFIG` names."""
    return build_definitions(config_path(os.environ))
