"""The jobs: which assets are made together."""

from typing import Any

import dagster as dg

RUN_DAY = ("overpass_plan", "ais_snapshots", "scene_matches", "chips", "daily_geojson", "daily_report")
CHIP_DAY = ("scene_matches", "chips", "daily_geojson", "daily_report")

KIND_TAG = "s2chips/kind"
"""What a run is about; dagster.yaml limits how many of a kind run at once."""
CAPTURE_KIND, CHIPPING_KIND, PLANNING_KIND, PRUNING_KIND = "capture", "chipping", "planning", "pruning"
HOUSEKEEPING_KIND = "housekeeping"
_PRIORITY_TAG = "dagster/priority"
CAPTURE_TAGS = {KIND_TAG: CAPTURE_KIND, _PRIORITY_TAG: "10"}
"""First of the queue: a window does not wait."""
PLANNING_TAGS = {KIND_TAG: PLANNING_KIND, _PRIORITY_TAG: "5"}
CHIPPING_TAGS = {KIND_TAG: CHIPPING_KIND}
PRUNING_TAGS = {KIND_TAG: PRUNING_KIND}
HOUSEKEEPING_TAGS = {KIND_TAG: HOUSEKEEPING_KIND}


def build_jobs() -> list[Any]:
    """The asset jobs of one day, and `index_tiles`: what is of all days is made once, after the days that feed it."""
    return [
        dg.define_asset_job(
            "plan_overpasses",
            selection=["overpass_plan"],
            tags=PLANNING_TAGS,
            description="When each tile is imaged on a day; for today the whole horizon.",
        ),
        dg.define_asset_job(
            "capture_ais",
            selection=["ais_snapshots"],
            tags=CAPTURE_TAGS,
            description="Record AIS around the overpasses of a day.",
        ),
        dg.define_asset_job(
            "chip_day", selection=list(CHIP_DAY), tags=CHIPPING_TAGS, description="Match and chip the AIS of a day."
        ),
        dg.define_asset_job("run_day", selection=list(RUN_DAY), tags=CHIPPING_TAGS, description="Everything for one day."),
        dg.define_asset_job(
            "index_tiles",
            selection=["tiles_index", "dataset_report"],
            description="Make tiles.parquet and the page of the dataset from all days.",
        ),
    ]


def job_named(jobs: list[Any], name: str) -> Any:
    """One of `build_jobs`."""
    return next(job for job in jobs if job.name == name)
