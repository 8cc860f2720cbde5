"""The scenes of a day: which scene each target gets. The doors of this stage.

Not here: searching (`search`), choosing (`matching`), and scenes as observations of overpasses (`observed`).
"""

import dataclasses
import time
from collections.abc import Callable
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.ais.day import FileDays
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.targets import TARGET_SCHEMA, build_capture_targets
from s2chips_core.config import Settings
from s2chips_core.scenes.archives import search_archives
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.matching import NOTHING_FOUND, match_lost_again, match_targets
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The matches of one source of a day and what they cost."""

    matches: pd.DataFrame
    requests: int
    seconds: float


def match_capture(
    day: date,
    *,
    settings: Settings,
    storage: Storage,
    now: datetime,
    progress: Callable[[object], None] | None = None,
) -> Matched:
    """Match the ships that were recorded on a day."""
    fixes = read_snapshots(storage, day)
    targets = build_capture_targets(fixes, source_id=layout.CAPTURE, position_mode=settings.ais.position)
    return match_source(day, layout.CAPTURE, targets, fixes, settings=settings, storage=storage, now=now, progress=progress)


def match_source(
    day: date,
    source_id: str,
    targets: pd.DataFrame,
    fixes: pd.DataFrame | None,
    *,
    settings: Settings,
    storage: Storage,
    now: datetime,
    progress: Callable[[object], None] | None = None,
) -> Matched:
    """Search the scenes around the targets, choose one for each, and write the matches of this source of the day.

    Args:
        day: the AIS day.
        source_id: the capture or a file.
        targets: TARGET_SCHEMA.
        fixes: FIX_SCHEMA, for targets that are placed at the sensing time; none for files.
        settings: the limits to hold to.
        storage: where the matches go.
        now: until when a missing scene may still be published is counted from here.
        progress: told of what is searched.
    """
    found = match_rows(targets, fixes, settings=settings, now=now, progress=progress)
    tables.write_table(storage, layout.matches_part(day, source_id), found.matches, MATCH_SCHEMA)
    return found


def match_file(
    days: FileDays,
    *,
    settings: Settings,
    storage: Storage,
    now: datetime,
    progress: Callable[[object], None] | None = None,
) -> Matched:
    """Match all rows of a file at once and write the matches of each day.

    At once, so that a ship gets one chip of a datatake whatever day its rows are of, and the cap on ships is the file's.
    """
    rows = tables.concat(days.targets.values(), TARGET_SCHEMA)
    found = match_rows(rows, days.fixes, settings=settings, now=now, progress=progress)
    for day, targets in days.targets.items():
        part = found.matches[found.matches["target_id"].isin(targets["target_id"])].reset_index(drop=True)
        tables.write_table(storage, layout.matches_part(day, days.source_id), part, MATCH_SCHEMA)
    return found


def match_rows(
    targets: pd.DataFrame,
    fixes: pd.DataFrame | None,
    *,
    settings: Settings,
    now: datetime,
    progress: Callable[[object], None] | None = None,
) -> Matched:
    """Search the scenes around the targets and choose one for each; nothing is written. Arguments as for `match_source`."""
    began = time.monotonic()
    limit = settings.stac.cloud_cover_max
    usable = targets["invalid_reason"].isna().to_numpy(dtype=bool)
    points = pd.DataFrame({"lon": targets["ais_lon"], "lat": targets["ais_lat"], "time": targets["ais_time"]})
    fixes = tables.empty(FIX_SCHEMA) if fixes is None else fixes

    def left(scenes: list[Scene]) -> npt.NDArray[np.bool_]:
        found = match_targets(targets, fixes, scenes, [], settings=settings, now=now)
        return found["status"].isin(NOTHING_FOUND).to_numpy(dtype=bool)[usable]

    clear = search_archives(points[usable], settings=settings, now=now, cloud_cover_max=limit, left=left, progress=progress)
    matches = match_targets(targets, fixes, clear.scenes, [], settings=settings, now=now)
    requests = clear.requests
    # Only for ships that got nothing: was anything published at all? It tells a cloudy day from one that is still to come.
    lost = matches["status"].isin(NOTHING_FOUND).to_numpy(dtype=bool)
    if lost.any():

        def unpublished(scenes: list[Scene]) -> npt.NDArray[np.bool_]:
            found = match_targets(targets, fixes, clear.scenes, scenes, settings=settings, now=now)
            nothing = found["status"].isin(NOTHING_FOUND) & found["scene_id"].isna()
            return nothing.to_numpy(dtype=bool)[usable & lost]

        cloudy = search_archives(
            points[usable & lost],
            settings=settings,
            now=now,
            cloud_cover_max=None,
            cloud_cover_above=limit,
            left=unpublished,
            progress=progress,
        )
        matches = match_lost_again(matches, targets, fixes, clear.scenes, cloudy.scenes, settings=settings, now=now)
        requests += cloudy.requests
    return Matched(matches=matches, requests=requests, seconds=time.monotonic() - began)
