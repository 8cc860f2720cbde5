"""The archive's scenes as observations: what the plan by backfill and by the repeat cycle is made from.

Here: asking for the scenes of some tiles. Not here: the search itself (`search`), and what plans make of observations
(`overpasses.plan`, `overpasses.repeat_cycle`).
"""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime

import pandas as pd

from s2chips_core.config import Settings
from s2chips_core.overpasses.plan import OBSERVED_COLUMNS, Observe, Observed
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.scenes.archives import check_archives, open_fetcher
from s2chips_core.scenes.search import search_areas
from s2chips_core.scenes.sensing_time import read_beginning


def observe_scenes(settings: Settings, now: datetime, progress: Callable[[object], None] | None = None) -> Observe:
    """The function that asks the archive of `settings.stac` for `overpasses.planning`: scenes of any cloud.

    Args:
        settings: `stac` names the archive; of a list the first is asked, all have the same acquisitions.
        now: aware UTC; nothing is looked for later than this.
        progress: told what has been asked.

    Returns:
        Given tiles, a start and an end (aware UTC, the end is not included), what was sensed of them then. It raises
        ArchiveError when the archive does not answer, and ConfigError when it has no such collection. No item tells its
        relative orbit, so that column is null.
    """

    def observe(tiles: Sequence[str], start: datetime, end: datetime) -> Observed:
        areas = [tile_area(tile) for tile in tiles]
        check_archives(settings.stac.of(settings.stac.providers[0]))
        with contextlib.closing(open_fetcher(settings.stac)) as fetcher:
            found = search_areas(
                areas,
                start,
                end,
                settings=settings,
                now=now,
                tiles=set(tiles),
                progress=progress,
                fetch_metadata=lambda href: read_beginning(href, fetcher),
            )
        rows = [(scene.mgrs_tile, scene.platform, scene.datatake_id, scene.datetime, None) for scene in found.scenes]
        frame = pd.DataFrame(rows, columns=list(OBSERVED_COLUMNS))
        frame["datetime"] = pd.to_datetime(frame["datetime"], utc=True).astype("datetime64[ms, UTC]")
        return Observed(frame=frame, requests=found.requests)

    return observe
