"""Chipping one source of a day, for the asset and for the job that takes a file: the same call, the same metadata."""

import contextlib
import functools
import math
import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dagster as dg

from s2chips_core import __version__, layout
from s2chips_core.config import Settings
from s2chips_core.sections import LOOPBACK
from s2chips_core.storage import Storage
from s2chips_dagster.metadata import counts_table, picture, rate, table_preview

if TYPE_CHECKING:
    from s2chips_core.index.day import DayResult

CONTACT_SHEET_CHIPS = 24
REFUSED_BY_GATE = ("gate_cloud", "gate_land", "gate_water", "nodata")


def chips_of_source(
    day: date,
    source_id: str,
    settings: Settings,
    storage: Storage,
    clock: Callable[[], datetime],
    progress: Callable[[Any], None],
) -> "DayResult":
    """Cut and commit; when the run is cancelled, threads are told to stop before the interruption goes on."""
    from s2chips_core.chips.cluster import cut_scenes_on_cluster
    from s2chips_core.chips.cutting import cut_scenes
    from s2chips_core.index.day import chip_day, write_day_tables
    from s2chips_core.index.geojson import write_daily_geojson
    from s2chips_core.scenes.archives import find_elsewhere, open_fetcher

    stop, several = threading.Event(), len(settings.stac.providers) > 1
    # Closing ends the reads that still wait, be it for a host or between attempts.
    fetcher = open_fetcher(settings.stac, connections=settings.compute.workers)
    with contextlib.closing(fetcher):
        try:
            result = chip_day(
                day,
                source_id,
                settings=settings,
                storage=storage,
                fetcher=fetcher,
                clock=clock,
                software_version=__version__,
                stop=stop,
                progress=progress,
                cut=cut_scenes if settings.compute.dask_scheduler is None else cut_scenes_on_cluster,
                elsewhere=functools.partial(find_elsewhere, settings=settings, now=clock()) if several else None,
            )
        finally:
            stop.set()
    write_day_tables(day, storage)
    reach = timedelta(days=math.ceil(settings.stac.search_window_hours / 24.0))
    for scene_day in result.scene_days:
        if abs(scene_day - day) > reach:
            # Chips of a wider search window of earlier are gone: nobody else will look at that day's GeoJSON.
            write_daily_geojson(storage, scene_day)
    return result


def imagery_credit(settings: Settings) -> str | None:
    """Whose pixels: none for a public archive (the page gives the Copernicus notice), else the archive on this machine."""
    endpoints = [settings.stac.of(name).endpoint for name in settings.stac.providers]
    local = [one for one in endpoints if isinstance(one, str) and urlsplit(one).hostname in LOOPBACK]
    return f"Imagery as served by {' and '.join(local)}, an archive on this machine." if local else None


def chips_metadata(day: date, result: "DayResult", storage: Storage) -> dict[str, Any]:
    """Counts by outcome, previews, the contact sheet, paths and cost."""
    targets = len(result.outcomes)
    chipped = result.counts["chipped"]
    metadata: dict[str, Any] = {}
    if len(result.rows):
        metadata["contact_sheet"] = picture(contact_sheet_of(result, storage), f"quicklooks of {day}")
        metadata["path"] = dg.MetadataValue.path(storage.url(layout.chips_folder()))
    return metadata | {
        "chips": chipped,
        "chips_cut": result.chips_cut,
        "chips_kept": result.chips_kept,
        "chips_lost": sum(result.chips_lost.values()),
        "targets": targets,
        "pass_rate": rate(chipped, targets),
        "gate_pass_rate": rate(chipped, chipped + sum(result.counts[name] for name in REFUSED_BY_GATE)),
        "outcomes": counts_table(result.counts),
        "seconds": round(result.seconds, 3),
        "chips_per_second": round(result.chips_per_second, 2),
        "requests": result.requests,
        "bytes": result.bytes,
        "cog_assets": result.cog_assets,
        "gdal_assets": result.gdal_assets,
        "outcomes_path": dg.MetadataValue.path(storage.url(layout.outcomes_part(day, result.source_id))),
        "preview": table_preview(
            result.rows, ["chip_id", "mmsi", "ship_name", "split", "gate_verdict", "qa_water_frac", "path"]
        ),
        "refusals": table_preview(
            result.outcomes[result.outcomes["outcome"] != "chipped"], ["mmsi", "ship_name", "outcome", "detail"]
        ),
    }


def lost_warning(day: date, result: "DayResult") -> str | None:
    """What to say when chips of an earlier run are gone; none when none are."""
    if not result.chips_lost:
        return None
    told = ", ".join(f"{count} {outcome}" for outcome, count in result.chips_lost.items())
    return (
        f"{day}: {sum(result.chips_lost.values())} chips of an earlier run are removed; their ships are now {told}. "
        "Run the day again with the values of before to have them back."
    )


def contact_sheet_of(result: "DayResult", storage: Storage) -> bytes:
    """The first quicklooks of the day on one sheet."""
    from s2chips_core.chips.quicklook import contact_sheet

    tiles = []
    for row in result.rows.head(CONTACT_SHEET_CHIPS).to_dict("records"):
        [key] = layout.chip_artefacts(str(row["path"]), ("_quicklook.jpg",))
        tiles.append((storage.get(key), str(row["ship_name"] or row["mmsi"]), None))
    return contact_sheet(tiles)
