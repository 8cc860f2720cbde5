"""Plans as Dagster runs them: for today the whole horizon, each further day reported as a materialisation of its own.

Here: the body of `overpass_plan` and what is shown of it. Not here: planning (`s2chips_core.overpasses.planning`).
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from s2chips_core import layout
from s2chips_core.sections import SatelliteTracking
from s2chips_core.storage import Storage
from s2chips_dagster.metadata import as_words, counts_table, picture, table_preview, throttled
from s2chips_dagster.resources import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from s2chips_core.overpasses.plan import Swath

PREVIEW = ["tile_id", "satellite", "overpass_time", "time_sigma_s", "imaging", "source"]


def days_to_plan(day: date, today: date, tracking: SatelliteTracking) -> int:
    """How many days a run for `day` plans: the horizon from today on; any other day alone, and `backfill` has no future."""
    return tracking.horizon_days if day == today and tracking.source != "backfill" else 1


def plan(context: dg.AssetExecutionContext, day: date, workspace: Workspace) -> dict[str, Any]:
    """Plan from `day` on; returns the metadata of that day."""
    from s2chips_core.overpasses.plan import watched_tiles
    from s2chips_core.overpasses.planning import plan_overpasses
    from s2chips_core.scenes.observed import observe_scenes

    settings, now = workspace.settings(), workspace.clock()
    storage, tracking = workspace.storage(settings), settings.satellite_tracking
    days = days_to_plan(day, now.date(), tracking)
    planned = plan_overpasses(
        day,
        days,
        settings=settings,
        storage=storage,
        now=now,
        observe=observe_scenes(settings, now),
        progress=throttled(context.log),
    )
    for note in planned.plan.notes:
        context.log.warning("%s", note)
    for further, passes in planned.by_day.items():
        if further != day:
            # Dagster keeps these though their partitions are not there yet, and shows them when the day has come.
            metadata = {"horizon_from": day.isoformat(), **day_metadata(further, passes, storage)}
            event = dg.AssetMaterialization("overpass_plan", partition=further.isoformat(), metadata=metadata)
            context.log_event(event)
    title = f"Overpasses of {day}" if days == 1 else f"Overpasses from {day}, {days} days"
    return {
        "map": plan_map(planned.plan.passes, planned.plan.swaths, watched_tiles(tracking), title),
        "notes": notes_list(planned.plan.notes),
        "days": days,
        "overpasses_of_all_days": len(planned.plan.passes),
        **day_metadata(day, planned.by_day[day], storage),
        "requests": planned.requests,
        "seconds": round(planned.seconds, 3),
    }


def day_metadata(day: date, passes: "pd.DataFrame", storage: Storage) -> dict[str, Any]:
    """What is shown of one day."""
    sources = {str(name): int(count) for name, count in passes["source"].value_counts().items()}
    imaging = {str(name): int(count) for name, count in passes["imaging"].value_counts().items()}
    return {
        "overpasses": len(passes),
        "tiles": int(passes["tile_id"].nunique()),
        "sources": counts_table(sources, "source", "overpasses"),
        "imaging": counts_table(imaging, "imaging", "overpasses"),
        "path": dg.MetadataValue.path(storage.url(layout.plan(day))),
        "preview": table_preview(passes.assign(time_sigma_s=passes["time_sigma_s"].round(1)), PREVIEW),
    }


def plan_map(
    passes: "pd.DataFrame", swaths: "Sequence[Swath]", tiles: Sequence[str], title: str
) -> dg.MarkdownMetadataValue:
    """The planned swaths and tiles as a picture."""
    from s2chips_core.overpasses.swath_map import swath_map_svg

    return picture(swath_map_svg(passes, swaths, tiles, title=title).encode(), title, "image/svg+xml")


def notes_list(notes: Sequence[str]) -> dg.MarkdownMetadataValue:
    """What a reader of the plan must know, one line each."""
    return dg.MetadataValue.md("\n".join(f"- {as_words(note)}" for note in notes) or "none")
