"""The job that chips the rows of an AIS file: read, match and chip each day of the file, then the index.

Not partitioned: a file may hold several days. Each day's chips are reported as a materialisation of that partition.
"""

from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field, create_model

from s2chips_core.config import Settings
from s2chips_dagster import run_config
from s2chips_dagster.checks import checks_of_source
from s2chips_dagster.chipping import chips_metadata, chips_of_source, imagery_credit
from s2chips_dagster.dataset_pages import report_dataset
from s2chips_dagster.jobs import CHIPPING_TAGS
from s2chips_dagster.metadata import throttled
from s2chips_dagster.resources import Workspace


def build_file_job(settings: Settings) -> dg.JobDefinition:
    """`chip_from_ais_file`, with the run config's defaults from `settings`."""
    sections = run_config.merge({**run_config.MATCHING, "ais": ("max_gap_min",)}, run_config.CHIPPING)
    Options: Any = run_config.run_config("FileOptions", settings, sections)
    position: Any = Literal["as_reported", "at_sensing_time"]
    FileConfig: Any = create_model(
        "FileConfig",
        __base__=Options,
        path=(str, Field(description="The CSV or XLSX file of AIS positions: mmsi, lat, lon and, better, overpass_time.")),
        position=(
            position,
            Field(
                default="as_reported",
                description="Centre on each row as it is, or take the rows of a ship as its track to the sensing time.",
            ),
        ),
    )

    @dg.op(name="chip_ais_file")
    def chip_ais_file(context: dg.OpExecutionContext, config: FileConfig, workspace: Workspace) -> None:
        """Chip every row of the file; rows that are no target are reported as `invalid_ais`."""
        chosen: Any = config
        chip_file(context, Path(chosen.path), chosen.position, run_config.overrides(chosen), workspace)

    @dg.job(name="chip_from_ais_file", description="Chip the ships of a CSV or XLSX file.", tags=CHIPPING_TAGS)
    def chip_from_ais_file() -> None:
        chip_ais_file()

    return chip_from_ais_file


def chip_file(
    context: dg.OpExecutionContext, path: Path, position: str, overrides: dict[str, dict[str, Any]], workspace: Workspace
) -> None:
    """Every stage for every day of one file."""
    from s2chips_core import __version__
    from s2chips_core.ais.day import read_file
    from s2chips_core.index.geojson import refresh_geojson
    from s2chips_core.index.tiles import build_tiles_index
    from s2chips_core.pages.day import write_report
    from s2chips_core.scenes.day import match_file

    settings = workspace.settings(overrides)
    storage = workspace.storage(settings)
    days = read_file(path, storage=storage, now=workspace.clock(), position=position)
    context.log.info("%s: %d days", path.name, len(days.targets))
    match_file(days, settings=settings, storage=storage, now=workspace.clock(), progress=throttled(context.log))
    # Bound caps have been seen to: no more ships were matched than may be, over all days.
    left = None if settings.limits.bind_chips_to_ships else settings.limits.max_chips
    for day in days.targets:
        chosen = settings.override({"limits": {"bind_chips_to_ships": False, "max_chips": left}})
        result = chips_of_source(day, days.source_id, chosen, storage, workspace.clock, throttled(context.log))
        left = None if left is None else max(0, left - result.counts["chipped"])
        for name, judged in checks_of_source(storage, day, days.source_id).items():
            if not judged.passed:
                raise dg.Failure(f"{path.name}, {day}: check {name} failed: {judged.description}")
        refresh_geojson(storage, day, settings.stac.search_window_hours)
        write_report(
            day,
            storage=storage,
            settings=chosen,
            generated_at=workspace.clock(),
            software_version=__version__,
            imagery_credit=imagery_credit(settings),
            progress=throttled(context.log),
        )
        context.log_event(
            dg.AssetMaterialization(
                asset_key="chips",
                partition=day.isoformat(),
                description=f"{path.name}: {result.counts['chipped']} chips of {len(result.outcomes)} rows",
                metadata=chips_metadata(day, result, storage),
            )
        )
    index = build_tiles_index(storage)
    context.log_event(dg.AssetMaterialization(asset_key="tiles_index", metadata={"chips": index.rows, "parts": index.parts}))
    context.log_event(dg.AssetMaterialization(asset_key="dataset_report", metadata=report_dataset(workspace)))
