"""The overpass plan: when each tile is imaged, and from when to when AIS is recorded around that moment.

Here: the schema and the plan by `backfill`, which takes real scenes of the archive as the schedule. Not here: searching the
archive for them (`scenes.search`).
"""

from collections.abc import Sequence
from datetime import date

import pandas as pd
import pyarrow as pa

from s2chips_core import tables
from s2chips_core.config import Area, SatelliteTracking
from s2chips_core.overpasses.tile_grid import tiles_touching
from s2chips_core.tables import TIMESTAMP

PLAN_SCHEMA = pa.schema(
    [
        pa.field("tile_id", pa.string(), nullable=False),
        pa.field("satellite", pa.string(), nullable=False),
        pa.field("relative_orbit", pa.int64()),
        pa.field("absolute_orbit", pa.int64()),
        pa.field("overpass_time", TIMESTAMP, nullable=False),
        pa.field("window_start", TIMESTAMP, nullable=False),
        pa.field("window_end", TIMESTAMP, nullable=False),
        pa.field("time_sigma_s", pa.float64(), nullable=False),
        pa.field("imaging", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_epoch", TIMESTAMP),
    ]
)
"""`overpass_time`: when the tile is sensed. `time_sigma_s`: its standard error. `imaging`: planned, expected or unknown.
`source`: what said so; `source_epoch`: how old that is."""

OBSERVED_COLUMNS = ("tile_id", "satellite", "datatake_id", "datetime")


def watched_tiles(tracking: SatelliteTracking) -> list[str]:
    """The tiles of the configuration, by name and by area, sorted and each once."""
    named = {_two_digit_zone(tile) for tile in tracking.tiles}
    for area in tracking.areas:
        named.update(tiles_touching(_box(area)))
    return sorted(named)


def backfill_plan(
    observed: pd.DataFrame, tiles: Sequence[str], satellites: Sequence[str], window_min: float
) -> pd.DataFrame:
    """One row for each tile and datatake that was really imaged.

    Args:
        observed: scenes of the archive: `tile_id`, `satellite`, `datatake_id` (may be null), `datetime` (UTC). A scene that
            was processed twice may be in there twice.
        tiles: the tiles to keep.
        satellites: the satellites to keep.
        window_min: recording time each side of the overpass, minutes.

    Returns:
        PLAN_SCHEMA, sorted by overpass time and tile; `imaging` is `planned`: it has happened.
    """
    kept = observed[observed["tile_id"].isin(list(tiles)) & observed["satellite"].isin(list(satellites))]
    if kept.empty:
        return tables.empty(PLAN_SCHEMA)
    kept = kept.sort_values(["tile_id", "satellite", "datetime"])
    # Products of one datatake differ by less than a second, datatakes of one tile by an orbit (100 min) or more.
    since = kept.groupby(["tile_id", "satellite"])["datetime"].diff()
    kept = kept[since.isna() | (since > pd.Timedelta(minutes=30))]
    margin = pd.Timedelta(minutes=window_min)
    plan = pd.DataFrame(
        {
            "tile_id": kept["tile_id"],
            "satellite": kept["satellite"],
            "relative_orbit": None,
            "absolute_orbit": [_absolute_orbit(text) for text in kept["datatake_id"]],
            "overpass_time": kept["datetime"],
            "window_start": kept["datetime"] - margin,
            "window_end": kept["datetime"] + margin,
            "time_sigma_s": 0.0,
            "imaging": "planned",
            "source": "backfill",
            "source_epoch": kept["datetime"],
        }
    )
    plan = plan.sort_values(["overpass_time", "tile_id"], ignore_index=True)
    return tables.to_frame(tables.conform(plan, PLAN_SCHEMA, "overpass plan"))


def of_day(plan: pd.DataFrame, day: date) -> pd.DataFrame:
    """The rows whose overpass is on the UTC day."""
    rows: pd.DataFrame = plan[plan["overpass_time"].dt.date == day].reset_index(drop=True)
    return rows


def _absolute_orbit(datatake_id: object) -> int | None:
    """`GS2B_20231223T190819_035503` ends with the absolute orbit."""
    last = datatake_id.rsplit("_", 1)[-1] if isinstance(datatake_id, str) else ""
    return int(last) if last.isdigit() and len(last) == 6 else None


def _two_digit_zone(tile: str) -> str:
    return tile if tile[1].isdigit() else f"0{tile}"


def _box(area: Area) -> tuple[float, float, float, float]:
    return area.west, area.south, area.east, area.north
