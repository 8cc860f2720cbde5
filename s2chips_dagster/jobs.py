"""The jobs: which assets are made together."""

from typing import Any

import dagster as dg

RUN_DAY = ("overpass_plan", "ais_snapshots", "scene_matches", "chips", "daily_geojson", "daily_report")
CHIP_DAY = ("scene_matches", "chips", "daily_geojson", "daily_report")


def build_jobs() -> list[Any]:
    """The asset jobs of one day. `tiles_index` is in none: it is made once, after the days that feed it."""
    return [
        dg.define_asset_job(
            "plan_overpasses", selection=["overpass_plan"], description="When each tile is imaged on a day."
        ),
        dg.define_asset_job("capture_ais", selection=["ais_snapshots"], description="Record AIS for the plan of a day."),
        dg.define_asset_job("chip_day", selection=list(CHIP_DAY), description="Match and chip the AIS of a day."),
        dg.define_asset_job("run_day", selection=list(RUN_DAY), description="Everything for one day."),
        dg.define_asset_job("index_tiles", selection=["tiles_index"], description="Make tiles.parquet from all days."),
    ]
