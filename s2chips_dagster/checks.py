"""Asset checks: what must be true of each table and of the chips. Blocking where a later asset would be poisoned.

The judging is in `s2chips_core.index.checks`; here it is bound to assets and partitions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from s2chips_core.config import Settings
from s2chips_core.storage import Storage
from s2chips_dagster.partitions import daily, day_of
from s2chips_dagster.resources import Workspace

Judge = Callable[[Storage, Any], Any]


def build_checks(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetChecksDefinition]:
    """All checks. Each is one function of the core with its verdict, sentence and numbers."""
    from s2chips_core.index import checks

    by_name = {asset.key.to_user_string(): asset for asset in assets}
    days = daily(settings.scheduling.first_day)

    def of_day(asset: str, name: str, judge: Judge, what: str, blocking: bool = True) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=by_name[asset], name=name, description=what, blocking=blocking, partitions_def=days)
        def check(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> dg.AssetCheckResult:
            storage = workspace.storage(workspace.settings())
            return _result(judge(storage, day_of(context.partition_key)))

        return check

    def of_all(asset: str, name: str, judge: Callable[[Storage], Any], what: str) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=by_name[asset], name=name, description=what, blocking=False)
        def check(workspace: Workspace) -> dg.AssetCheckResult:
            return _result(judge(workspace.storage(workspace.settings())))

        return check

    return [
        of_day("overpass_plan", "schema", checks.plan_schema, "The plan has its declared columns."),
        of_day("ais_snapshots", "schema", checks.snapshots_schema, "The snapshots have their declared columns."),
        of_day(
            "ais_snapshots",
            "no_synthetic_in_real",
            checks.no_synthetic_in_real_dataset,
            "No synthetic AIS in a dataset that has real AIS.",
        ),
        of_day("scene_matches", "schema", checks.matches_schema, "The matches have their declared columns."),
        of_day("chips", "schema", checks.outcomes_schema, "Outcomes and index parts have their declared columns."),
        of_day("chips", "outcomes_cover_targets", checks.outcomes_cover_targets, "Every target has one outcome."),
        of_day("chips", "unique_ids", checks.unique_chip_ids, "No chip_id is there twice."),
        of_day("chips", "index_equals_files", checks.index_equals_files, "The index names the files that are there."),
        of_day(
            "chips",
            "not_clipped_low",
            checks.reflectance_not_clipped_low,
            "At most 1 % of valid pixels are at the lower clip: more would be an offset taken off twice.",
        ),
        of_day("daily_geojson", "equals_index", checks.geojson_equals_index, "The GeoJSON holds the day's chips."),
        of_all("tiles_index", "schema", checks.tiles_schema, "tiles.parquet has its declared columns and geo metadata."),
        of_all("tiles_index", "unique_ids", checks.tiles_unique, "No chip_id is there twice."),
        of_all("tiles_index", "equals_files", checks.tiles_equal_files, "Rows, files and parts are the same chips."),
    ]


def _result(judged: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=judged.passed, description=judged.description, metadata=dict(judged.numbers))
