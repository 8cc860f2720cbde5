"""The job that chips the rows of an AIS file: read, match and chip each day of the file, then the index and the row report.

Not partitioned: a file may hold several days. Each day's chips are reported as a materialisation of that partition. Not
here: taking a file from the inbox and moving it on (`inbox`).
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field, create_model

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError
from s2chips_dagster import inbox, run_config
from s2chips_dagster.checks import checks_of_source
from s2chips_dagster.chipping import chips_metadata, chips_of_source, lost_warning
from s2chips_dagster.jobs import CHIPPING_TAGS
from s2chips_dagster.metadata import table_preview, throttled
from s2chips_dagster.pages import report_dataset, report_day
from s2chips_dagster.resources import Workspace


def build_file_job(settings: Settings) -> dg.JobDefinition:
    """`chip_from_ais_file`, with the run config's defaults from `settings`."""
    matching = {
        **run_config.MATCHING,
        "stac": ("cloud_cover_max", "search_window_hours"),  # rows of a file may be of any time
        "ais": ("columns", "max_gap_min"),
    }
    sections = run_config.merge(matching, run_config.CHIPPING)
    Options: Any = run_config.run_config("FileOptions", settings, sections)
    position: Any = Literal["as_reported", "at_sensing_time"]
    FileConfig: Any = create_model(
        "FileConfig",
        __base__=Options,
        path=(
            str,
            Field(
                description="The CSV, XLSX or Parquet file of AIS positions on the machine of Dagster: mmsi, lat, lon and, "
                "better, overpass_time."
            ),
        ),
        position=(
            position,
            Field(
                default="as_reported",
                description="Centre on each row as it is, or take the rows of a ship as its track to the sensing time.",
            ),
        ),
        inbox_sha256=(
            str,
            Field(
                default="",
                description="Filled in by ais_inbox_sensor: the SHA-256 of a file in the inbox, which is then moved to "
                "done/ or failed/. Empty: the file stays where it is.",
            ),
        ),
    )

    @dg.op(name="chip_ais_file")
    def chip_ais_file(context: dg.OpExecutionContext, config: FileConfig, workspace: Workspace) -> None:
        """Chip every row of the file; rows that are no target are reported as `invalid_ais`."""
        chosen: Any = config
        path, settings = Path(chosen.path), workspace.settings(run_config.overrides(chosen))
        if not path.is_file():
            raise ConfigError("run config", "path", chosen.path, "the path of a CSV, XLSX or Parquet file that is there")

        def chip(file: Path) -> Chipped:
            return chip_file(context, file, chosen.position, settings, workspace)

        if chosen.inbox_sha256:
            inbox.chip_dropped(context, path, chosen.inbox_sha256, workspace.storage(settings), chip)
        else:
            chip(path)

    @dg.job(name="chip_from_ais_file", description="Chip the ships of a CSV, XLSX or Parquet file.", tags=CHIPPING_TAGS)
    def chip_from_ais_file() -> None:
        chip_ais_file()

    return chip_from_ais_file


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chipped:
    """What became of a file."""

    source_id: str
    report: bytes
    """CSV, one line for each row of the file."""
    again: str | None
    """A sentence, when the same bytes were chipped before."""


def chip_file(
    context: dg.OpExecutionContext, path: Path, position: str, settings: Settings, workspace: Workspace
) -> Chipped:
    """Every stage for every day of one file."""
    from s2chips_core.ais.day import read_file
    from s2chips_core.index.geojson import refresh_geojson
    from s2chips_core.index.row_report import build_row_report
    from s2chips_core.index.spreadsheet import format_csv
    from s2chips_core.index.tiles import build_tiles_index
    from s2chips_core.scenes.day import match_file

    storage = workspace.storage(settings)
    days = read_file(path, storage=storage, now=workspace.clock(), position=position, columns=settings.ais.titles)
    report_key = layout.ais_file_report(days.source_id)
    chipped_before = storage.exists(report_key)
    context.log.info("%s: %d days", path.name, len(days.targets))
    match_file(days, settings=settings, storage=storage, now=workspace.clock(), progress=throttled(context.log))
    # Bound caps have been seen to: no more ships were matched than may be, over all days.
    left = None if settings.limits.bind_chips_to_ships else settings.limits.max_chips
    results = []
    for day in days.targets:
        chosen = settings.override({"limits": {"bind_chips_to_ships": False, "max_chips": left}})
        result = chips_of_source(day, days.source_id, chosen, storage, workspace.clock, throttled(context.log))
        results.append(result)
        if lost := lost_warning(day, result):
            context.log.warning("%s", lost)
        left = None if left is None else max(0, left - result.counts["chipped"])
        for name, judged in checks_of_source(storage, day, days.source_id).items():
            if not judged.passed:
                raise dg.Failure(f"{path.name}, {day}: check {name} failed: {judged.description}")
        refresh_geojson(storage, day, settings.stac.search_window_hours)
        report_day(day, chosen, workspace, context.log)
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
    rows = build_row_report([result.outcomes for result in results], [result.rows for result in results])
    report = format_csv(rows)
    storage.put(report_key, report)
    again = None
    if chipped_before:
        again = (
            f"{path.name} has the content of {', '.join(days.known_as)}, which was chipped before: "
            f"{sum(result.chips_kept for result in results)} chips stand as they were, "
            f"{sum(result.chips_cut for result in results)} were cut now."
        )
        context.log.warning("%s", again)
    context.add_output_metadata(
        {
            "rows": len(rows),
            "chipped": int((rows["outcome"] == "chipped").sum()),
            "report": dg.MetadataValue.path(storage.url(report_key)),
            "preview": table_preview(rows, ["row_number", "mmsi", "outcome", "detail", "path"]),
        }
        | ({"chipped before": again} if again else {})
    )
    return Chipped(source_id=days.source_id, report=report, again=again)
