"""The eight assets, in the order that data flows.

Each body takes settings and doors from the workspace, calls one function of the core and says what it made. No logic here.
"""

import time
from typing import Any

import dagster as dg

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_dagster import captures, plans, run_config
from s2chips_dagster.chipping import chips_metadata, chips_of_source, lost_warning
from s2chips_dagster.metadata import PREVIEW_ROWS, counts_table, rate, table_preview, throttled
from s2chips_dagster.pages import report_dataset, report_day
from s2chips_dagster.partitions import daily, day_of
from s2chips_dagster.resources import Workspace

INDEX_COLUMNS = ["chip_id", "mmsi", "ship_name", "scene_datetime", "cloud_cover", "split", "gate_verdict", "path"]
"""Of the index, that its materialisation shows."""
OWNERS = ["team:s2chips"]
GROUP = "ship_chips"
"""One group, so that the graph opens with all assets in sight."""
INDEX_CONDITION = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)
"""Fires once when a backfill has ended, not once for each day.

No pool beside it: index and page are made under locks of the dataset. A slot of a pool stays with a run that was killed
while no daemon is at work, and the next one would wait for it without end."""


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets, with the run config's defaults from `settings`."""
    days = daily(settings.scheduling.first_day)
    AisConfig: Any = run_config.capture_config(settings)
    MatchingConfig: Any = run_config.run_config("MatchingConfig", settings, run_config.MATCHING)
    ChippingConfig: Any = run_config.run_config("ChippingConfig", settings, run_config.CHIPPING)

    @dg.asset(partitions_def=days, group_name=GROUP, kinds={"stac", "parquet"}, owners=OWNERS)
    def overpass_plan(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[Any]:
        """When each watched tile is imaged, and from when to when AIS is recorded; for today the whole horizon."""
        return dg.MaterializeResult(metadata=plans.plan(context, day_of(context.partition_key), workspace))

    @dg.asset(partitions_def=days, group_name=GROUP, deps=[overpass_plan], kinds={"parquet", "excel"}, owners=OWNERS)
    def ais_snapshots(
        context: dg.AssetExecutionContext,
        config: AisConfig,
        workspace: Workspace,
    ) -> dg.MaterializeResult[Any]:
        """AIS fixes around the overpasses of the day, one table for each tile."""
        return dg.MaterializeResult(metadata=captures.record(context, day_of(context.partition_key), config, workspace))

    @dg.asset(partitions_def=days, group_name=GROUP, deps=[ais_snapshots], kinds={"stac", "parquet"}, owners=OWNERS)
    def scene_matches(
        context: dg.AssetExecutionContext,
        config: MatchingConfig,
        workspace: Workspace,
    ) -> dg.MaterializeResult[Any]:
        """For each ship of the day the best scene, or the reason why there is none."""
        from s2chips_core.index.day import write_day_tables
        from s2chips_core.scenes.day import match_capture

        chosen = workspace.settings(run_config.overrides(config))
        storage = workspace.storage(chosen)
        day = day_of(context.partition_key)
        result = match_capture(day, settings=chosen, storage=storage, now=workspace.clock(), progress=throttled(context.log))
        write_day_tables(day, storage)
        return dg.MaterializeResult(
            metadata={
                "targets": len(result.matches),
                "matched": int((result.matches["status"] == "matched").sum()),
                "statuses": dg.MetadataValue.json(
                    {str(k): int(n) for k, n in result.matches["status"].value_counts().items()}
                ),
                "match_rate": rate(int((result.matches["status"] == "matched").sum()), len(result.matches)),
                "scenes": result.matches["scene_id"].nunique(),
                "requests": result.requests,
                "seconds": round(result.seconds, 3),
                "path": dg.MetadataValue.path(storage.url(layout.matches_part(day, layout.CAPTURE))),
                "preview": table_preview(result.matches, ["mmsi", "ship_name", "status", "scene_id", "dt_s", "detail"]),
            }
        )

    @dg.asset(partitions_def=days, group_name=GROUP, deps=[scene_matches], kinds={"geotiff", "python"}, owners=OWNERS)
    def chips(
        context: dg.AssetExecutionContext,
        config: ChippingConfig,
        workspace: Workspace,
    ) -> dg.MaterializeResult[Any]:
        """The chips of the day's ships, and an outcome for every ship."""
        chosen = workspace.settings(run_config.overrides(config))
        if chosen.limits.bind_chips_to_ships:
            # Matching has let through no more ships than its own cap, and a ship makes one chip at most.
            chosen = chosen.override({"limits": {"max_ships": None}})
        storage = workspace.storage(chosen)
        day = day_of(context.partition_key)
        result = chips_of_source(day, layout.CAPTURE, chosen, storage, workspace.clock, throttled(context.log))
        context.log.info("%s: %d chips cut, %d kept", day, result.chips_cut, result.chips_kept)
        if lost := lost_warning(day, result):
            context.log.warning("%s", lost)
        return dg.MaterializeResult(metadata=chips_metadata(day, result, storage))

    @dg.asset(partitions_def=days, group_name=GROUP, deps=[chips], kinds={"geojson"}, owners=OWNERS)
    def daily_geojson(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[Any]:
        """The footprints of each day on which chips of this partition were sensed, as GeoJSON."""
        from s2chips_core.index.geojson import refresh_geojson

        began = time.monotonic()
        now = workspace.settings()
        storage = workspace.storage(now)
        day = day_of(context.partition_key)
        written = refresh_geojson(storage, day, now.stac.search_window_hours)
        return dg.MaterializeResult(
            metadata={
                "footprints": written.get(day, 0),
                "days": dg.MetadataValue.json({str(d): n for d, n in written.items()}),
                "seconds": round(time.monotonic() - began, 3),
                "path": dg.MetadataValue.path(storage.url(layout.daily_geojson(day))),
            }
        )

    @dg.asset(
        group_name=GROUP,
        deps=[chips],
        kinds={"parquet"},
        owners=OWNERS,
        automation_condition=INDEX_CONDITION,
    )
    def tiles_index(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[Any]:
        """`indexes/tiles.parquet`: one row for every chip of the dataset, made from the parts of all days."""
        from s2chips_core.index.tiles import build_tiles_index, read_head

        storage = workspace.storage(workspace.settings())
        result = build_tiles_index(storage)
        if result.anew is not None:
            context.log.info("made from all %d parts: %s", result.parts, result.anew)
        return dg.MaterializeResult(
            metadata={
                "chips": result.rows,
                "parts": result.parts,
                "parts_read": result.parts_read,
                "rows_written": result.rows_written,
                "bytes_copied": result.bytes_copied,
                "seconds": round(result.seconds, 3),
                "path": dg.MetadataValue.path(storage.url(layout.tiles_index())),
                "preview": table_preview(read_head(storage, PREVIEW_ROWS), INDEX_COLUMNS),
            }
        )

    @dg.asset(partitions_def=days, group_name=GROUP, deps=[chips], kinds={"html"}, owners=OWNERS)
    def daily_report(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[Any]:
        """The page of the day: gallery, larger views of each chip, map, outcomes, index."""
        from s2chips_core import tables
        from s2chips_core.index import outcomes

        now = workspace.settings()
        storage = workspace.storage(now)
        day = day_of(context.partition_key)
        began = time.monotonic()
        page = report_day(day, now, workspace, context.log)
        table = tables.read_table(storage, layout.outcomes(day), outcomes.OUTCOME_SCHEMA)
        counts = outcomes.counts(table)
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(storage.url(page.key)),
                "views": len(page.views.views),
                "views_made": page.views.made,
                "views_removed": page.views.removed,
                "views_seconds": round(page.views.seconds, 3),
                "outcomes": counts_table(counts),
                "targets": len(table),
                "chips": counts["chipped"],
                "pass_rate": rate(counts["chipped"], len(table)),
                "seconds": round(time.monotonic() - began, 3),
            }
        )

    @dg.asset(
        group_name=GROUP,
        deps=[tiles_index, daily_report],
        kinds={"html"},
        owners=OWNERS,
        automation_condition=INDEX_CONDITION,
    )
    def dataset_report(workspace: Workspace) -> dg.MaterializeResult[Any]:
        """`reports/index.html`: map, gallery, days, balance, gate numbers and splits of the whole dataset."""
        return dg.MaterializeResult(metadata=report_dataset(workspace))

    return [overpass_plan, ais_snapshots, scene_matches, chips, daily_geojson, daily_report, tiles_index, dataset_report]
